#include "file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <limits>

namespace ats_mag {

File::File(const std::string& path) : descriptor_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
  struct stat info {};
  if (is_open() && fstat(descriptor_, &info) == 0) size_ = static_cast<uint64_t>(info.st_size);
}

File::~File() {
  if (is_open()) close(descriptor_);
}

bool File::Read(uint64_t offset, size_t count, void* bytes) const {
  constexpr auto kLast = static_cast<uint64_t>(std::numeric_limits<off_t>::max());
  if (offset > kLast || count > kLast - offset) return false;
  auto* to = static_cast<char*>(bytes);
  while (count > 0) {
    const ssize_t got = pread(descriptor_, to, count, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    to += got;
    offset += static_cast<uint64_t>(got);
    count -= static_cast<size_t>(got);
  }
  return true;
}

bool Stamp::operator==(const Stamp& other) const {
  return device == other.device && inode == other.inode && size == other.size && seconds == other.seconds &&
         nanoseconds == other.nanoseconds;
}

Stamp StampOf(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return {-1, -1, -1, -1, -1};
  return {static_cast<int64_t>(info.st_dev), static_cast<int64_t>(info.st_ino), info.st_size, info.st_mtim.tv_sec,
          info.st_mtim.tv_nsec};
}

}  // namespace ats_mag

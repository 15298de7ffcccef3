#include "file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <limits>

namespace ats_mag {

File::File(const std::string& path) : descriptor_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}

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

}  // namespace ats_mag

// A file that is read at any place, by many threads at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace ats_mag {

// Reads go through pread: unlike a memory map, a file that is cut short while open gives an error, not a signal.
class File {
 public:
  explicit File(const std::string& path);
  ~File();
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  bool is_open() const { return descriptor_ >= 0; }

  // Bytes when it was opened.
  uint64_t size() const { return size_; }

  // Whether all of `count` bytes from `offset` on could be read.
  bool Read(uint64_t offset, size_t count, void* bytes) const;

 private:
  const int descriptor_;
  uint64_t size_ = 0;
};

// What tells a replaced file from the one that was opened.
struct Stamp {
  int64_t device, inode, size, seconds, nanoseconds;
  bool operator==(const Stamp& other) const;
};

// All -1 where there is no such file.
Stamp StampOf(const std::string& path);

}  // namespace ats_mag

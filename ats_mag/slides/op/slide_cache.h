// A bounded set of open slides, least recently used out first.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "slide.h"

namespace ats_mag {

using SlidePtr = std::shared_ptr<const Slide>;

class SlideCache {
 public:
  // Keeps at most `max_open` handles; all of them share one tile cache of `cache_bytes`.
  SlideCache(size_t max_open, size_t cache_bytes);

  // The open slide, reopened when the file has been replaced since. A slide in use outlives its eviction.
  SlidePtr Get(const std::string& path);

  // A handle of one's own, neither taken from the set nor put into it. Where no more files can be opened, handles that
  // nobody uses are closed first; throws Error(kResourceExhausted) where that does not help.
  SlidePtr OpenPrivate(const std::string& path);

  // Closes the handles that nobody uses and keeps fewer from now on; returns whether there were any.
  bool CloseIdle();

  size_t max_open() const;

  // Removes this very handle (not a newer one of the same path): OpenSlide's errors stick to a handle.
  void Evict(const SlidePtr& slide);

  size_t size() const;

 private:
  struct Entry {
    std::string path;
    SlidePtr slide;
  };
  void Forget(const std::string& path, const SlidePtr& only);  // whichever handle, where `only` is nullptr
  OpenSlideCache* tile_cache();

  size_t max_open_;
  const size_t cache_bytes_;
  mutable std::mutex mutex_;
  OpenSlideCache* tile_cache_ = nullptr;
  std::list<Entry> entries_;  // most recently used first
  std::unordered_map<std::string, std::list<Entry>::iterator> by_path_;
};

}  // namespace ats_mag

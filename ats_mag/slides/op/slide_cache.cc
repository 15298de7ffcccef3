#include "slide_cache.h"

#include <algorithm>
#include <vector>

#include "error.h"

namespace ats_mag {

SlideCache::SlideCache(size_t max_open, size_t cache_bytes)
    : max_open_(std::max<size_t>(1, max_open)), cache_bytes_(cache_bytes) {}

OpenSlideCache* SlideCache::tile_cache() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (tile_cache_ == nullptr) tile_cache_ = OpenSlide().cache_create(cache_bytes_);
  return tile_cache_;
}

SlidePtr SlideCache::OpenPrivate(const std::string& path) {
  for (;;) {
    try {
      return std::make_shared<const Slide>(path, tile_cache());
    } catch (const Error& error) {
      if (error.code() != Code::kResourceExhausted || !CloseIdle()) throw;
    }
  }
}

bool SlideCache::CloseIdle() {
  std::vector<SlidePtr> closing;
  std::lock_guard<std::mutex> lock(mutex_);
  max_open_ = std::max<size_t>(1, std::min(max_open_, entries_.size() / 2));  // else the limit is met again and again
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    if (entry->slide.use_count() > 1) {
      ++entry;
      continue;
    }
    by_path_.erase(entry->path);
    closing.push_back(std::move(entry->slide));
    entry = entries_.erase(entry);
  }
  return !closing.empty();
}

size_t SlideCache::max_open() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return max_open_;
}

SlidePtr SlideCache::Get(const std::string& path) {
  const Stamp stamp = StampOf(path);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto found = by_path_.find(path);
    if (found != by_path_.end() && found->second->slide->stamp() == stamp) {
      entries_.splice(entries_.begin(), entries_, found->second);
      return found->second->slide;
    }
  }
  SlidePtr opened;
  try {
    opened = OpenPrivate(path);  // outside the lock: opening may take a second on a network file system
  } catch (...) {
    Forget(path, nullptr);  // a file that is gone or broken now must not hold a handle
    throw;
  }
  std::vector<SlidePtr> closing;  // closed after the lock is released, for the same reason
  std::lock_guard<std::mutex> lock(mutex_);
  const auto found = by_path_.find(path);
  if (found != by_path_.end()) {
    if (found->second->slide->stamp() == stamp) {  // another thread was first
      closing.push_back(std::move(opened));
      return found->second->slide;
    }
    closing.push_back(std::move(found->second->slide));
    entries_.erase(found->second);
    by_path_.erase(found);
  }
  entries_.push_front({path, opened});
  by_path_[path] = entries_.begin();
  while (entries_.size() > max_open_) {
    by_path_.erase(entries_.back().path);
    closing.push_back(std::move(entries_.back().slide));
    entries_.pop_back();
  }
  return opened;
}

void SlideCache::Evict(const SlidePtr& slide) { Forget(slide->path(), slide); }

void SlideCache::Forget(const std::string& path, const SlidePtr& only) {
  SlidePtr closing;
  std::lock_guard<std::mutex> lock(mutex_);
  const auto found = by_path_.find(path);
  if (found == by_path_.end() || (only != nullptr && found->second->slide != only)) return;
  closing = std::move(found->second->slide);
  entries_.erase(found->second);
  by_path_.erase(found);
}

size_t SlideCache::size() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return entries_.size();
}

}  // namespace ats_mag

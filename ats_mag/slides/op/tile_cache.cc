#include "tile_cache.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace ats_mag {

void TilePixels::Copy(const TilePart& other, uint8_t* to, int64_t stride) const {
  const uint8_t* from = rgb.get() + ((other.y - part.y) * part.width + other.x - part.x) * 3;
  for (int64_t row = 0; row < other.height; ++row) {
    std::copy_n(from + row * part.width * 3, other.width * 3, to + row * stride);
  }
}

TilePixelsPtr TileCache::Get(const TileKey& key) {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->pixels;
}

void TileCache::Put(const TileKey& key, TilePixelsPtr pixels) {
  const int64_t more = pixels->bytes();
  if (more > most_bytes_) return;
  std::vector<TilePixelsPtr> leaving;  // freed after the lock is released
  std::lock_guard<std::mutex> lock(mutex_);
  const auto found = by_key_.find(key);
  if (found != by_key_.end()) {
    bytes_ += more - found->second->pixels->bytes();
    leaving.push_back(std::exchange(found->second->pixels, std::move(pixels)));
    entries_.splice(entries_.begin(), entries_, found->second);
  } else {
    entries_.push_front({key, std::move(pixels)});
    by_key_[key] = entries_.begin();
    bytes_ += more;
  }
  while (bytes_ > most_bytes_) {
    bytes_ -= entries_.back().pixels->bytes();
    by_key_.erase(entries_.back().key);
    leaving.push_back(std::move(entries_.back().pixels));
    entries_.pop_back();
  }
}

int64_t TileCache::bytes() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return bytes_;
}

}  // namespace ats_mag

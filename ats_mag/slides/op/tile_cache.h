// Decoded pixels of tiles, bounded in bytes, least recently used out first.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "jpeg_tile.h"

namespace ats_mag {

struct TileKey {
  uint64_t slide;  // a number that no other slide of the process has, nor the same file opened again
  uint64_t level, tile;
  bool operator==(const TileKey& other) const {
    return slide == other.slide && level == other.level && tile == other.tile;
  }
};

// RGB pixels of a part of a tile, without padding between rows.
struct TilePixels {
  explicit TilePixels(const TilePart& part) : part(part), rgb(new uint8_t[static_cast<size_t>(bytes())]) {}
  int64_t bytes() const { return part.width * part.height * 3; }
  bool Holds(const TilePart& other) const {
    return other.x >= part.x && other.y >= part.y && other.x + other.width <= part.x + part.width &&
           other.y + other.height <= part.y + part.height;
  }
  // Copies `other`, which lies within.
  void Copy(const TilePart& other, uint8_t* to, int64_t stride) const;

  TilePart part;
  std::unique_ptr<uint8_t[]> rgb;
};
using TilePixelsPtr = std::shared_ptr<const TilePixels>;

class TileCache {
 public:
  explicit TileCache(int64_t most_bytes) : most_bytes_(most_bytes) {}

  // What is kept of a tile, be it enough or not; nullptr when nothing is.
  TilePixelsPtr Get(const TileKey& key);

  // Keeps it in place of what was kept of the tile.
  void Put(const TileKey& key, TilePixelsPtr pixels);

  int64_t bytes() const;

 private:
  struct Hash {
    size_t operator()(const TileKey& key) const {
      return static_cast<size_t>((key.slide * 0x9E3779B97F4A7C15u + key.level) * 0x9E3779B97F4A7C15u + key.tile);
    }
  };
  struct Entry {
    TileKey key;
    TilePixelsPtr pixels;
  };

  const int64_t most_bytes_;
  mutable std::mutex mutex_;
  int64_t bytes_ = 0;
  std::list<Entry> entries_;  // most recently used first
  std::unordered_map<TileKey, std::list<Entry>::iterator, Hash> by_key_;
};

}  // namespace ats_mag

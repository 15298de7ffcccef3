// The levels of a TIFF slide whose JPEG tiles are decoded here, without OpenSlide.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "file.h"
#include "geometry.h"
#include "jpeg_tile.h"
#include "tiff.h"
#include "tile_cache.h"

namespace ats_mag {

// One level. Safe to read from many threads at once.
class DirectLevel {
 public:
  DirectLevel(const File& file, ByteOrder order, const TiffImage& image, uint64_t slide, uint64_t level);

  int64_t tile_width() const { return kind_.width; }
  int64_t tile_height() const { return kind_.height; }

  // The pixels of a tile that hold `part`. `missing` instead, where the file has no such tile and shows the background
  // there; nullptr where the tile cannot be read here, which OpenSlide then must try.
  TilePixelsPtr Pixels(int64_t column, int64_t row, const TilePart& part, bool* missing) const;

  // Reads `window`, which lies within the level, or returns false as above. `rgb` has `stride` bytes per row.
  bool ReadRgb(const Rect& window, const Colour& background, uint8_t* rgb, int64_t stride) const;

 private:
  TilePixelsPtr Decode(uint64_t tile, const TilePart& part, bool* missing) const;

  const File& file_;
  const ByteOrder order_;
  const TiffArray offsets_, lengths_;
  const int64_t across_;
  const JpegTileKind kind_;
  const uint64_t slide_, level_;
};

// The direct levels of a slide.
class Direct {
 public:
  // `tiff` was read from `file`, if it could be, and `damage` says how far; `levels` and `vendor` are what OpenSlide
  // says. A slide that is not covered has no direct level.
  Direct(std::unique_ptr<const File> file, const Tiff& tiff, const std::string& damage, const std::string& vendor,
         const std::vector<Level>& levels);

  // nullptr: the level goes through OpenSlide, and `why` says why.
  const DirectLevel* level(int level) const { return levels_[level].get(); }
  const std::string& why(int level) const { return why_[level]; }

 private:
  std::unique_ptr<const File> file_;
  std::vector<std::unique_ptr<DirectLevel>> levels_;
  std::vector<std::string> why_;
};

}  // namespace ats_mag

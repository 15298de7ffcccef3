// The images in a TIFF or BigTIFF file, as far as reading JPEG tiles needs them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "file.h"

namespace ats_mag {

enum class ByteOrder { kLittle, kBig };

// Numbers in the file that are read one at a time, as slides have hundreds of thousands of tiles.
struct TiffArray {
  uint64_t position = 0, count = 0;
  int bytes_each = 0;  // 0: the tag is absent
};

// One image of the file. Tags as in TIFF 6.0, with its defaults for those that are absent.
struct TiffImage {
  uint64_t width = 0, height = 0, tile_width = 0, tile_height = 0;  // 0: absent
  uint64_t compression = 1, photometric = 0, samples = 1, planar = 1, orientation = 1;
  bool eight_bits = false;     // of every sample
  bool odd = false;            // some of the tags above cannot be read, or stands there twice
  bool lacks_tiles = false;    // some of them have no bytes
  bool aperio = false;         // its description is one of Aperio's
  bool associated = false;     // and says that it shows the label or the whole glass
  TiffArray offsets, lengths;  // of the tiles: TileOffsets and TileByteCounts
  std::vector<uint8_t> jpeg_tables;
  std::string lethal;  // what of it would make OpenSlide abort the process, or ""
};

struct Tiff {
  ByteOrder order = ByteOrder::kLittle;
  std::vector<TiffImage> images;
  uint64_t beyond = 0;  // where a directory is said to be that lies beyond the file's end; 0: none
};

// Reads the chain of directories, as far as it can be followed. Returns why not to its end, or "".
std::string ReadTiff(const File& file, Tiff* tiff);

// The number at `index`, or false: it does not exist.
bool ReadNumber(const File& file, ByteOrder order, const TiffArray& array, uint64_t index, uint64_t* number);

}  // namespace ats_mag

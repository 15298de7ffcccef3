// Decoding of a part of one JPEG tile with libjpeg-turbo.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace ats_mag {

// How a TIFF directory says its tiles are coded.
struct JpegTileKind {
  int64_t width, height;
  bool ycc;                     // YCbCr, else RGB: TIFF's word counts, not the JPEG's own markers
  std::vector<uint8_t> tables;  // quantisation and Huffman tables that the tiles leave out; may be empty
};

// Pixels of a tile, from its top-left corner.
struct TilePart {
  int64_t x, y, width, height;
};

// Whether tiles can be decoded here; `why` says why not, `version` what with. Thread-safe.
struct JpegSupport {
  bool available;
  std::string why, version;
};
const JpegSupport& Jpeg();

// Decodes `part` of a tile to RGB, and as little else as the format permits; the pixels are those of the whole tile
// decoded. `stride` is the bytes from row to row of `rgb`. Returns false for what libjpeg refuses or warns about and
// for kinds that are not baseline, 8 bit, three components and of the size stated; then `rgb` holds anything.
bool DecodeJpegTile(const uint8_t* bytes, size_t count, const JpegTileKind& kind, const TilePart& part, uint8_t* rgb,
                    int64_t stride);

}  // namespace ats_mag

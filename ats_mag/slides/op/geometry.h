// Rectangles and levels.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

namespace ats_mag {

struct Rect {
  int64_t x, y, width, height;
};

struct Level {
  int64_t width, height;            // pixels of this level
  double downsample;                // level-0 pixels per pixel of this level
  int64_t tile_width, tile_height;  // 0 when the file does not say
  int number;                       // by which OpenSlide knows it
};

// A page that OpenSlide counts among the levels and that is none, as it shows something else than the slide.
struct OtherPage {
  int64_t width, height;
  std::string why;
};

// What two rectangles share, which may be empty: of a side of 0.
inline Rect Meet(const Rect& a, const Rect& b) {
  const int64_t left = std::max(a.x, b.x), top = std::max(a.y, b.y);
  const int64_t right = std::min(a.x + a.width, b.x + b.width), bottom = std::min(a.y + a.height, b.y + b.height);
  return {left, top, std::max<int64_t>(0, right - left), std::max<int64_t>(0, bottom - top)};
}

using Colour = std::array<uint8_t, 3>;

// Fills a picture of `width` x `height` pixels.
inline void Paint(const Colour& colour, int64_t width, int64_t height, uint8_t* rgb, int64_t stride) {
  for (int64_t row = 0; row < height; ++row) {
    uint8_t* pixel = rgb + row * stride;
    for (int64_t column = 0; column < width; ++column, pixel += 3) {
      for (int c = 0; c < 3; ++c) pixel[c] = colour[c];
    }
  }
}

}  // namespace ats_mag

// From the pixels of a level to pixels of the resolution asked for.
#pragma once

#include <cstdint>

#include "read.h"
#include "slide.h"

namespace ats_mag {

enum class How { kCopy, kAverage, kInterpolate };

// Which level is read and what is done with it. `ratio` is the width of an output pixel in pixels of that level.
struct Plan {
  int level;
  double ratio;
  How how;
};

// The level within 2 % of `downsample` as it stands; else the nearest finer one, area-averaged; else, where level 0 is
// coarser than what is asked for, level 0 interpolated.
Plan ChoosePlan(const Slide& slide, double downsample);

// The whole pixel of the level where a picture of `size` output pixels centred on `centre` (level-0 pixels) begins.
int64_t FirstPixel(const Slide& slide, const Plan& plan, double centre, int64_t size);

// Where a patch of a request begins: the whole pixel of the level of `plan`.
struct Placed {
  Plan plan;
  int64_t x, y;
};
Placed Place(const PatchRequest& request, const Slide& slide, int64_t patch);

// An output pixel's interval [begin, end) of a picture, both in output pixels.
struct Tile {
  int64_t x, y, width, height;
};

// Renders a tile of the picture whose pixel (0, 0) begins at pixel (x0, y0) of the level. Outside `clip` (pixels of the
// level) is background. `rgb` is the place of the tile's first pixel, `stride` the bytes from row to row. Memory is
// bounded whatever the ratio. Throws what Slide::ReadRgb throws.
void Render(const Slide& slide, const Plan& plan, int64_t x0, int64_t y0, const Rect& clip, const Tile& tile,
            uint8_t* rgb, int64_t stride);

// Side of the square blocks of level pixels that rendering works through.
constexpr int64_t kSourceBlock = 1024;

// Output pixels of a side of about one source block: the unit in which large pictures are split.
int64_t TileSide(const Plan& plan);

}  // namespace ats_mag

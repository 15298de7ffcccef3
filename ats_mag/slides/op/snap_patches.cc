#include <algorithm>
#include <cmath>
#include <map>

#include "engine.h"
#include "error.h"
#include "read.h"
#include "resample.h"

namespace ats_mag {
namespace {

// How far to move an interval of `size` pixels from `first` on, so that it touches as few tiles of `tile` pixels as one
// of its size can: the shorter way, 0 where it does already.
int64_t Move(int64_t first, int64_t size, int64_t tile, int64_t extent) {
  const int64_t begin = std::max<int64_t>(first, 0), end = std::min(first + size, extent);
  if (begin >= end) return 0;
  const int64_t fewest = (size + tile - 1) / tile;
  if ((end - 1) / tile - begin / tile + 1 <= fewest) return 0;
  const int64_t into = begin % tile;  // here first == begin: what is cut at 0 begins with a tile
  const int64_t left = into - (fewest * tile - size), right = tile - into;
  return left <= right ? -left : right;
}

// The level-0 place from which a picture of `size` pixels of `downsample` begins at pixel `first` of the level.
int64_t PlaceOf(int64_t first, int64_t size, double level_downsample, double downsample) {
  const double centre = (static_cast<double>(first) + size / 2.0) * level_downsample;
  return static_cast<int64_t>(std::ceil(centre - size * downsample / 2 - 0.5));  // a tie goes to the same pixel
}

}  // namespace

void SnapPatches(const PatchRequest& request, const double* reach, int64_t* snapped) {
  const auto batch = static_cast<int64_t>(request.paths.size());
  CheckPatches(request);
  std::copy_n(request.location, batch * request.per_slide * 2, snapped);
  GetEngine().pool.For(batch, [&](int64_t slide_index) {
    SlidePtr slide;
    try {
      slide = GetEngine().slides.Get(request.paths[slide_index]);
    } catch (const Error& error) {
      if (error.code() == Code::kResourceExhausted || error.code() == Code::kFailedPrecondition) throw;
      return;  // reading says what is wrong with it
    }
    for (int64_t n = 0; n < request.per_slide; ++n) {
      const int64_t i = slide_index * request.per_slide + n;
      const Placed placed = Place(request, *slide, i);
      const Level& level = slide->levels()[placed.plan.level];
      if (placed.plan.how != How::kCopy || level.tile_width <= 0 || level.tile_height <= 0) continue;
      const auto snap = [&](int64_t first, int64_t size, int64_t tile, int64_t extent, int64_t* place) {
        const int64_t move = Move(first, size, tile, extent);
        if (move == 0 || !(std::abs(move) * level.downsample < reach[slide_index])) return;
        *place = PlaceOf(first + move, size, level.downsample, request.downsample[i]);
      };
      snap(placed.x, request.width, level.tile_width, level.width, snapped + 2 * i);
      snap(placed.y, request.height, level.tile_height, level.height, snapped + 2 * i + 1);
    }
  });
}

}  // namespace ats_mag

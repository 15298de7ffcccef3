#include "resample.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "area_average.h"

namespace ats_mag {
namespace {

constexpr double kTolerance = 0.02;

// Places are computed in float64 from level downsamples such as 4.000137; a tie that is one in exact arithmetic must
// not be decided by the last bit.
constexpr double kRoundingError = 1e-7;

void RenderInterpolated(const Slide& slide, const Plan& plan, int64_t x0, int64_t y0, const Rect& clip,
                        const Tile& tile, uint8_t* rgb, int64_t stride) {
  // Pixel centres are at half: output pixel i lies at (i + 0.5) * ratio - 0.5 from the first pixel of the level.
  const auto place = [&](int64_t i) { return (i + 0.5) * plan.ratio - 0.5; };
  const auto left = static_cast<int64_t>(std::floor(place(tile.x)));
  const auto top = static_cast<int64_t>(std::floor(place(tile.y)));
  const auto right = static_cast<int64_t>(std::floor(place(tile.x + tile.width - 1))) + 2;
  const auto bottom = static_cast<int64_t>(std::floor(place(tile.y + tile.height - 1))) + 2;
  const int64_t source_stride = (right - left) * 3;
  static thread_local std::vector<uint8_t> source;
  source.resize(static_cast<size_t>(source_stride * (bottom - top)));
  slide.ReadRgb(plan.level, {x0 + left, y0 + top, right - left, bottom - top}, clip, source.data(), source_stride);
  for (int64_t row = 0; row < tile.height; ++row) {
    const double y = place(tile.y + row);
    const double fy = y - std::floor(y);
    const uint8_t* upper = source.data() + (static_cast<int64_t>(std::floor(y)) - top) * source_stride;
    const uint8_t* lower = upper + source_stride;
    uint8_t* pixel = rgb + row * stride;
    for (int64_t column = 0; column < tile.width; ++column, pixel += 3) {
      const double x = place(tile.x + column);
      const double fx = x - std::floor(x);
      const int64_t at = (static_cast<int64_t>(std::floor(x)) - left) * 3;
      for (int64_t c = at; c < at + 3; ++c) {
        const double above = upper[c] + fx * (upper[c + 3] - upper[c]);
        const double below = lower[c] + fx * (lower[c + 3] - lower[c]);
        pixel[c - at] = static_cast<uint8_t>(above + fy * (below - above) + 0.5);
      }
    }
  }
}

}  // namespace

Plan ChoosePlan(const Slide& slide, double downsample) {
  const std::vector<Level>& levels = slide.levels();
  int nearest = 0, finer = -1;
  for (int i = 0; i < static_cast<int>(levels.size()); ++i) {
    const double has = levels[i].downsample;
    if (std::abs(has - downsample) < std::abs(levels[nearest].downsample - downsample)) nearest = i;
    if (has < downsample && (finer < 0 || has > levels[finer].downsample)) finer = i;
  }
  if (std::abs(levels[nearest].downsample - downsample) <= kTolerance * downsample * (1 + 1e-9)) {
    return {nearest, 1.0, How::kCopy};
  }
  if (finer >= 0) return {finer, downsample / levels[finer].downsample, How::kAverage};
  return {0, downsample / levels[0].downsample, How::kInterpolate};
}

int64_t FirstPixel(const Slide& slide, const Plan& plan, double centre, int64_t size) {
  const double place = centre / slide.levels()[plan.level].downsample - size * plan.ratio / 2;
  return static_cast<int64_t>(std::floor(place + 0.5 + kRoundingError));
}

Placed Place(const PatchRequest& request, const Slide& slide, int64_t patch) {
  const double downsample = request.downsample[patch];
  const Plan plan = ChoosePlan(slide, downsample);
  const double centre_x = request.location[2 * patch] + request.width * downsample / 2;
  const double centre_y = request.location[2 * patch + 1] + request.height * downsample / 2;
  return {plan, FirstPixel(slide, plan, centre_x, request.width), FirstPixel(slide, plan, centre_y, request.height)};
}

int64_t TileSide(const Plan& plan) {
  return std::clamp<int64_t>(static_cast<int64_t>(kSourceBlock / plan.ratio), 1, kSourceBlock);
}

void Render(const Slide& slide, const Plan& plan, int64_t x0, int64_t y0, const Rect& clip, const Tile& tile,
            uint8_t* rgb, int64_t stride) {
  if (plan.how == How::kCopy) {
    slide.ReadRgb(plan.level, {x0 + tile.x, y0 + tile.y, tile.width, tile.height}, clip, rgb, stride);
    return;
  }
  const auto render = plan.how == How::kAverage ? RenderAveraged : RenderInterpolated;
  const int64_t side = TileSide(plan);
  for (int64_t y = 0; y < tile.height; y += side) {
    for (int64_t x = 0; x < tile.width; x += side) {
      const Tile part = {tile.x + x, tile.y + y, std::min(side, tile.width - x), std::min(side, tile.height - y)};
      render(slide, plan, x0, y0, clip, part, rgb + y * stride + x * 3, stride);
    }
  }
}

}  // namespace ats_mag

#include "area_average.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace ats_mag {
namespace {

// What one output pixel covers along one axis: the source pixels first .. last, of which all count 1 but the two ends.
struct Cover {
  int64_t first, last;
  double low, high;

  Cover(int64_t index, double ratio) : low(Snap(index * ratio)), high(Snap((index + 1) * ratio)) {
    first = static_cast<int64_t>(std::floor(low));
    last = static_cast<int64_t>(std::ceil(high)) - 1;
  }
  // How much of it lies between the source pixels begin and end.
  double Within(int64_t begin, int64_t end) const {
    return std::max(0.0, std::min<double>(high, static_cast<double>(end)) -
                             std::max<double>(low, static_cast<double>(begin)));
  }
  double Weight(int64_t source) const {
    return std::min<double>(high, static_cast<double>(source + 1)) - std::max<double>(low, static_cast<double>(source));
  }
  // index * ratio carries rounding errors, which must not make a whole border into a sliver of the next pixel.
  static double Snap(double value) {
    const double whole = std::round(value);
    return std::abs(value - whole) < 1e-7 ? whole : value;
  }
};

std::vector<Cover> Covers(int64_t begin, int64_t count, double ratio) {
  std::vector<Cover> covers;
  covers.reserve(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) covers.emplace_back(begin + i, ratio);
  return covers;
}

// sums += weight * row, the inner loop of everything here: plain enough for the compiler to vectorise.
void AddRow(const uint8_t* __restrict__ row, float weight, int64_t count, float* __restrict__ sums) {
  if (weight == 1.0f) {
    for (int64_t i = 0; i < count; ++i) sums[i] += row[i];
  } else {
    for (int64_t i = 0; i < count; ++i) sums[i] += weight * row[i];
  }
}

// Adds the part of one output row that lies in the source columns [left, right) to its totals. Totals are float64, as
// one pixel may be the mean of millions.
void AddColumns(const std::vector<Cover>& columns, int64_t left, int64_t right, const float* sums, double* totals) {
  for (const Cover& cover : columns) {
    const int64_t first = std::max(cover.first, left), last = std::min(cover.last, right - 1);
    if (first <= last) {
      const float* pixel = sums + (first - left) * 3;
      double red = 0, green = 0, blue = 0;
      for (int64_t source = first; source <= last; ++source, pixel += 3) {
        const double weight = source == cover.first || source == cover.last ? cover.Weight(source) : 1.0;
        red += weight * pixel[0];
        green += weight * pixel[1];
        blue += weight * pixel[2];
      }
      totals[0] += red;
      totals[1] += green;
      totals[2] += blue;
    }
    totals += 3;
  }
}

}  // namespace

void RenderAveraged(const Slide& slide, const Plan& plan, int64_t x0, int64_t y0, const Rect& clip, const Tile& tile,
                    uint8_t* rgb, int64_t stride) {
  const std::vector<Cover> columns = Covers(tile.x, tile.width, plan.ratio);
  const std::vector<Cover> rows = Covers(tile.y, tile.height, plan.ratio);
  static thread_local std::vector<uint8_t> source;
  static thread_local std::vector<float> sums;
  static thread_local std::vector<double> totals;
  totals.assign(static_cast<size_t>(tile.width * tile.height * 3), 0.0);

  // Only what lies on the slide is worked through, as the field of a coarse patch may be far larger than the slide.
  const Rect extent = slide.Extent(plan.level);
  const int64_t on_x = std::max(clip.x, extent.x) - x0, on_y = std::max(clip.y, extent.y) - y0;
  const int64_t off_x = std::max(on_x, std::min(clip.x + clip.width, extent.width) - x0);
  const int64_t off_y = std::max(on_y, std::min(clip.y + clip.height, extent.height) - y0);
  const int64_t begin_x = std::max(on_x, columns.front().first), end_x = std::min(off_x, columns.back().last + 1);
  const int64_t begin_y = std::max(on_y, rows.front().first), end_y = std::min(off_y, rows.back().last + 1);
  for (int64_t top = begin_y; top < end_y; top += kSourceBlock) {
    const int64_t bottom = std::min(end_y, top + kSourceBlock);
    for (int64_t left = begin_x; left < end_x; left += kSourceBlock) {
      const int64_t right = std::min(end_x, left + kSourceBlock);
      const int64_t count = (right - left) * 3;
      source.resize(static_cast<size_t>(count * (bottom - top)));
      sums.resize(static_cast<size_t>(count));
      slide.ReadRgb(plan.level, {x0 + left, y0 + top, right - left, bottom - top}, clip, source.data(), count);
      for (int64_t row = 0; row < tile.height; ++row) {
        const int64_t first = std::max(rows[row].first, top), last = std::min(rows[row].last, bottom - 1);
        if (first > last) continue;
        std::fill(sums.begin(), sums.end(), 0.0f);
        for (int64_t y = first; y <= last; ++y) {
          const bool border = y == rows[row].first || y == rows[row].last;
          AddRow(source.data() + (y - top) * count, border ? static_cast<float>(rows[row].Weight(y)) : 1.0f, count,
                 sums.data());
        }
        AddColumns(columns, left, right, sums.data(), totals.data() + row * tile.width * 3);
      }
    }
  }
  const double* total = totals.data();
  for (int64_t row = 0; row < tile.height; ++row) {
    for (int64_t column = 0; column < tile.width; ++column, total += 3) {
      const double area = (rows[row].high - rows[row].low) * (columns[column].high - columns[column].low);
      const double beyond = area - rows[row].Within(on_y, off_y) * columns[column].Within(on_x, off_x);
      uint8_t* pixel = rgb + row * stride + column * 3;
      for (int c = 0; c < 3; ++c) {
        const double mean = (total[c] + beyond * slide.background()[c]) / area;
        pixel[c] = static_cast<uint8_t>(std::clamp(mean + 0.5, 0.0, 255.0));
      }
    }
  }
}

}  // namespace ats_mag

// Exact area averages with fractional borders.
#pragma once

#include "resample.h"

namespace ats_mag {

// As Render, for How::kAverage and a tile of at most TileSide pixels a side: every output pixel is the mean of the
// square of plan.ratio level pixels a side that it covers, border pixels weighted by their share, rounded half up.
void RenderAveraged(const Slide& slide, const Plan& plan, int64_t x0, int64_t y0, const Rect& clip, const Tile& tile,
                    uint8_t* rgb, int64_t stride);

}  // namespace ats_mag

// The resolution of a slide in um/px, and where it was found.
#pragma once

#include <limits>
#include <string>

#include "slide.h"

namespace ats_mag {

struct Mpp {
  double value = std::numeric_limits<double>::quiet_NaN();
  std::string source;   // "argument", "openslide.mpp-x", "ome.PhysicalSizeX", "aperio.MPP", "tiff.XResolution"...; "" when unknown
  std::string problem;  // why the value found is refused and what to do, for a message; "" when there is none
};

// In this order: `argument` (NaN = not given), OME's XML, OpenSlide's own properties, the vendor's keys, the TIFF resolution.
// Objective power is no resolution and never taken. An implausible value is a problem, not a reason to look further.
Mpp FindMpp(const Slide& slide, double argument);

// The value itself; throws Error(kInvalidArgument), which names the slide and the mend, when unknown or implausible.
double RequireMpp(const Slide& slide, double argument);

}  // namespace ats_mag

// The resolution that the XML of an OME-TIFF states.
#pragma once

#include <cstdint>
#include <string>

namespace ats_mag {

// um/px along x and y; NaN where it is not stated.
struct OmeMpp {
  double x, y;
};

// Of the picture of `width` x `height` pixels, where `xml` describes several; of the one that it describes otherwise.
OmeMpp ReadOmeMpp(const std::string& xml, int64_t width, int64_t height);

}  // namespace ats_mag

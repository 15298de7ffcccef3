// What is asked of a slide besides pictures.
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "report.h"

namespace fuzz {

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();  // a resolution that is not stated

struct Level {
  double width, height, downsample;
};

// The levels of a slide; none where it cannot be opened.
std::vector<Level> ReadInfo(const std::string& path, Report* report);

void ReadGeometry(const std::string& path, Report* report);

// The parser alone, on files that OpenSlide may refuse before the parser has its turn.
void Parse(const std::string& path);

}  // namespace fuzz

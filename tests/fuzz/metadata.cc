#include "metadata.h"

#include <cstdlib>

#include "read.h"
#include "tiff.h"

namespace fuzz {
namespace {

// The numbers in the list of lists, or the list, under `key` of the JSON that SlideInfo returns.
std::vector<double> Numbers(const std::string& json, const std::string& key) {
  std::vector<double> numbers;
  const size_t at = json.find('"' + key + "\": [");
  if (at == std::string::npos) return numbers;
  const char* text = json.c_str() + at + key.size() + 4;
  for (int depth = 0;; ++text) {
    if (*text == '[') {
      ++depth;
    } else if (*text == ']') {
      if (--depth == 0) return numbers;
    } else if (*text != ',' && *text != ' ') {
      char* end = nullptr;
      numbers.push_back(std::strtod(text, &end));
      if (end == text) return {};  // null: a number that is not finite
      text = end - 1;
    }
  }
}

}  // namespace

std::vector<Level> ReadInfo(const std::string& path, Report* report) {
  std::vector<Level> levels;
  std::string json;
  report->opened = Answers(path, "slide_info", report, [&] { json = ats_mag::SlideInfo(path, kUnknown); });
  if (!report->opened) return levels;
  const std::vector<double> sizes = Numbers(json, "level_dimensions"), downsamples = Numbers(json, "level_downsamples");
  for (size_t i = 0; i < downsamples.size() && 2 * i + 1 < sizes.size(); ++i) {
    levels.push_back({sizes[2 * i], sizes[2 * i + 1], downsamples[i]});
    const Level& level = levels.back();
    if (level.width < 1 || level.height < 1 || !(level.downsample > 0)) levels.clear();
  }
  if (levels.empty()) report->faults.push_back("slide_info: no sound levels: " + json);
  return levels;
}

void ReadGeometry(const std::string& path, Report* report) {
  for (const double slide_mpp : {kUnknown, 0.5}) {
    int64_t bounds[4] = {-1, -1, -1, -1};
    double mpp = kUnknown;
    const bool ok = Answers(path, "geometry", report, [&] {
      ats_mag::SlideGeometry({path}, &slide_mpp, bounds, &mpp);
    });
    if (ok && (bounds[2] < 1 || bounds[3] < 1 || !(mpp > 0))) report->faults.push_back("geometry: empty bounds");
  }
}

void Parse(const std::string& path) {
  const ats_mag::File file(path);
  ats_mag::Tiff tiff;
  if (!file.is_open() || !ats_mag::ReadTiff(file, &tiff).empty()) return;
  for (const ats_mag::TiffImage& image : tiff.images) {
    for (const ats_mag::TiffArray& array : {image.offsets, image.lengths}) {
      for (const uint64_t index : {uint64_t{0}, array.count / 2, array.count - 1, array.count, ~uint64_t{0}}) {
        uint64_t number = 0;
        const bool found = ats_mag::ReadNumber(file, tiff.order, array, index, &number);
        if (found && index >= array.count) std::abort();
      }
    }
  }
}

}  // namespace fuzz

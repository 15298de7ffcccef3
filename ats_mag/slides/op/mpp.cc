#include "mpp.h"

#include <cmath>
#include <locale>
#include <vector>

#include "error.h"
#include "ome.h"

namespace ats_mag {
namespace {

constexpr double kNotGiven = std::numeric_limits<double>::quiet_NaN();
// As PLAUSIBLE_SLIDE_MPP and LARGEST_DIFFERENCE of geometry/units.py.
constexpr double kSmallest = 0.05, kLargest = 50.0, kLargestDifference = 0.10;
constexpr char kMend[] = "give the slide's true resolution as `slide_mpp` (in a manifest: the column `mpp`)";

struct Candidate {
  std::string source;
  double x, y;  // NaN where the file is silent
};

double Number(const Slide& slide, const char* name) {
  std::istringstream text(slide.property(name));
  text.imbue(std::locale::classic());  // whatever the program's locale, the file's decimal sign is a point
  double value = kNotGiven;
  return text >> value && (text >> std::ws).eof() ? value : kNotGiven;
}

double TiffMpp(const Slide& slide, const char* name) {
  const std::string unit = slide.property("tiff.ResolutionUnit");
  const double micrometres = unit == "centimeter" ? 1e4 : unit == "inch" ? 2.54e4 : kNotGiven;
  return micrometres / Number(slide, name);
}

// Hamamatsu VMS and VMU files state the width and height of the whole level 0 in nanometres.
double PhysicalMpp(const Slide& slide, const char* name, int64_t pixels) {
  return Number(slide, name) / 1000.0 / static_cast<double>(pixels);
}

std::vector<Candidate> Candidates(const Slide& slide) {
  const Level& base = slide.levels()[0];
  const std::string text = slide.property("openslide.comment");
  const OmeMpp ome = text.find("OME") == std::string::npos ? OmeMpp{kNotGiven, kNotGiven}
                                                           : ReadOmeMpp(text, base.width, base.height);
  const double aperio = Number(slide, "aperio.MPP");
  const double ventana = Number(slide, "ventana.ScanRes");
  return {
      // Of such a file OpenSlide knows the TIFF resolution only, which often is a placeholder.
      {"ome.PhysicalSizeX", ome.x, ome.y},
      {"openslide.mpp-x", Number(slide, "openslide.mpp-x"), Number(slide, "openslide.mpp-y")},
      {"aperio.MPP", aperio, aperio},
      {"ventana.ScanRes", ventana, ventana},
      {"mirax.LAYER_0_LEVEL_0_SECTION.MICROMETER_PER_PIXEL_X",
       Number(slide, "mirax.LAYER_0_LEVEL_0_SECTION.MICROMETER_PER_PIXEL_X"),
       Number(slide, "mirax.LAYER_0_LEVEL_0_SECTION.MICROMETER_PER_PIXEL_Y")},
      {"hamamatsu.PhysicalWidth", PhysicalMpp(slide, "hamamatsu.PhysicalWidth", base.width),
       PhysicalMpp(slide, "hamamatsu.PhysicalHeight", base.height)},
      {"tiff.XResolution", TiffMpp(slide, "tiff.XResolution"), TiffMpp(slide, "tiff.YResolution")},
  };
}

std::string Implausible(const Slide& slide, const Candidate& found) {
  for (const double value : {found.x, found.y}) {
    if (value >= kSmallest && value <= kLargest) continue;
    // 72 and 96 dots per inch are what drawing programs write when they know nothing.
    const bool screen = std::abs(value - 25400.0 / 72) < 0.5 || std::abs(value - 25400.0 / 96) < 0.5;
    return Cat("the resolution of slide ", Quote(slide.path()), " is not plausible: ", value, " um/px from ",
               found.source, " (expected ", kSmallest, " to ", kLargest, ")",
               screen ? ", the screen resolution of a drawing program rather than a microscope's" : "", "; ", kMend);
  }
  const double difference = std::abs(found.x - found.y) / std::min(found.x, found.y);
  if (difference > kLargestDifference) {
    return Cat("the resolution of slide ", Quote(slide.path()), " is not plausible: ", found.x, " um/px in x but ",
               found.y, " in y from ", found.source, "; ", kMend);
  }
  return "";
}

}  // namespace

Mpp FindMpp(const Slide& slide, double argument) {
  std::vector<Candidate> candidates;
  if (!std::isnan(argument)) {
    candidates = {{"argument", argument, argument}};
  } else {
    candidates = Candidates(slide);
  }
  for (Candidate& candidate : candidates) {
    if (std::isnan(candidate.x)) candidate.x = candidate.y;
    if (std::isnan(candidate.y)) candidate.y = candidate.x;
    if (std::isnan(candidate.x)) continue;
    Mpp found;
    found.source = candidate.source;
    found.problem = Implausible(slide, candidate);
    found.value = (candidate.x + candidate.y) / 2;
    return found;
  }
  return {};
}

double RequireMpp(const Slide& slide, double argument) {
  const Mpp found = FindMpp(slide, argument);
  if (!found.problem.empty()) throw Error(Code::kInvalidArgument, found.problem);
  if (found.source.empty()) {
    throw Error(Code::kInvalidArgument,
                Cat("the resolution of slide ", Quote(slide.path()), " is unknown: the file states none; ", kMend));
  }
  return found.value;
}

}  // namespace ats_mag

#include <cmath>
#include <locale>

#include "engine.h"
#include "error.h"
#include "mpp.h"
#include "read.h"

namespace ats_mag {
namespace {

std::string JsonString(const std::string& text) {
  const std::string safe = Quote(text);
  std::string json = "\"";
  for (size_t i = 1; i + 1 < safe.size(); ++i) {
    if (safe[i] == '"' || safe[i] == '\\') json += '\\';
    json += safe[i];
  }
  return json + "\"";
}

std::string JsonStringOrNull(const std::string& text) { return text.empty() ? "null" : JsonString(text); }

std::string JsonNumber(double value) {
  if (!std::isfinite(value)) return "null";
  std::ostringstream text;
  text.imbue(std::locale::classic());
  text.precision(17);
  text << value;
  return text.str();
}

template <typename Item>
std::string JsonLevels(const Slide& slide, const Item& item) {
  std::string json = "[";
  for (const Level& level : slide.levels()) json += (json.size() > 1 ? ", " : "") + item(level);
  return json + "]";
}

// Per level null, or why it is read through OpenSlide.
std::string JsonWhyNotDirect(const Slide& slide) {
  std::string json = "[";
  for (int i = 0; i < static_cast<int>(slide.levels().size()); ++i) {
    json += (i > 0 ? ", " : "") + JsonStringOrNull(slide.why_not_direct(i));
  }
  return json + "]";
}

// [width, height, why it is no level] each.
std::string JsonOtherPages(const Slide& slide) {
  std::string json = "[";
  for (const OtherPage& page : slide.other_pages()) {
    json += Cat(json.size() > 1 ? ", [" : "[", page.width, ", ", page.height, ", ", JsonString(page.why), "]");
  }
  return json + "]";
}

std::string Pair(int64_t first, int64_t second) { return Cat("[", first, ", ", second, "]"); }

}  // namespace

std::string SlideInfo(const std::string& path, double slide_mpp) {
  const SlidePtr slide = GetEngine().slides.Get(path);
  const Mpp mpp = FindMpp(*slide, slide_mpp);
  const Rect& box = slide->bounds();
  const auto& colour = slide->background();
  const std::string power = slide->property("openslide.objective-power");
  return Cat(
      "{\"vendor\": ", JsonStringOrNull(slide->property("openslide.vendor")),
      ", \"level_dimensions\": ", JsonLevels(*slide, [](const Level& l) { return Pair(l.width, l.height); }),
      ", \"level_downsamples\": ", JsonLevels(*slide, [](const Level& l) { return JsonNumber(l.downsample); }),
      ", \"tile_dimensions\": ", JsonLevels(*slide, [](const Level& l) {
        return l.tile_width > 0 && l.tile_height > 0 ? Pair(l.tile_width, l.tile_height) : std::string("null");
      }),
      ", \"not_direct\": ", JsonWhyNotDirect(*slide), ", \"other_pages\": ", JsonOtherPages(*slide),
      ", \"mpp\": ", JsonNumber(mpp.value), ", \"mpp_source\": ", JsonStringOrNull(mpp.source),
      ", \"mpp_problem\": ", JsonStringOrNull(mpp.problem), ", \"objective_power\": ", JsonStringOrNull(power),
      ", \"bounds\": [", box.x, ", ", box.y, ", ", box.width, ", ", box.height, "]",
      ", \"background\": [", int{colour[0]}, ", ", int{colour[1]}, ", ", int{colour[2]}, "]",
      ", \"states_background\": ", slide->states_background() ? "true" : "false",
      ", \"quickhash\": ", JsonStringOrNull(slide->property("openslide.quickhash-1")), "}");
}

}  // namespace ats_mag

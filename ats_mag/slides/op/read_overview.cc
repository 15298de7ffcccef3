#include <algorithm>
#include <cmath>

#include "engine.h"
#include "error.h"
#include "mpp.h"
#include "read.h"
#include "resample.h"

namespace ats_mag {
namespace {

constexpr int64_t kMostPixels = int64_t{1} << 28;

// Where the picture lies in the level that is read, and its size.
struct Layout {
  Plan plan;
  Rect clip;  // the slide's bounds in pixels of the level
  int64_t height, width;
};

// A length along one axis: as it stands, the picture is what the level has of the bounds; else it covers the bounds.
int64_t Length(const Plan& plan, int64_t in_level, int64_t bounds, double downsample) {
  if (plan.how == How::kCopy) return in_level;
  const double length = std::ceil(static_cast<double>(bounds) / downsample - 1e-6);
  if (!(length <= static_cast<double>(kMostPixels))) return kMostPixels + 1;
  return std::max<int64_t>(1, static_cast<int64_t>(length));
}

Layout LayOut(const Slide& slide, double mpp, double slide_mpp) {
  const double downsample = mpp / slide_mpp;
  Layout layout{};
  layout.plan = ChoosePlan(slide, downsample);
  const Level& base = slide.levels()[0];
  const Level& level = slide.levels()[layout.plan.level];
  const Rect& bounds = slide.bounds();
  // Lengths go by the level's true size, which its downsample (a mean over both axes) only approximates.
  layout.clip = {static_cast<int64_t>(std::floor(bounds.x / level.downsample + 0.5 + 1e-7)),
                 static_cast<int64_t>(std::floor(bounds.y / level.downsample + 0.5 + 1e-7)),
                 std::max<int64_t>(1, std::llround(static_cast<double>(bounds.width) * level.width / base.width)),
                 std::max<int64_t>(1, std::llround(static_cast<double>(bounds.height) * level.height / base.height))};
  layout.height = Length(layout.plan, layout.clip.height, bounds.height, downsample);
  layout.width = Length(layout.plan, layout.clip.width, bounds.width, downsample);
  if (layout.height > kMostPixels / layout.width) {
    throw Error(Code::kInvalidArgument,
                Cat("the overview of slide ", Quote(slide.path()), " at ", mpp, " um/px would have more than ",
                    kMostPixels, " pixels (the slide: ", bounds.width, " x ", bounds.height, " at ", slide_mpp,
                    " um/px); raise overview_mpp"));
  }
  return layout;
}

void RenderOverview(const Slide& slide, const Layout& layout, uint8_t* rgb) {
  const int64_t side = TileSide(layout.plan);
  const int64_t across = (layout.width + side - 1) / side, down = (layout.height + side - 1) / side;
  GetEngine().pool.For(across * down, [&](int64_t i) {
    const int64_t x = i % across * side, y = i / across * side;
    const Tile tile = {x, y, std::min(side, layout.width - x), std::min(side, layout.height - y)};
    Render(slide, layout.plan, layout.clip.x, layout.clip.y, layout.clip, tile, rgb + (y * layout.width + x) * 3,
           layout.width * 3);
  });
}

}  // namespace

void ReadOverview(const std::string& path, double mpp, double slide_mpp,
                  const std::function<uint8_t*(int64_t, int64_t)>& allocate) {
  if (!(mpp > 0) || !std::isfinite(mpp)) {
    throw Error(Code::kInvalidArgument, Cat("the overview of slide ", Quote(path),
                                            " needs a positive, finite resolution in um/px. Received: mpp=", mpp));
  }
  SlideCache& slides = GetEngine().slides;
  SlidePtr slide = slides.Get(path);
  for (bool again = false;; again = true) {
    const Layout layout = LayOut(*slide, mpp, RequireMpp(*slide, slide_mpp));
    try {
      RenderOverview(*slide, layout, allocate(layout.height, layout.width));
      if (slide->IsCurrent()) return;
      if (!again) {
        slide = slides.Get(path);
        continue;
      }
      throw Error(Code::kDataLoss, "the file is being replaced");
    } catch (const Error& error) {
      if (error.code() != Code::kDataLoss) throw;
      slides.Evict(slide);
      if (again) {
        throw Error(Code::kDataLoss, Cat("cannot read slide ", Quote(path), " at level ", layout.plan.level,
                                         " for its overview from location (", slide->bounds().x, ", ",
                                         slide->bounds().y, "): ", error.what(),
                                         "; the file is damaged: copy it again from its source"));
      }
      // The error may be another call's, as it sticks to the shared handle: try once more with a handle of our own.
      slide = slides.OpenPrivate(path);
    }
  }
}

void SlideGeometry(const std::vector<std::string>& paths, const double* slide_mpp, int64_t* bounds, double* mpp) {
  Engine& engine = GetEngine();
  engine.pool.For(static_cast<int64_t>(paths.size()), [&](int64_t i) {
    const SlidePtr slide = engine.slides.Get(paths[i]);
    const Rect& box = slide->bounds();
    const int64_t values[] = {box.x, box.y, box.width, box.height};
    std::copy_n(values, 4, bounds + 4 * i);
    mpp[i] = RequireMpp(*slide, slide_mpp[i]);
  });
}

}  // namespace ats_mag

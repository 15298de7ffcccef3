#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <tuple>

#include "engine.h"
#include "error.h"
#include "read.h"
#include "read_tiles.h"
#include "resample.h"

namespace ats_mag {
namespace {

constexpr double kFinest = 1.0 / 1024, kCoarsest = 1 << 20;
constexpr int64_t kFarthest = int64_t{1} << 40;
constexpr int64_t kLargestSide = 1 << 16, kMostBytes = int64_t{1} << 40;

bool IsFileError(const Error& error) {
  return error.code() == Code::kNotFound || error.code() == Code::kPermissionDenied ||
         error.code() == Code::kInvalidArgument || error.code() == Code::kDataLoss;
}

// One slide of a request, whose handle may have to be replaced under way.
class Source {
 public:
  explicit Source(const std::string& path) : path_(path) {}

  // Opens it; returns whether it could be opened. Throws what is no fault of the file.
  bool Open() {
    try {
      slide_ = GetEngine().slides.Get(path_);
    } catch (const Error& error) {
      if (!IsFileError(error)) throw;
      error_ = std::make_unique<Error>(error);
    }
    return error_ == nullptr;
  }
  const Error* error() const { return error_.get(); }

  SlidePtr Get() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (slide_ == nullptr) slide_ = GetEngine().slides.Get(path_);
    return slide_;
  }

  // Runs `read(slide)`. An error may stem from another thread's damaged region, as it sticks to the handle they share:
  // only a second try, with a handle of its own, tells whether this region is damaged. And OpenSlide opens the file for
  // every read anew, so pixels count only if the file was not replaced meanwhile.
  template <typename Read>
  void Run(const Read& read) {
    for (int tries = 0; tries < 3; ++tries) {
      const SlidePtr shared = Get();
      try {
        read(*shared);
        if (shared->IsCurrent()) return;
        Replace(shared, nullptr);
        continue;
      } catch (const Error& error) {
        if (error.code() != Code::kDataLoss) throw;
      }
      Replace(shared, nullptr);
      const SlidePtr fresh = GetEngine().slides.OpenPrivate(path_);
      read(*fresh);
      Replace(nullptr, fresh);
      if (fresh->IsCurrent()) return;
    }
    throw Error(Code::kDataLoss,
                Cat("cannot read slide ", Quote(path_), ": the file is being replaced; read it again later"));
  }

 private:
  void Replace(const SlidePtr& from, const SlidePtr& to) {
    if (from != nullptr) GetEngine().slides.Evict(from);
    std::lock_guard<std::mutex> lock(mutex_);
    if (slide_ == from) slide_ = to;
  }

  const std::string path_;
  std::mutex mutex_;
  SlidePtr slide_;
  std::unique_ptr<Error> error_;
};

void ReadPatch(const PatchRequest& request, const Slide& slide, int64_t i) {
  const Placed placed = Place(request, slide, i);
  const int64_t stride = request.width * 3;
  try {
    Render(slide, placed.plan, placed.x, placed.y, slide.Extent(placed.plan.level),
           {0, 0, request.width, request.height}, request.patches + i * request.height * stride, stride);
  } catch (const Error& error) {
    if (error.code() != Code::kDataLoss) throw;
    throw Error(Code::kDataLoss,
                Cat("cannot read slide ", Quote(slide.path()), " at level ", placed.plan.level, ", location (",
                    request.location[2 * i], ", ", request.location[2 * i + 1], "), downsample ",
                    request.downsample[i], ": ", error.what(), "; the file is damaged: copy it again from its source"));
  }
}

// Patches of one slide, level and neighbourhood one after the other, as they share decoded tiles.
std::vector<int64_t> LocalOrder(const PatchRequest& request) {
  constexpr double kNeighbourhood = 1024;  // pixels of the patch's resolution
  std::vector<int64_t> order(request.paths.size() * static_cast<size_t>(request.per_slide));
  std::iota(order.begin(), order.end(), int64_t{0});
  const auto key = [&](int64_t i) {
    const double side = kNeighbourhood * request.downsample[i];
    return std::make_tuple(i / request.per_slide, request.downsample[i],
                           std::floor(request.location[2 * i + 1] / side), request.location[2 * i], i);
  };
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return key(a) < key(b); });
  return order;
}

// All slides of the request are open together.
void ReadTogether(const PatchRequest& request) {
  const int64_t total = static_cast<int64_t>(request.paths.size()) * request.per_slide;
  Engine& engine = GetEngine();

  std::map<std::string, std::unique_ptr<Source>> by_path;
  std::vector<Source*> sources, distinct;
  for (const std::string& path : request.paths) {
    std::unique_ptr<Source>& source = by_path[path];
    if (source == nullptr) {
      source = std::make_unique<Source>(path);
      distinct.push_back(source.get());
    }
    sources.push_back(source.get());
  }
  engine.pool.For(static_cast<int64_t>(distinct.size()), [&](int64_t i) { distinct[i]->Open(); });
  if (!request.fill) {
    for (const Source* source : distinct) {
      if (source->error() != nullptr) throw *source->error();
    }
  }

  std::vector<SlidePtr> slides;
  for (Source* source : sources) slides.push_back(source->error() == nullptr ? source->Get() : nullptr);
  std::vector<std::atomic<bool>> done(static_cast<size_t>(total));
  ReadByTiles(request, slides, &done);

  std::vector<int64_t> order = LocalOrder(request);
  order.erase(std::remove_if(order.begin(), order.end(), [&](int64_t i) { return done[i].load(); }), order.end());
  for (int64_t i = 0; i < total; ++i) request.valid[i] = done[i];
  engine.patches_read += total - static_cast<int64_t>(order.size());
  const int64_t patch_bytes = request.height * request.width * 3;
  std::mutex mutex;
  int64_t failed = total;  // the lowest index of a failed patch
  std::unique_ptr<Error> failure;
  engine.pool.For(static_cast<int64_t>(order.size()), [&](int64_t position) {
    const int64_t i = order[position];
    Source& source = *sources[i / request.per_slide];
    if (!request.fill) {
      std::lock_guard<std::mutex> lock(mutex);
      if (i > failed) return;  // only an earlier patch can still change the outcome
    }
    if (source.error() == nullptr) {
      try {
        source.Run([&](const Slide& slide) { ReadPatch(request, slide, i); });
        request.valid[i] = true;
        ++engine.patches_read;
        return;
      } catch (const Error& error) {
        if (!IsFileError(error)) throw;
        if (!request.fill) {
          std::lock_guard<std::mutex> lock(mutex);
          if (i < failed) {
            failed = i;
            failure = std::make_unique<Error>(error);
          }
          return;
        }
      }
    }
    std::fill_n(request.patches + i * patch_bytes, patch_bytes, uint8_t{255});
    ++engine.patches_filled;
  });
  if (failure != nullptr) throw Error(*failure);
}

// The slides [begin, end) of a request.
PatchRequest Part(const PatchRequest& request, int64_t begin, int64_t end) {
  const int64_t first = begin * request.per_slide;
  PatchRequest part = request;
  part.paths.assign(request.paths.begin() + begin, request.paths.begin() + end);
  part.location += 2 * first;
  part.downsample += first;
  part.patches += first * request.height * request.width * 3;
  part.valid += first;
  return part;
}

// In halves, where not all of its slides can be open together.
void ReadPart(const PatchRequest& request) {
  const auto slides = static_cast<int64_t>(request.paths.size());
  try {
    ReadTogether(request);
    return;
  } catch (const Error& error) {
    if (error.code() != Code::kResourceExhausted || slides == 1) throw;
  }
  GetEngine().slides.CloseIdle();
  ReadPart(Part(request, 0, slides / 2));
  ReadPart(Part(request, slides / 2, slides));
}

}  // namespace

void CheckPatches(const PatchRequest& request) {
  const auto batch = static_cast<int64_t>(request.paths.size());
  for (int64_t i = 0; i < batch * request.per_slide; ++i) {
    const int64_t slide = i / request.per_slide, patch = i % request.per_slide;
    const int64_t x = request.location[2 * i], y = request.location[2 * i + 1];
    const double downsample = request.downsample[i];
    if (!(downsample >= kFinest && downsample <= kCoarsest)) {
      throw Error(Code::kInvalidArgument,
                  Cat("downsample[", slide, ", ", patch, "] of slide ", Quote(request.paths[slide]),
                      " must be between ", kFinest, " and ", kCoarsest, " level-0 pixels per pixel. Received: ",
                      downsample));
    }
    if (x < -kFarthest || x > kFarthest || y < -kFarthest || y > kFarthest) {
      throw Error(Code::kInvalidArgument,
                  Cat("location[", slide, ", ", patch, "] of slide ", Quote(request.paths[slide]),
                      " is too far from the slide (it came from a NaN or infinite number?). Received: (", x, ", ", y,
                      ")"));
    }
  }
}

void CheckPatchSize(int64_t batch, int64_t per_slide, int64_t height, int64_t width) {
  if (height < 1 || width < 1 || height > kLargestSide || width > kLargestSide) {
    throw Error(Code::kInvalidArgument, Cat("the patch size must be between 1 and ", kLargestSide,
                                            " pixels a side. Received: ", height, " x ", width));
  }
  int64_t bytes = height * width * 3;
  for (const int64_t factor : {batch, per_slide}) {
    if (factor < 0 || __builtin_mul_overflow(bytes, factor, &bytes) || bytes > kMostBytes) {
      throw Error(Code::kInvalidArgument, Cat("too many pixels in one request: ", batch, " slides x ", per_slide,
                                              " patches of ", height, " x ", width, "; read fewer at a time"));
    }
  }
}

void ReadPatches(const PatchRequest& request) {
  const auto batch = static_cast<int64_t>(request.paths.size());
  CheckPatchSize(batch, request.per_slide, request.height, request.width);
  CheckPatches(request);
  if (batch * request.per_slide == 0) return;
  const auto at_once = static_cast<int64_t>(GetEngine().slides.max_open());
  if (batch <= at_once) return ReadPart(request);
  for (int64_t begin = 0; begin < batch; begin += at_once) {
    ReadPart(Part(request, begin, std::min(batch, begin + at_once)));
  }
}

}  // namespace ats_mag

// An open slide: its levels and properties, and reading of composited RGB pixels from one level.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "direct.h"
#include "geometry.h"
#include "openslide_api.h"

namespace ats_mag {

// Immutable after construction, and safe to read from many threads at once, as OpenSlide's handles are.
class Slide {
 public:
  // Throws Error: kNotFound, kPermissionDenied, or kInvalidArgument when it is not a slide. `cache` may be shared.
  Slide(const std::string& path, OpenSlideCache* cache);
  ~Slide();
  Slide(const Slide&) = delete;
  Slide& operator=(const Slide&) = delete;

  const std::string& path() const { return path_; }
  // Of the file as it was when it was opened. OpenSlide opens it again by its path whenever it reads.
  const Stamp& stamp() const { return stamp_; }
  bool IsCurrent() const { return stamp_ == StampOf(path_); }

  const std::vector<Level>& levels() const { return levels_; }
  const std::vector<OtherPage>& other_pages() const { return other_pages_; }
  const Rect& bounds() const { return bounds_; }  // level-0 pixels; the whole of level 0 when the file states none
  const Colour& background() const { return background_; }
  bool states_background() const { return states_background_; }
  std::string property(const char* name) const;  // "" when there is none

  // The level where it is read without OpenSlide, else nullptr; `why_not_direct` then says why.
  const DirectLevel* direct(int level) const { return direct_->level(level); }
  const std::string& why_not_direct(int level) const { return direct_->why(level); }

  // The whole of a level, as a rectangle of its own pixels.
  Rect Extent(int level) const { return {0, 0, levels_[level].width, levels_[level].height}; }

  // Reads `window` (pixels of `level`) composited over the background; what lies outside `clip` is background.
  // `rgb` has `stride` bytes per row. The window may lie anywhere. Throws Error(kDataLoss), after which OpenSlide
  // refuses every further read through this handle: drop it.
  void ReadRgb(int level, const Rect& window, const Rect& clip, uint8_t* rgb, int64_t stride) const;

 private:
  void ReadMetadata(const Tiff& tiff);
  void ReadBlock(int level, const Rect& block, uint8_t* rgb, int64_t stride) const;

  const std::string path_;
  const Stamp stamp_;
  OpenSlideHandle* handle_ = nullptr;
  std::vector<Level> levels_;
  std::vector<OtherPage> other_pages_;
  Rect bounds_{};
  Colour background_{255, 255, 255};
  bool states_background_ = false;
  std::unique_ptr<const Direct> direct_;
};

}  // namespace ats_mag

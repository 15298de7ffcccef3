// The few functions of OpenSlide 4 that are used, found at run time so that nothing has to be linked.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ats_mag {

struct OpenSlideHandle;
struct OpenSlideCache;

struct OpenSlideApi {
  OpenSlideHandle* (*open)(const char* path);
  void (*close)(OpenSlideHandle*);
  const char* (*get_error)(OpenSlideHandle*);
  int32_t (*get_level_count)(OpenSlideHandle*);
  void (*get_level_dimensions)(OpenSlideHandle*, int32_t level, int64_t* width, int64_t* height);
  double (*get_level_downsample)(OpenSlideHandle*, int32_t level);
  void (*read_region)(OpenSlideHandle*, uint32_t* argb, int64_t x, int64_t y, int32_t level, int64_t w, int64_t h);
  const char* (*get_property_value)(OpenSlideHandle*, const char* name);
  const char* (*get_version)();
  OpenSlideCache* (*cache_create)(size_t bytes);
  void (*set_cache)(OpenSlideHandle*, OpenSlideCache*);
};

// Loads OpenSlide on the first call; throws Error(kFailedPrecondition) with the places tried when there is none.
const OpenSlideApi& OpenSlide();

}  // namespace ats_mag

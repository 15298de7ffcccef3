// What all calls of a process share: the open slides, the thread pool, the counters.
#pragma once

#include <atomic>
#include <cstdint>

#include "pool.h"
#include "slide_cache.h"
#include "tile_cache.h"

namespace ats_mag {

struct Engine {
  Engine();
  SlideCache slides;
  TileCache tiles;
  Pool pool;
  const bool direct;  // whether JPEG tiles of TIFF files are decoded here
  std::atomic<int64_t> patches_read{0};
  std::atomic<int64_t> patches_filled{0};
};

// The engine of this process, made on first use and never destroyed. A forked child gets a new one: threads do not
// survive a fork, and file offsets of handles opened before it are shared with the parent, so those are left alone.
Engine& GetEngine();

}  // namespace ats_mag

// Patches that lie on directly read levels as they stand: tile by tile instead of patch by patch.
#pragma once

#include <atomic>
#include <vector>

#include "read.h"
#include "slide_cache.h"

namespace ats_mag {

// Reads what it can of a request, and sets `done` for those patches; the rest is left for another way. Each tile that
// the patches touch is decoded once, and only as far as any of them needs it. `slides` has one entry per slide of the
// request, nullptr for those that could not be opened.
void ReadByTiles(const PatchRequest& request, const std::vector<SlidePtr>& slides,
                 std::vector<std::atomic<bool>>* done);

}  // namespace ats_mag

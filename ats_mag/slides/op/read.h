// The calls that the TensorFlow ops and the plain C entry share. Every one throws Error.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "slide.h"

namespace ats_mag {

struct PatchRequest {
  std::vector<std::string> paths;  // one per slide of the batch
  int64_t per_slide;               // N
  int64_t height, width;           // of a patch
  const int64_t* location;         // (B, N, 2): level-0 (x, y) of the top-left corner
  const double* downsample;        // (B, N): level-0 pixels per pixel of the patch
  bool fill;                       // paint patches that cannot be read white instead of throwing
  uint8_t* patches;                // (B, N, height, width, 3)
  bool* valid;                     // (B, N)
};

// Throws kInvalidArgument unless the output of such a request has a sensible size.
void CheckPatchSize(int64_t batch, int64_t per_slide, int64_t height, int64_t width);

// Throws kInvalidArgument for a place or a downsample that no slide has.
void CheckPatches(const PatchRequest& request);

// Moves patches by less than `reach` (B; level-0 pixels) along each axis, where then fewer of the slide's tiles have to
// be decoded: `snapped` (B, N, 2) is `location` or a place from which the patch begins with a tile or ends with one.
// Patches that are not a level's pixels as they stand, and slides that cannot be opened, stay as they are.
void SnapPatches(const PatchRequest& request, const double* reach, int64_t* snapped);

// Reads B x N patches, spread over the thread pool; no more slides are open together than are kept open anyway. When
// several patches of those fail, the error is that of the first of them.
void ReadPatches(const PatchRequest& request);

// Reads the slide's bounds at `mpp` um/px. `allocate(height, width)` returns the memory for height x width x 3 bytes
// (it is called again when a read has to be repeated). `slide_mpp` NaN means the file's.
void ReadOverview(const std::string& path, double mpp, double slide_mpp,
                  const std::function<uint8_t*(int64_t height, int64_t width)>& allocate);

// The bounds (x, y, width, height; level-0 pixels) and the resolution of every slide.
void SlideGeometry(const std::vector<std::string>& paths, const double* slide_mpp, int64_t* bounds, double* mpp);

// Everything about a slide, as JSON. An unknown or implausible resolution is reported in it, not thrown.
std::string SlideInfo(const std::string& path, double slide_mpp);

}  // namespace ats_mag

// The plain C entry, for callers without TensorFlow (ctypes): status codes and messages instead of exceptions.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include "engine.h"
#include "error.h"
#include "jpeg_tile.h"
#include "read.h"

#define ATS_MAG_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

// Runs `body`; returns 0, or a code as in error.h with the message in `message` (of `capacity` bytes, cut to fit).
template <typename Body>
int Guard(char* message, int64_t capacity, const Body& body) {
  const auto report = [&](ats_mag::Code code, const char* text) {
    if (message != nullptr && capacity > 0) {
      const size_t length = std::min(std::strlen(text), static_cast<size_t>(capacity - 1));
      std::memcpy(message, text, length);
      message[length] = '\0';
    }
    return static_cast<int>(code);
  };
  try {
    body();
    return 0;
  } catch (const ats_mag::Error& error) {
    return report(error.code(), error.what());
  } catch (const std::bad_alloc&) {
    return report(ats_mag::Code::kResourceExhausted, "out of memory while reading slides");
  } catch (const std::exception& error) {
    return report(ats_mag::Code::kInternal, error.what());
  }
}

// Rows of zero-padded bytes as paths.
std::vector<std::string> Paths(const uint8_t* path_codes, int64_t batch, int64_t path_length) {
  std::vector<std::string> paths;
  for (int64_t i = 0; i < batch; ++i) {
    const char* row = reinterpret_cast<const char*>(path_codes) + i * path_length;
    paths.emplace_back(row, strnlen(row, static_cast<size_t>(path_length)));
    if (paths.back().empty()) throw ats_mag::Error(ats_mag::Code::kInvalidArgument, "a path must not be empty");
  }
  return paths;
}

}  // namespace

struct AtsMagStats {
  int64_t open_slides, patches_read, patches_filled;
};

// The version of the OpenSlide in use, or nullptr when there is none.
ATS_MAG_EXPORT const char* ats_mag_openslide_version() {
  const char* version = nullptr;
  Guard(nullptr, 0, [&] { version = ats_mag::OpenSlide().get_version(); });
  return version;
}

// What JPEG tiles of TIFF files are decoded with, or why they go through OpenSlide.
ATS_MAG_EXPORT const char* ats_mag_direct() {
  bool on = false;
  Guard(nullptr, 0, [&] { on = ats_mag::GetEngine().direct; });
  if (!on) return "off: ATS_MAG_DIRECT=0";
  return ats_mag::Jpeg().available ? ats_mag::Jpeg().version.c_str() : ats_mag::Jpeg().why.c_str();
}

// Threads that read, the caller included; -1 when the environment's settings are wrong.
ATS_MAG_EXPORT int ats_mag_threads() {
  int threads = -1;
  Guard(nullptr, 0, [&] { threads = ats_mag::GetEngine().pool.threads(); });
  return threads;
}

ATS_MAG_EXPORT AtsMagStats ats_mag_stats() {
  AtsMagStats stats{};
  Guard(nullptr, 0, [&] {
    const ats_mag::Engine& engine = ats_mag::GetEngine();
    stats = {static_cast<int64_t>(engine.slides.size()), engine.patches_read, engine.patches_filled};
  });
  return stats;
}

// Closes the slides that nothing reads from now.
ATS_MAG_EXPORT void ats_mag_close_idle() {
  Guard(nullptr, 0, [&] { ats_mag::GetEngine().slides.CloseIdle(); });
}

// As the op AtsMagReadPatches. `path_codes` (batch, path_length) are zero-padded bytes; the arrays are contiguous, the
// outputs of the sizes (batch, per_slide, height, width, 3) and (batch, per_slide).
ATS_MAG_EXPORT int ats_mag_read_patches(const uint8_t* path_codes, int64_t batch, int64_t path_length,
                                        const int64_t* location, const double* downsample, int64_t per_slide,
                                        int64_t height, int64_t width, int fill, uint8_t* patches, bool* valid,
                                        char* message, int64_t capacity) {
  return Guard(message, capacity, [&] {
    ats_mag::ReadPatches({Paths(path_codes, batch, path_length), per_slide, height, width, location, downsample,
                          fill != 0, patches, valid});
  });
}

// As the op AtsMagSnapPatches: `reach` (batch), `snapped` (batch, per_slide, 2).
ATS_MAG_EXPORT int ats_mag_snap_patches(const uint8_t* path_codes, int64_t batch, int64_t path_length,
                                        const int64_t* location, const double* downsample, int64_t per_slide,
                                        int64_t height, int64_t width, const double* reach, int64_t* snapped,
                                        char* message, int64_t capacity) {
  return Guard(message, capacity, [&] {
    ats_mag::SnapPatches({Paths(path_codes, batch, path_length), per_slide, height, width, location, downsample, false,
                          nullptr, nullptr}, reach, snapped);
  });
}

// As the op AtsMagReadOverview. `allocate(height, width)` returns the memory for height x width x 3 bytes, or nullptr;
// it is called on the caller's thread, and once more where a read has to be repeated: the last memory counts.
ATS_MAG_EXPORT int ats_mag_read_overview(const char* path, double mpp, double slide_mpp,
                                         uint8_t* (*allocate)(int64_t height, int64_t width), char* message,
                                         int64_t capacity) {
  return Guard(message, capacity, [&] {
    ats_mag::ReadOverview(path, mpp, slide_mpp, [&](int64_t height, int64_t width) {
      uint8_t* memory = allocate(height, width);
      if (memory == nullptr) throw std::bad_alloc();
      return memory;
    });
  });
}

// As the op AtsMagSlideGeometry: `slide_mpp` (batch), `bounds` (batch, 4), `mpp` (batch).
ATS_MAG_EXPORT int ats_mag_slide_geometry(const uint8_t* path_codes, int64_t batch, int64_t path_length,
                                          const double* slide_mpp, int64_t* bounds, double* mpp, char* message,
                                          int64_t capacity) {
  return Guard(message, capacity,
               [&] { ats_mag::SlideGeometry(Paths(path_codes, batch, path_length), slide_mpp, bounds, mpp); });
}

// Everything about a slide, as JSON, which `receive` must copy.
ATS_MAG_EXPORT int ats_mag_slide_info(const char* path, double slide_mpp, void (*receive)(const char* json),
                                      char* message, int64_t capacity) {
  return Guard(message, capacity, [&] { receive(ats_mag::SlideInfo(path, slide_mpp).c_str()); });
}

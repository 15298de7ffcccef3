// The plain C entry, for callers without TensorFlow (ctypes): status codes and messages instead of exceptions.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>

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

// As the op AtsMagReadPatches. `path_codes` (batch, path_length) are zero-padded bytes; the arrays are contiguous, the
// outputs of the sizes (batch, per_slide, height, width, 3) and (batch, per_slide).
ATS_MAG_EXPORT int ats_mag_read_patches(const uint8_t* path_codes, int64_t batch, int64_t path_length,
                                        const int64_t* location, const double* downsample, int64_t per_slide,
                                        int64_t height, int64_t width, int fill, uint8_t* patches, bool* valid,
                                        char* message, int64_t capacity) {
  return Guard(message, capacity, [&] {
    ats_mag::PatchRequest request{{}, per_slide, height, width, location, downsample, fill != 0, patches, valid};
    for (int64_t i = 0; i < batch; ++i) {
      const char* row = reinterpret_cast<const char*>(path_codes) + i * path_length;
      std::string path(row, strnlen(row, static_cast<size_t>(path_length)));
      if (path.empty()) throw ats_mag::Error(ats_mag::Code::kInvalidArgument, "a path must not be empty");
      request.paths.push_back(std::move(path));
    }
    ats_mag::ReadPatches(request);
  });
}

#include "openslide_api.h"

#include <dlfcn.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "error.h"

namespace ats_mag {
namespace {

constexpr char kSoname[] = "libopenslide.so.1";

// site-packages/ats_mag/slides/op/<this library> -> site-packages/openslide_bin/libopenslide.so.1
std::string SiblingPackage() {
  Dl_info info;
  if (dladdr(reinterpret_cast<const void*>(&OpenSlide), &info) == 0 || info.dli_fname == nullptr) return "";
  std::string folder = info.dli_fname;
  for (int up = 0; up < 4; ++up) {
    const size_t slash = folder.find_last_of('/');
    if (slash == std::string::npos) return "";
    folder.resize(slash);
  }
  return folder + "/openslide_bin/" + kSoname;
}

void* OpenLibrary() {
  std::vector<std::string> places;
  const char* chosen = std::getenv("ATS_MAG_OPENSLIDE");
  if (chosen != nullptr && *chosen != '\0') {
    places.emplace_back(chosen);  // a wrong setting is an error, not a reason to take another library silently
  } else {
    const std::string sibling = SiblingPackage();
    if (!sibling.empty()) places.push_back(sibling);
    places.emplace_back(kSoname);
  }
  std::string tried;
  for (const std::string& place : places) {
    if (void* library = dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
    const char* reason = dlerror();
    tried += Cat("\n  ", Quote(place), ": ", reason != nullptr ? reason : "unknown error");
  }
  throw Error(Code::kFailedPrecondition,
              "cannot load OpenSlide; install the package 'openslide-bin' or set the environment variable "
              "ATS_MAG_OPENSLIDE to the file libopenslide.so.1. Tried:" + tried);
}

template <typename Function>
void Find(void* library, const char* name, Function* function) {
  *function = reinterpret_cast<Function>(dlsym(library, name));
  if (*function == nullptr) {
    throw Error(Code::kFailedPrecondition,
                Cat("this OpenSlide has no function ", name, "; version 4.0 or later is needed"));
  }
}

OpenSlideApi Load() {
  void* library = OpenLibrary();
  OpenSlideApi api;
  Find(library, "openslide_open", &api.open);
  Find(library, "openslide_close", &api.close);
  Find(library, "openslide_get_error", &api.get_error);
  Find(library, "openslide_get_level_count", &api.get_level_count);
  Find(library, "openslide_get_level_dimensions", &api.get_level_dimensions);
  Find(library, "openslide_get_level_downsample", &api.get_level_downsample);
  Find(library, "openslide_read_region", &api.read_region);
  Find(library, "openslide_get_property_value", &api.get_property_value);
  Find(library, "openslide_get_version", &api.get_version);
  Find(library, "openslide_cache_create", &api.cache_create);
  Find(library, "openslide_set_cache", &api.set_cache);
  return api;
}

}  // namespace

const OpenSlideApi& OpenSlide() {
  static const OpenSlideApi api = Load();  // when Load throws, the next call tries again
  return api;
}

}  // namespace ats_mag

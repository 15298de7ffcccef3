#include "tf_api.h"

#include <dlfcn.h>

#include <initializer_list>

namespace ats_mag {
namespace {

bool LoadFrom(void* library, TfApi* api) {
#define ATS_MAG_FIND(type, name, arguments)                                           \
  api->name = reinterpret_cast<type(*) arguments>(dlsym(library, "TF_" #name));       \
  if (api->name == nullptr) return false;
  ATS_MAG_TF_FUNCTIONS(ATS_MAG_FIND)
#undef ATS_MAG_FIND
  return true;
}

// Python loads TensorFlow privately, so its symbols are not global there; a statically linked server exports them.
bool Load(TfApi* api) {
  if (LoadFrom(RTLD_DEFAULT, api)) return true;
  for (const char* name : {"libtensorflow_framework.so.2", "libtensorflow_cc.so.2", "libtensorflow.so.2"}) {
    void* library = dlopen(name, RTLD_NOLOAD | RTLD_LAZY);
    if (library != nullptr && LoadFrom(library, api)) return true;
  }
  return false;
}

}  // namespace

const TfApi* TensorFlow() {
  static TfApi api;
  static const bool loaded = Load(&api);
  return loaded ? &api : nullptr;
}

}  // namespace ats_mag

#include "jpeg_tile.h"

#include "error.h"

// The header is there when the system's development package was there at build time; without it, and without the
// library at run time, every slide goes through OpenSlide. The library is not linked: the op loads anywhere, and it
// never meets the libjpeg inside other libraries of the process.
#if __has_include(<jpeglib.h>)
#include <cstdio>
// clang-format off
#include <jpeglib.h>
#include <jerror.h>
// clang-format on
#endif

#if defined(LIBJPEG_TURBO_VERSION_NUMBER) && defined(MEM_SRCDST_SUPPORTED)
#define ATS_MAG_JPEG 1
#include <dlfcn.h>

#include <algorithm>
#include <csetjmp>
#include <cstdlib>
#endif

namespace ats_mag {

#ifndef ATS_MAG_JPEG

const JpegSupport& Jpeg() {
  static const JpegSupport none{false, "built without libjpeg-turbo (Debian: install libjpeg-dev and build again)", ""};
  return none;
}

bool DecodeJpegTile(const uint8_t*, size_t, const JpegTileKind&, const TilePart&, uint8_t*, int64_t) { return false; }

#else

namespace {

constexpr const char* kLibrary = JPEG_LIB_VERSION >= 80 ? "libjpeg.so.8" : "libjpeg.so.62";

struct Api {
  decltype(&jpeg_std_error) std_error;
  decltype(&jpeg_CreateDecompress) create;
  decltype(&jpeg_mem_src) mem_src;
  decltype(&jpeg_read_header) read_header;
  decltype(&jpeg_start_decompress) start;
  decltype(&jpeg_crop_scanline) crop;
  decltype(&jpeg_skip_scanlines) skip;
  decltype(&jpeg_read_scanlines) read;
  decltype(&jpeg_destroy_decompress) destroy;
};

Api api;

template <typename Function>
bool Find(void* library, const char* name, Function* function) {
  *function = reinterpret_cast<Function>(dlsym(library, name));
  return *function != nullptr;
}

JpegSupport Load() {
  const char* named = std::getenv("ATS_MAG_LIBJPEG");
  const char* path = named != nullptr && *named != '\0' ? named : kLibrary;
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return {false, Cat("libjpeg-turbo cannot be loaded: ", dlerror()), ""};
  const bool found =
      Find(library, "jpeg_std_error", &api.std_error) && Find(library, "jpeg_CreateDecompress", &api.create) &&
      Find(library, "jpeg_mem_src", &api.mem_src) && Find(library, "jpeg_read_header", &api.read_header) &&
      Find(library, "jpeg_start_decompress", &api.start) && Find(library, "jpeg_crop_scanline", &api.crop) &&
      Find(library, "jpeg_skip_scanlines", &api.skip) && Find(library, "jpeg_read_scanlines", &api.read) &&
      Find(library, "jpeg_destroy_decompress", &api.destroy);
  if (!found) return {false, Cat(path, " is not libjpeg-turbo"), ""};
  return {true, "", Cat("libjpeg-turbo (", path, ")")};
}

// Decompresses one tile. Each has a decompressor of its own: libjpeg keeps tables from image to image, and a damaged
// tile must not be decoded with those of another.
class Decoder {
 public:
  Decoder() {
    info_.err = api.std_error(&errors_);
    errors_.error_exit = [](j_common_ptr info) { longjmp(static_cast<Decoder*>(info->client_data)->jump_, 1); };
    errors_.emit_message = [](j_common_ptr info, int level) { info->err->num_warnings += level < 0; };
    info_.client_data = this;
  }
  ~Decoder() { api.destroy(&info_); }  // safe, too, where nothing was created
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  // `row` has room for a row of the whole tile. Nothing with a destructor may live in here: libjpeg leaves by longjmp.
  bool Decode(const uint8_t* bytes, size_t count, const JpegTileKind& kind, const TilePart& part, uint8_t* rgb,
              int64_t stride, uint8_t* row) {
    if (setjmp(jump_) != 0) return false;
    api.create(&info_, JPEG_LIB_VERSION, sizeof(info_));
    if (!kind.tables.empty()) {
      api.mem_src(&info_, kind.tables.data(), kind.tables.size());
      if (api.read_header(&info_, FALSE) != JPEG_HEADER_TABLES_ONLY) return false;
    }
    api.mem_src(&info_, bytes, count);
    if (api.read_header(&info_, TRUE) != JPEG_HEADER_OK || !Covered(kind)) return false;
    info_.jpeg_color_space = kind.ycc ? JCS_YCbCr : JCS_RGB;
    info_.out_color_space = JCS_RGB;
    api.start(&info_);
    if (info_.output_width != static_cast<JDIMENSION>(kind.width) || info_.output_components != 3) return false;

    // Upsampled colours depend on their neighbours, so a cropped picture is wrong at its own edges: one block more on
    // each side keeps those outside the part.
    const int64_t margin = info_.max_h_samp_factor * DCTSIZE;
    auto left = static_cast<JDIMENSION>(std::max<int64_t>(0, part.x - margin));
    auto width = static_cast<JDIMENSION>(std::min(kind.width, part.x + part.width + margin)) - left;
    if (width < static_cast<JDIMENSION>(kind.width)) api.crop(&info_, &left, &width);
    const auto first = static_cast<JDIMENSION>(part.y), begin = static_cast<JDIMENSION>(part.x);
    if (left > begin || left + width < begin + part.width) return false;
    if (first > 0 && api.skip(&info_, first) != first) return false;
    const bool straight = left == begin && width == static_cast<JDIMENSION>(part.width);
    for (int64_t y = 0; y < part.height; ++y) {
      uint8_t* target = rgb + y * stride;
      JSAMPROW to = straight ? target : row;
      if (api.read(&info_, &to, 1) != 1) return false;
      if (!straight) std::copy_n(row + (begin - left) * 3, part.width * 3, target);
    }
    return errors_.num_warnings == 0;
  }

 private:
  bool Covered(const JpegTileKind& kind) const {
    return info_.image_width == static_cast<JDIMENSION>(kind.width) &&
           info_.image_height == static_cast<JDIMENSION>(kind.height) && info_.num_components == 3 &&
           info_.data_precision == 8 && !info_.progressive_mode && !info_.arith_code && info_.comps_in_scan == 3;
  }

  jpeg_decompress_struct info_{};
  jpeg_error_mgr errors_{};
  jmp_buf jump_;
};

}  // namespace

const JpegSupport& Jpeg() {
  static const JpegSupport support = Load();
  return support;
}

bool DecodeJpegTile(const uint8_t* bytes, size_t count, const JpegTileKind& kind, const TilePart& part, uint8_t* rgb,
                    int64_t stride) {
  if (!Jpeg().available) return false;
  static thread_local std::vector<uint8_t> row;
  row.resize(static_cast<size_t>(kind.width) * 3);
  return Decoder().Decode(bytes, count, kind, part, rgb, stride, row.data());
}

#endif

}  // namespace ats_mag

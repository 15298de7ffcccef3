#include "open_errors.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <vector>

#include "error.h"
#include "openslide_api.h"

namespace ats_mag {
namespace {

constexpr size_t kHead = 4096;  // DICOM begins with 128 zeros; no kind of slide with so many

bool BeginsWith(const std::vector<char>& head, const std::string& magic) {
  return head.size() >= magic.size() && std::equal(magic.begin(), magic.end(), head.begin());
}

bool SameProportions(const TiffImage& a, const TiffImage& b) {
  const double one = static_cast<double>(a.width) * static_cast<double>(b.height);
  const double other = static_cast<double>(b.width) * static_cast<double>(a.height);
  return std::abs(one - other) <= 0.02 * std::max(one, other);
}

}  // namespace

std::string WhyCutOff(const File& file, const Tiff& tiff) {
  if (tiff.beyond > 0) {
    return Cat("its TIFF directory is said to be at byte ", tiff.beyond, ", but the file ends at byte ", file.size(),
               ": it was cut off; copy it again from its source");
  }
  std::vector<char> head(std::min<uint64_t>(kHead, file.size()));
  const bool zeros = !head.empty() && file.Read(0, head.size(), head.data()) &&
                     std::all_of(head.begin(), head.end(), [](char byte) { return byte == 0; });
  return zeros ? "it begins with nothing but zeros, as a copy that did not finish; copy it again from its source" : "";
}

std::string WhyUnknown(const File& file, const Tiff& tiff) {
  const std::string cut = WhyCutOff(file, tiff);
  if (!cut.empty()) return cut;
  std::vector<char> head(std::min<uint64_t>(8, file.size()));
  const bool readable = file.Read(0, head.size(), head.data());
  for (const std::string magic : {"\x89PNG", "\xFF\xD8\xFF", "BM"}) {
    if (readable && BeginsWith(head, magic)) {
      return "it is a flat picture (PNG, JPEG or BMP), not a slide; convert it with `ats-mag convert`";
    }
  }
  for (const TiffImage& image : tiff.images) {  // which OpenSlide takes for levels in a wrong order
    const TiffImage& first = tiff.images.front();
    if (image.tile_width > 0 && image.width > 0 && !SameProportions(first, image)) {
      return Cat("the proportions of its page of ", image.width, " x ", image.height, " pixels are not the slide's (",
                 first.width, " x ", first.height, "); take the page out, or convert the file to a tiled pyramidal TIFF");
    }
  }
  return Cat("not a whole-slide image that OpenSlide ", OpenSlide().get_version(),
             " knows; convert it to a tiled pyramidal TIFF");
}

bool IsOpenFileLimit(const std::string& error) {
  for (const int code : {EMFILE, ENFILE}) {
    if (error.find(std::strerror(code)) != std::string::npos) return true;
  }
  const int descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (descriptor >= 0) close(descriptor);
  return descriptor < 0 && (errno == EMFILE || errno == ENFILE);
}

std::string OpenFileLimit(const std::string& path) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  return Cat("cannot open slide ", Quote(path), ": too many open files; this process may have ", limit.rlim_cur,
             " of them: raise the limit (`ulimit -n 4096`), or read fewer slides at a time");
}

}  // namespace ats_mag

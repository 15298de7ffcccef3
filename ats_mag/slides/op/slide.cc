#include "slide.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "error.h"
#include "open_errors.h"

namespace ats_mag {
namespace {

// OpenSlide cuts reads beyond 4096 pixels into pieces and truncates the places of the later ones; staying below keeps
// every place ours, and bounds the scratch memory of a thread.
constexpr int64_t kBlock = 1024;

constexpr double kSameRatio = 0.02;  // as the tolerance within which a level is taken as it stands

void CheckFile(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) {
      throw Error(Code::kNotFound, Cat("cannot open slide ", Quote(path),
                                       ": file does not exist; check the path or the slide root"));
    }
    const Code code = errno == EACCES ? Code::kPermissionDenied : Code::kInvalidArgument;
    throw Error(code, Cat("cannot open slide ", Quote(path), ": ", std::strerror(errno)));
  }
  if (S_ISDIR(info.st_mode)) {
    throw Error(Code::kInvalidArgument,
                Cat("cannot open slide ", Quote(path), ": it is a folder; name the slide file itself"));
  }
  if (!S_ISREG(info.st_mode)) {  // opening a pipe would wait for its writer forever
    throw Error(Code::kInvalidArgument, Cat("cannot open slide ", Quote(path), ": it is not a regular file"));
  }
  if (access(path.c_str(), R_OK) != 0 && errno == EACCES) {
    throw Error(Code::kPermissionDenied,
                Cat("cannot open slide ", Quote(path), ": ", std::strerror(errno), "; check its permissions"));
  }
  if (info.st_size == 0) {
    throw Error(Code::kInvalidArgument,
                Cat("cannot open slide ", Quote(path), ": the file is empty; copy it again from its source"));
  }
}

// A whole number in `text`, else `otherwise`.
int64_t ParseInt(const std::string& text, int64_t otherwise) {
  char* end = nullptr;
  const int64_t value = std::strtoll(text.c_str(), &end, 10);
  return text.empty() || *end != '\0' ? otherwise : value;
}

// Why a page that OpenSlide takes for a level shows something else (a tiled picture of the label, say), or "". Sides are
// rounded to whole pixels, up or down; beyond that and 2 % a level has the proportions of level 0, or its pixels would
// be taken for other places than they are of.
std::string WhyNoLevel(const Level& base, const Level& level, const Tiff& tiff, bool aperio) {
  const auto ratio = [](int64_t whole, int64_t side) {
    return side > 0 ? static_cast<double>(whole) / static_cast<double>(side) : std::numeric_limits<double>::infinity();
  };
  const double x = ratio(base.width, level.width), y = ratio(base.height, level.height);
  const double most = std::min(ratio(base.width, level.width - 1), ratio(base.height, level.height - 1));
  const double least = std::max(ratio(base.width, level.width + 1), ratio(base.height, level.height + 1));
  if (std::abs(x - y) > kSameRatio * std::min(x, y) && least > most) return "its proportions are not the slide's";
  if (!aperio) return "";
  for (const TiffImage& image : tiff.images) {
    const bool same = image.width == static_cast<uint64_t>(level.width) &&
                      image.height == static_cast<uint64_t>(level.height);
    if (same && image.associated) return "its description says that it is the label or the macro image";
  }
  return "";
}

// Premultiplied ARGB over the background. Translucent pixels are rounded as openslide-python and Pillow do it together
// (colours divided by alpha and cut, then blended and rounded), so that the results are the same to the last bit.
void Composite(const uint32_t* argb, int64_t count, const Colour& background, uint8_t* rgb) {
  for (int64_t i = 0; i < count; ++i, rgb += 3) {
    const uint32_t pixel = argb[i];
    const uint32_t alpha = pixel >> 24;
    for (int c = 0; c < 3; ++c) {
      const uint32_t value = (pixel >> (16 - 8 * c)) & 255;
      if (alpha == 255) {
        rgb[c] = static_cast<uint8_t>(value);
      } else {
        const uint32_t straight = alpha == 0 ? 0 : std::min<uint32_t>(255, 255 * value / alpha);
        rgb[c] = static_cast<uint8_t>((straight * alpha + background[c] * (255 - alpha) + 127) / 255);
      }
    }
  }
}

}  // namespace

Slide::Slide(const std::string& path, OpenSlideCache* cache) : path_(path), stamp_(StampOf(path)) {
  const OpenSlideApi& api = OpenSlide();
  CheckFile(path);
  auto file = std::make_unique<const File>(path);
  if (!file->is_open() && IsOpenFileLimit("")) throw Error(Code::kResourceExhausted, OpenFileLimit(path));
  Tiff tiff;
  const std::string damage = file->is_open() ? ReadTiff(*file, &tiff) : "the file cannot be opened twice";
  for (const TiffImage& image : tiff.images) {
    if (image.lethal.empty()) continue;
    throw Error(Code::kInvalidArgument, Cat("cannot open slide ", Quote(path), ": it states ", image.lethal,
                                            "; the file is damaged: copy it again from its source"));
  }
  handle_ = api.open(path.c_str());
  if (handle_ == nullptr) {
    if (IsOpenFileLimit("")) throw Error(Code::kResourceExhausted, OpenFileLimit(path));
    throw Error(Code::kInvalidArgument, Cat("cannot open slide ", Quote(path), ": ", WhyUnknown(*file, tiff)));
  }
  try {
    if (const char* error = api.get_error(handle_)) {
      if (IsOpenFileLimit(error)) throw Error(Code::kResourceExhausted, OpenFileLimit(path));
      const std::string cut = WhyCutOff(*file, tiff);
      throw Error(Code::kInvalidArgument,
                  Cat("cannot open slide ", Quote(path), ": ", cut.empty() ? error : cut,
                      cut.empty() ? "; the file is damaged or of an unsupported kind" : ""));
    }
    if (cache != nullptr) api.set_cache(handle_, cache);
    ReadMetadata(tiff);
    direct_ = std::make_unique<const Direct>(std::move(file), tiff, damage, property("openslide.vendor"), levels_);
  } catch (...) {
    api.close(handle_);
    throw;
  }
}

Slide::~Slide() { OpenSlide().close(handle_); }

std::string Slide::property(const char* name) const {
  const char* value = OpenSlide().get_property_value(handle_, name);
  return value != nullptr ? value : "";
}

void Slide::ReadMetadata(const Tiff& tiff) {
  const OpenSlideApi& api = OpenSlide();
  const bool aperio = property("openslide.vendor") == "aperio";
  const int count = api.get_level_count(handle_);
  for (int i = 0; i < count; ++i) {
    Level level{};
    level.number = i;
    api.get_level_dimensions(handle_, i, &level.width, &level.height);
    level.downsample = api.get_level_downsample(handle_, i);
    const std::string prefix = Cat("openslide.level[", i, "].tile-");
    level.tile_width = ParseInt(property((prefix + "width").c_str()), 0);
    level.tile_height = ParseInt(property((prefix + "height").c_str()), 0);
    if (level.width <= 0 || level.height <= 0 || !(level.downsample > 0)) {
      throw Error(Code::kInvalidArgument, Cat("cannot open slide ", Quote(path_), ": its level ", i, " is empty"));
    }
    const std::string why = levels_.empty() ? "" : WhyNoLevel(levels_.front(), level, tiff, aperio);
    if (why.empty()) {
      levels_.push_back(level);
    } else {
      other_pages_.push_back({level.width, level.height, why});
    }
  }
  if (levels_.empty()) {
    throw Error(Code::kInvalidArgument, Cat("cannot open slide ", Quote(path_), ": it has no levels"));
  }
  const Rect stated = {ParseInt(property("openslide.bounds-x"), 0), ParseInt(property("openslide.bounds-y"), 0),
                       ParseInt(property("openslide.bounds-width"), 0),
                       ParseInt(property("openslide.bounds-height"), 0)};
  bounds_ = stated.width > 0 && stated.height > 0 ? stated : Extent(0);

  const std::string colour = property("openslide.background-color");
  char* end = nullptr;
  const unsigned long value = std::strtoul(colour.c_str(), &end, 16);
  if (colour.size() == 6 && *end == '\0') {
    states_background_ = true;
    for (int c = 0; c < 3; ++c) background_[c] = static_cast<uint8_t>(value >> (16 - 8 * c));
  }
}

void Slide::ReadBlock(int level, const Rect& block, uint8_t* rgb, int64_t stride) const {
  const OpenSlideApi& api = OpenSlide();
  static thread_local std::vector<uint32_t> argb;
  argb.resize(static_cast<size_t>(block.width * block.height));
  // OpenSlide wants the place in level-0 pixels, as whole numbers, and interpolates where that falls between pixels of
  // the level (further from one than 1/512, the step of its renderer). For downsamples that are whole numbers the
  // nearest level-0 pixel is exact; for the others up to half a level-0 pixel remains.
  const double downsample = levels_[level].downsample;
  const int64_t x = std::llround(block.x * downsample);
  const int64_t y = std::llround(block.y * downsample);
  api.read_region(handle_, argb.data(), x, y, levels_[level].number, block.width, block.height);
  if (const char* error = api.get_error(handle_)) {
    if (IsOpenFileLimit(error)) throw Error(Code::kResourceExhausted, OpenFileLimit(path_));
    throw Error(Code::kDataLoss, error);
  }
  for (int64_t row = 0; row < block.height; ++row) {
    Composite(argb.data() + row * block.width, block.width, background_, rgb + row * stride);
  }
}

void Slide::ReadRgb(int level, const Rect& window, const Rect& clip, uint8_t* rgb, int64_t stride) const {
  const Rect inside = Meet(Meet(window, clip), Extent(level));
  const bool empty = inside.width == 0 || inside.height == 0;
  if (empty || inside.width < window.width || inside.height < window.height) {
    Paint(background_, window.width, window.height, rgb, stride);
  }
  if (empty) return;
  const auto place = [&](int64_t x, int64_t y) { return rgb + (y - window.y) * stride + (x - window.x) * 3; };
  if (const DirectLevel* tiles = direct(level)) {
    if (tiles->ReadRgb(inside, background_, place(inside.x, inside.y), stride)) return;
  }
  for (int64_t y = inside.y; y < inside.y + inside.height; y += kBlock) {
    for (int64_t x = inside.x; x < inside.x + inside.width; x += kBlock) {
      const Rect block = Meet(inside, {x, y, kBlock, kBlock});
      ReadBlock(level, block, place(x, y), stride);
    }
  }
}

}  // namespace ats_mag

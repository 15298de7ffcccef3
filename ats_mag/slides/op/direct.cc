#include "direct.h"

#include <algorithm>
#include <atomic>

#include "engine.h"
#include "error.h"

namespace ats_mag {
namespace {

constexpr uint64_t kJpeg = 7, kRgb = 2, kYcc = 6, kLargestTile = 8192;

// Why the tiles of an image cannot be decoded here, or "". The conditions are those under which OpenSlide, too, hands
// a tile's bytes to libjpeg as they are.
std::string WhyNot(const TiffImage& image) {
  if (image.odd) return "its TIFF directory is damaged";
  if (image.tile_width == 0 || image.tile_height == 0) return "it is stored in strips, not in tiles";
  if (image.compression != kJpeg) return Cat("its compression is not JPEG (TIFF code ", image.compression, ")");
  if (image.photometric != kRgb && image.photometric != kYcc) return "its colours are neither RGB nor YCbCr";
  if (!image.eight_bits || image.samples != 3) return "it has not three samples of 8 bits";
  if (image.planar != 1) return "its colours are stored apart";
  if (image.orientation != 1) return "it is stored turned";
  if (image.tile_width > kLargestTile || image.tile_height > kLargestTile) return "its tiles are too large";
  const uint64_t across = (image.width + image.tile_width - 1) / image.tile_width;
  const uint64_t down = (image.height + image.tile_height - 1) / image.tile_height;
  if (image.offsets.count != across * down || image.lengths.count != across * down) {
    return "its TIFF directory does not name all of its tiles";
  }
  return "";
}

std::string WhyNotHere(const std::string& vendor) {
  if (!GetEngine().direct) return "switched off by ATS_MAG_DIRECT=0";
  if (!Jpeg().available) return Jpeg().why;
  // Other vendors' TIFF files place or mend tiles in ways of their own.
  if (vendor != "generic-tiff" && vendor != "aperio") return Cat("files of vendor ", vendor, " are not read directly");
  return "";
}

}  // namespace

DirectLevel::DirectLevel(const File& file, ByteOrder order, const TiffImage& image, uint64_t slide, uint64_t level)
    : file_(file),
      order_(order),
      offsets_(image.offsets),
      lengths_(image.lengths),
      across_(static_cast<int64_t>((image.width + image.tile_width - 1) / image.tile_width)),
      kind_{static_cast<int64_t>(image.tile_width), static_cast<int64_t>(image.tile_height), image.photometric == kYcc,
            image.jpeg_tables},
      slide_(slide),
      level_(level) {}

TilePixelsPtr DirectLevel::Decode(uint64_t tile, const TilePart& part, bool* missing) const {
  uint64_t offset = 0, length = 0;
  if (!ReadNumber(file_, order_, offsets_, tile, &offset) || !ReadNumber(file_, order_, lengths_, tile, &length)) {
    return nullptr;
  }
  *missing = length == 0;
  const auto raw = static_cast<uint64_t>(kind_.width * kind_.height * 3);
  if (length == 0 || length > 2 * raw + 65536) return nullptr;
  static thread_local std::vector<uint8_t> bytes;
  bytes.resize(length);
  if (!file_.Read(offset, length, bytes.data())) return nullptr;
  auto pixels = std::make_shared<TilePixels>(part);
  if (!DecodeJpegTile(bytes.data(), length, kind_, part, pixels->rgb.get(), part.width * 3)) return nullptr;
  return pixels;
}

TilePixelsPtr DirectLevel::Pixels(int64_t column, int64_t row, const TilePart& part, bool* missing) const {
  *missing = false;
  const auto tile = static_cast<uint64_t>(row * across_ + column);
  const TileKey key{slide_, level_, tile};
  TileCache& cache = GetEngine().tiles;
  const TilePixelsPtr kept = cache.Get(key);
  if (kept != nullptr && kept->Holds(part)) return kept;
  // A tile that is asked for again is likely to be asked for a third time: now all of it is decoded.
  TilePixelsPtr pixels = Decode(tile, kept == nullptr ? part : TilePart{0, 0, kind_.width, kind_.height}, missing);
  if (pixels != nullptr) cache.Put(key, pixels);
  return pixels;
}

bool DirectLevel::ReadRgb(const Rect& window, const Colour& background, uint8_t* rgb, int64_t stride) const {
  for (int64_t row = window.y / kind_.height; row * kind_.height < window.y + window.height; ++row) {
    for (int64_t column = window.x / kind_.width; column * kind_.width < window.x + window.width; ++column) {
      const Rect shared = Meet(window, {column * kind_.width, row * kind_.height, kind_.width, kind_.height});
      const TilePart part = {shared.x - column * kind_.width, shared.y - row * kind_.height, shared.width,
                             shared.height};
      bool missing = false;
      const TilePixelsPtr pixels = Pixels(column, row, part, &missing);
      uint8_t* to = rgb + (shared.y - window.y) * stride + (shared.x - window.x) * 3;
      if (pixels != nullptr) {
        pixels->Copy(part, to, stride);
      } else if (missing) {
        Paint(background, shared.width, shared.height, to, stride);
      } else {
        return false;
      }
    }
  }
  return true;
}

Direct::Direct(std::unique_ptr<const File> file, const Tiff& tiff, const std::string& damage, const std::string& vendor,
               const std::vector<Level>& levels)
    : file_(std::move(file)), levels_(levels.size()), why_(levels.size(), WhyNotHere(vendor)) {
  static std::atomic<uint64_t> slides{0};
  const uint64_t slide = ++slides;
  bool any = false;
  for (size_t i = 0; i < levels.size(); ++i) {
    if (why_[i].empty()) why_[i] = damage;
    if (!why_[i].empty()) continue;
    std::vector<const TiffImage*> fitting;
    for (const TiffImage& image : tiff.images) {
      const bool same = image.width == static_cast<uint64_t>(levels[i].width) &&
                        image.height == static_cast<uint64_t>(levels[i].height);
      if (same && image.tile_width > 0) fitting.push_back(&image);
    }
    if (fitting.size() != 1) {
      why_[i] = fitting.empty() ? "it is not one TIFF image of tiles" : "several TIFF images have its size";
      continue;
    }
    why_[i] = WhyNot(*fitting.front());
    if (why_[i].empty() && vendor == "aperio" && fitting.front()->lacks_tiles) {
      why_[i] = "it lacks tiles, which OpenSlide fills from other levels";
    }
    if (!why_[i].empty()) continue;
    levels_[i] = std::make_unique<DirectLevel>(*file_, tiff.order, *fitting.front(), slide, i);
    any = true;
  }
  if (!any) file_.reset();
}

}  // namespace ats_mag

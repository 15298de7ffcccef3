#include "tiff.h"

#include <algorithm>
#include <array>
#include <limits>
#include <set>

#include "error.h"

namespace ats_mag {
namespace {

// Far above what slides have, far below what could exhaust memory or time.
constexpr size_t kMostImages = 1000;
constexpr uint64_t kMostTilePixels = uint64_t{1} << 26, kLeastSide = 16, kFarthest = uint64_t{1} << 56;
constexpr uint64_t kMostTags = 4096, kMostTableBytes = 1 << 16, kMostSamples = 64;
constexpr uint64_t kMostDescription = 1024;

// Text and whole numbers: readers of TIFF take any of them for a size.
enum Type : uint16_t {
  kByte = 1, kAscii = 2, kShort = 3, kLong = 4, kSbyte = 6, kUndefined = 7, kSshort = 8, kSlong = 9, kIfd = 13,
  kLong8 = 16,
  kSlong8 = 17, kIfd8 = 18
};

enum Tag : uint16_t {
  kWidth = 256,
  kHeight = 257,
  kBitsPerSample = 258,
  kCompression = 259,
  kPhotometric = 262,
  kDescription = 270,
  kOrientation = 274,
  kSamplesPerPixel = 277,
  kPlanarConfiguration = 284,
  kTileWidth = 322,
  kTileLength = 323,
  kTileOffsets = 324,
  kTileByteCounts = 325,
  kJpegTables = 347,
};

int BytesOf(uint16_t type) {
  switch (type) {
    case kByte:
    case kAscii:
    case kSbyte:
    case kUndefined:
      return 1;
    case kShort:
    case kSshort:
      return 2;
    case kLong:
    case kSlong:
    case kIfd:
      return 4;
    case kLong8:
    case kSlong8:
    case kIfd8:
      return 8;
    default:
      return 0;  // a type that none of our tags has
  }
}

uint64_t Number(const uint8_t* bytes, int count, ByteOrder order) {
  uint64_t number = 0;
  for (int i = 0; i < count; ++i) {
    number = number << 8 | bytes[order == ByteOrder::kBig ? i : count - 1 - i];
  }
  return number;
}

// How many tiles cover a side; 0 where there are none.
uint64_t Count(uint64_t side, uint64_t tile) { return tile == 0 ? 0 : side / tile + (side % tile != 0); }

// One walk through a file's directories.
class Walk {
 public:
  Walk(const File& file, Tiff* tiff) : file_(file), tiff_(tiff) {}

  std::string Run() {
    uint64_t next = 0;
    if (!ReadHeader(&next)) return "not a TIFF file";
    std::set<uint64_t> seen;
    while (next != 0) {
      if (!seen.insert(next).second) return "its TIFF directories form a loop";
      if (seen.size() > kMostImages) return "it has too many TIFF directories";
      if (next >= file_.size()) tiff_->beyond = next;
      TiffImage image;
      if (!ReadDirectory(next, &image, &next)) return "its TIFF directories are damaged";
      tiff_->images.push_back(std::move(image));
    }
    return "";
  }

 private:
  bool ReadHeader(uint64_t* first) {
    std::array<uint8_t, 16> head;
    if (!file_.Read(0, 8, head.data())) return false;
    if (head[0] != head[1] || (head[0] != 'I' && head[0] != 'M')) return false;
    tiff_->order = head[0] == 'I' ? ByteOrder::kLittle : ByteOrder::kBig;
    const uint64_t version = Get(head.data() + 2, 2);
    big_ = version == 43;
    if (!big_) {
      *first = Get(head.data() + 4, 4);
      return version == 42;
    }
    if (Get(head.data() + 4, 2) != 8 || Get(head.data() + 6, 2) != 0 || !file_.Read(0, 16, head.data())) return false;
    *first = Get(head.data() + 8, 8);
    return true;
  }

  bool ReadDirectory(uint64_t position, TiffImage* image, uint64_t* next) {
    const int count_bytes = big_ ? 8 : 2, entry_bytes = big_ ? 20 : 12, next_bytes = big_ ? 8 : 4;
    std::array<uint8_t, 8> head;
    if (!file_.Read(position, count_bytes, head.data())) return false;
    const uint64_t count = Get(head.data(), count_bytes);
    if (count == 0 || count > kMostTags) return false;
    const uint64_t begin = position + count_bytes;  // the read above excludes an overflow
    std::vector<uint8_t> entries(count * entry_bytes + next_bytes);
    if (!file_.Read(begin, entries.size(), entries.data())) return false;
    std::set<uint16_t> seen;
    for (uint64_t i = 0; i < count; ++i) {
      const uint8_t* entry = entries.data() + i * entry_bytes;
      const auto tag = static_cast<uint16_t>(Get(entry, 2));
      const bool first = seen.insert(tag).second;  // of two, which holds is anybody's guess
      if (!ReadTag(tag, entry, begin + i * entry_bytes, image) || !first) image->odd = true;
    }
    Measure(image);
    *next = Get(entries.data() + count * entry_bytes, next_bytes);
    return true;
  }

  bool ReadTag(uint16_t tag, const uint8_t* entry, uint64_t position, TiffImage* image) {
    TiffArray values;
    values.bytes_each = BytesOf(static_cast<uint16_t>(Get(entry + 2, 2)));
    values.count = Get(entry + 4, big_ ? 8 : 4);
    const uint64_t inline_bytes = big_ ? 8 : 4, value_at = big_ ? 12 : 8;
    const bool fits = values.bytes_each > 0 && values.count <= inline_bytes / values.bytes_each;
    values.position = fits ? position + value_at : Get(entry + value_at, static_cast<int>(inline_bytes));
    switch (tag) {
      case kWidth:
        return One(values, &image->width);
      case kHeight:
        return One(values, &image->height);
      case kCompression:
        return One(values, &image->compression);
      case kPhotometric:
        return One(values, &image->photometric);
      case kOrientation:
        return One(values, &image->orientation);
      case kSamplesPerPixel:
        return One(values, &image->samples);
      case kPlanarConfiguration:
        return One(values, &image->planar);
      case kTileWidth:
        return Side(values, &image->tile_width, image);
      case kTileLength:
        return Side(values, &image->tile_height, image);
      case kBitsPerSample:
        return AllEight(values, &image->eight_bits);
      case kDescription:
        ReadDescription(values, image);
        return true;
      case kTileOffsets:
        image->offsets = values;
        return values.bytes_each > 0;
      case kTileByteCounts:
        image->lengths = values;
        return values.bytes_each > 0;
      case kJpegTables:
        if (values.bytes_each != 1 || values.count > kMostTableBytes) return false;
        image->jpeg_tables.resize(values.count);
        return file_.Read(values.position, values.count, image->jpeg_tables.data());
      default:
        return true;
    }
  }

  bool One(const TiffArray& values, uint64_t* number) {
    return values.count == 1 && ReadNumber(file_, tiff_->order, values, 0, number);
  }

  // The largest of all that are stated, as OpenSlide allocates what a damaged file says.
  bool Side(const TiffArray& values, uint64_t* side, TiffImage* image) {
    uint64_t number = 0;
    if (!One(values, &number)) return false;
    *side = std::max(*side, number);
    if (number < kLeastSide || image->tile_width > kMostTilePixels ||
        image->tile_height > kMostTilePixels / std::max<uint64_t>(1, image->tile_width)) {
      image->lethal = Cat("tiles of ", image->tile_width, " x ", image->tile_height, " pixels");
    }
    return true;
  }

  // Looks through the lengths of all tiles.
  void Measure(TiffImage* image) {
    constexpr uint64_t kChunk = 8192;
    const TiffArray& lengths = image->lengths;
    const uint64_t across = Count(image->width, image->tile_width), down = Count(image->height, image->tile_height);
    image->lacks_tiles = across > 0 && down > 0 && lengths.count / across < down;
    if (lengths.bytes_each == 0 || lengths.position > kFarthest || lengths.count > kFarthest) return;
    std::vector<uint8_t> bytes(kChunk * lengths.bytes_each);
    for (uint64_t begin = 0; begin < lengths.count; begin += kChunk) {
      const uint64_t count = std::min(kChunk, lengths.count - begin);
      if (!file_.Read(lengths.position + begin * lengths.bytes_each, count * lengths.bytes_each, bytes.data())) {
        image->odd = true;
        return;
      }
      for (uint64_t i = 0; i < count; ++i) {
        const uint64_t length = Get(bytes.data() + i * lengths.bytes_each, lengths.bytes_each);
        image->lacks_tiles = image->lacks_tiles || length == 0;
        if (length > file_.size()) image->lethal = Cat("a tile of ", length, " bytes, more than the file has");
      }
    }
  }

  // Aperio's have a line about the file, then one that begins with what the image is, if it is no level.
  void ReadDescription(const TiffArray& text, TiffImage* image) {
    std::string start(std::min(text.count, kMostDescription), '\0');
    if (text.bytes_each != 1 || !file_.Read(text.position, start.size(), start.data())) return;
    image->aperio = start.rfind("Aperio", 0) == 0;
    const size_t line = start.find('\n');
    if (!image->aperio || line == std::string::npos) return;
    image->associated = start.compare(line + 1, 6, "label ") == 0 || start.compare(line + 1, 6, "macro ") == 0;
  }

  bool AllEight(const TiffArray& values, bool* all) {
    if (values.count == 0 || values.count > kMostSamples) return false;
    *all = true;
    for (uint64_t i = 0; i < values.count; ++i) {
      uint64_t bits = 0;
      if (!ReadNumber(file_, tiff_->order, values, i, &bits)) return false;
      *all = *all && bits == 8;
    }
    return true;
  }

  uint64_t Get(const uint8_t* bytes, int count) const { return Number(bytes, count, tiff_->order); }

  const File& file_;
  Tiff* tiff_;
  bool big_ = false;
};

// Where a level of an Aperio file lacks a tile, OpenSlide draws its place in all lower levels, too, from the level before.
// It divides by the ratio of the levels' numbers of tiles: by zero, where levels grow.
void CheckAperio(std::vector<TiffImage>* images) {
  if (images->empty() || !images->front().aperio) return;
  uint64_t across = UINT64_MAX, down = UINT64_MAX;
  bool lacking = false;
  for (TiffImage& image : *images) {
    if (image.tile_width == 0 || image.tile_height == 0) continue;
    image.lacks_tiles = lacking = lacking || image.lacks_tiles;
    const uint64_t here_across = Count(image.width, image.tile_width);
    const uint64_t here_down = Count(image.height, image.tile_height);
    if (lacking && (here_across > across || here_down > down)) image.lethal = "levels that lack tiles and grow";
    across = here_across;
    down = here_down;
  }
}

}  // namespace

std::string ReadTiff(const File& file, Tiff* tiff) {
  const std::string damage = Walk(file, tiff).Run();
  CheckAperio(&tiff->images);
  return damage;
}

bool ReadNumber(const File& file, ByteOrder order, const TiffArray& array, uint64_t index, uint64_t* number) {
  std::array<uint8_t, 8> bytes;
  if (array.bytes_each == 0 || index >= array.count) return false;
  if (index > (std::numeric_limits<uint64_t>::max() - array.position) / 8) return false;
  if (!file.Read(array.position + index * array.bytes_each, array.bytes_each, bytes.data())) return false;
  *number = Number(bytes.data(), array.bytes_each, order);
  return true;
}

}  // namespace ats_mag

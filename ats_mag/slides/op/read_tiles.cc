#include "read_tiles.h"

#include <algorithm>
#include <cstddef>
#include <tuple>

#include "engine.h"
#include "resample.h"

namespace ats_mag {
namespace {

// What a patch shows of a tile.
struct Piece {
  const Slide* slide;
  int level;
  int64_t row, column;  // of the tile
  int64_t patch;
  Rect shared;  // pixels of the level
  uint8_t* to;

  auto tile() const { return std::make_tuple(slide, level, row, column); }
};

// Paints what of the patch lies outside the slide, and adds what lies inside.
void CutUp(const PatchRequest& request, const Slide& slide, const DirectLevel& tiles, const Placed& placed, int64_t i,
           std::vector<Piece>* pieces) {
  const int64_t stride = request.width * 3;
  uint8_t* patch = request.patches + i * request.height * stride;
  const Rect window = {placed.x, placed.y, request.width, request.height};
  const Rect inside = Meet(window, slide.Extent(placed.plan.level));
  if (inside.width < window.width || inside.height < window.height) {
    Paint(slide.background(), request.width, request.height, patch, stride);
  }
  if (inside.width == 0 || inside.height == 0) return;
  const int64_t side_x = tiles.tile_width(), side_y = tiles.tile_height();
  for (int64_t row = inside.y / side_y; row * side_y < inside.y + inside.height; ++row) {
    for (int64_t column = inside.x / side_x; column * side_x < inside.x + inside.width; ++column) {
      const Rect shared = Meet(inside, {column * side_x, row * side_y, side_x, side_y});
      pieces->push_back({&slide, placed.plan.level, row, column, i, shared,
                         patch + (shared.y - window.y) * stride + (shared.x - window.x) * 3});
    }
  }
}

// Reads the part of one tile that its pieces need. Returns whether it could be read.
bool ReadTile(const Piece* begin, const Piece* end, int64_t stride) {
  const DirectLevel& tiles = *begin->slide->direct(begin->level);
  const int64_t x = begin->column * tiles.tile_width(), y = begin->row * tiles.tile_height();
  int64_t left = tiles.tile_width(), top = tiles.tile_height(), right = 0, bottom = 0;
  for (const Piece* piece = begin; piece != end; ++piece) {
    left = std::min(left, piece->shared.x - x);
    top = std::min(top, piece->shared.y - y);
    right = std::max(right, piece->shared.x - x + piece->shared.width);
    bottom = std::max(bottom, piece->shared.y - y + piece->shared.height);
  }
  bool missing = false;
  const TilePixelsPtr pixels =
      tiles.Pixels(begin->column, begin->row, {left, top, right - left, bottom - top}, &missing);
  if (pixels == nullptr && !missing) return false;
  for (const Piece* piece = begin; piece != end; ++piece) {
    const Rect& shared = piece->shared;
    if (pixels != nullptr) {
      pixels->Copy({shared.x - x, shared.y - y, shared.width, shared.height}, piece->to, stride);
    } else {
      Paint(piece->slide->background(), shared.width, shared.height, piece->to, stride);
    }
  }
  return true;
}

}  // namespace

void ReadByTiles(const PatchRequest& request, const std::vector<SlidePtr>& slides,
                 std::vector<std::atomic<bool>>* done) {
  std::vector<Piece> pieces;
  for (size_t i = 0; i < done->size(); ++i) {
    const Slide* slide = slides[i / static_cast<size_t>(request.per_slide)].get();
    if (slide == nullptr) continue;
    const Placed placed = Place(request, *slide, static_cast<int64_t>(i));
    const DirectLevel* tiles = slide->direct(placed.plan.level);
    if (tiles == nullptr || placed.plan.how != How::kCopy) continue;
    (*done)[i] = true;
    CutUp(request, *slide, *tiles, placed, static_cast<int64_t>(i), &pieces);
  }
  std::sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) { return a.tile() < b.tile(); });
  std::vector<size_t> starts;
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (i == 0 || pieces[i].tile() != pieces[i - 1].tile()) starts.push_back(i);
  }
  starts.push_back(pieces.size());
  GetEngine().pool.For(static_cast<int64_t>(starts.size()) - 1, [&](int64_t tile) {
    const Piece *begin = pieces.data() + starts[tile], *end = pieces.data() + starts[tile + 1];
    if (ReadTile(begin, end, request.width * 3)) return;
    for (const Piece* piece = begin; piece != end; ++piece) (*done)[piece->patch] = false;
  });
}

}  // namespace ats_mag

#include "pictures.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "error.h"
#include "read.h"

extern "C" int ats_mag_read_patches(const uint8_t* path_codes, int64_t batch, int64_t path_length,
                                    const int64_t* location, const double* downsample, int64_t per_slide,
                                    int64_t height, int64_t width, int fill, uint8_t* patches, bool* valid,
                                    char* message, int64_t capacity);

namespace fuzz {
namespace {

using ats_mag::Code;

constexpr int64_t kPathLength = 1024, kPlaces = 10;
// A file may state any size; what the harness asks for is bounded, so that slow means stuck.
constexpr double kMostPatchPixels = 4e6, kMostOverviewPixels = 1e6, kMostSourcePixels = 4e6;

// Pixels of the level read that a square of `side` level-0 pixels covers at `downsample`.
double SourcePixels(const std::vector<Level>& levels, double width, double height, double downsample) {
  const Level* from = &levels[0];
  for (const Level& level : levels) {
    if (level.downsample <= downsample * 1.02 && level.downsample > from->downsample) from = &level;
  }
  return std::min(width / from->downsample, from->width) * std::min(height / from->downsample, from->height);
}


struct Answer {
  int code;
  std::string message;
  Bytes patches;
  std::vector<uint8_t> valid;  // 0, 1, or another number where it was not written
};

Answer Ask(const Request& request, bool fill, uint8_t canary) {
  Bytes codes(request.paths.size() * kPathLength);
  for (size_t i = 0; i < request.paths.size(); ++i) {
    std::copy(request.paths[i].begin(), request.paths[i].end(), codes.begin() + static_cast<int64_t>(i * kPathLength));
  }
  const auto batch = static_cast<int64_t>(request.paths.size());
  const auto count = static_cast<int64_t>(request.downsample.size());
  Answer answer{0, "", Bytes(static_cast<size_t>(count * request.height * request.width * 3), canary), Bytes(count, 7)};
  char message[2000] = "";
  static_assert(sizeof(bool) == 1);
  answer.code = ats_mag_read_patches(codes.data(), batch, kPathLength, request.location.data(),
                                     request.downsample.data(), count / batch, request.height, request.width, fill,
                                     answer.patches.data(), reinterpret_cast<bool*>(answer.valid.data()), message,
                                     sizeof(message));
  answer.message = message;
  return answer;
}

// Places of any kind: on the slide, across its edges and corners, around tiles' edges, far away.
void AddPlaces(const std::vector<Level>& levels, std::mt19937_64* random, Request* request) {
  const auto below = [&](double most) { return static_cast<int64_t>((*random)() % static_cast<uint64_t>(most + 1)); };
  const double width = std::min(levels[0].width, 1e12), height = std::min(levels[0].height, 1e12);
  for (int64_t i = 0; i < kPlaces; ++i) {
    const double own = levels[(*random)() % levels.size()].downsample;
    const double factors[] = {1, 1, 1, 1.015, 0.99, 0.7, 1.6, 0.25, 1.0 / 1024, 17.3, 1 << 20};
    double downsample = std::clamp(own * factors[(*random)() % 11], 1.0 / 1024, double{1 << 20});
    while (SourcePixels(levels, request->width * downsample, request->height * downsample, downsample) >
           kMostPatchPixels) {
      downsample /= 2;
    }
    const double field_x = request->width * downsample, field_y = request->height * downsample;
    int64_t x = below(width), y = below(height);
    switch ((*random)() % 6) {
      case 0:  // across the top left
        x = -static_cast<int64_t>(field_x / 2);
        y = -static_cast<int64_t>(field_y / 3);
        break;
      case 1:  // across the bottom right
        x = static_cast<int64_t>(width - field_x / 2);
        y = static_cast<int64_t>(height - field_y / 3);
        break;
      case 2:  // around a tile's edge
        x = x / 32 * 32 - below(3);
        y = y / 32 * 32 + below(3);
        break;
      case 3:
        if ((*random)() % 2 == 0) x = (*random)() % 2 == 0 ? int64_t{1} << 40 : -(int64_t{1} << 40);
        break;
      default:
        break;
    }
    request->location.insert(request->location.end(), {x, y});
    request->downsample.push_back(downsample);
  }
}

void CheckPatches(const Request& request, const Answer& first, const Answer& second, const Answer& strict,
                  const Sound& sound, Report* report) {
  const char* what = "patches";
  const std::string& path = request.paths[0];
  if (first.code != 0 || second.code != 0) {
    CheckError(first.code, first.message, path, what, report);
    report->faults.push_back(ats_mag::Cat(what, ": not filled: code ", first.code, ": ", first.message));
    return;
  }
  if (first.valid != second.valid) report->faults.push_back("patches: others are valid the next time");
  if (first.patches != second.patches) report->faults.push_back("patches: bytes are not written, or differ");
  const size_t bytes = static_cast<size_t>(request.height * request.width * 3);
  bool all = true;
  for (size_t i = 0; i < first.valid.size(); ++i) {
    const auto patch = first.patches.begin() + static_cast<int64_t>(i * bytes);
    if (first.valid[i] > 1) report->faults.push_back("patches: validity is not written");
    const bool own = i < first.valid.size() / 2;  // the others are the sound slide's
    const auto end = patch + static_cast<int64_t>(bytes);
    if (own) report->digests.push_back(first.valid[i] == 1 ? Digest(patch, end) : 0);
    if (first.valid[i] == 1) {
      report->images += own ? 1 : 0;
      continue;
    }
    all = false;
    report->filled += own ? 1 : 0;
    if (std::any_of(patch, end, [](uint8_t value) { return value != 255; })) {
      report->faults.push_back("patches: a patch that is not valid is not white");
    }
  }
  const auto half = static_cast<int64_t>(first.patches.size() / 2);
  if (!std::equal(sound.patches.begin(), sound.patches.end(), first.patches.begin() + half)) {
    report->faults.push_back("patches: the slide harms its neighbour in the batch");
  }
  if (strict.code != 0) CheckError(strict.code, strict.message, path, "patches, strictly", report);
  if ((strict.code == 0) != all) report->faults.push_back("patches: strict and filling answers disagree");
  if (strict.code == 0 && strict.patches != first.patches) {
    report->faults.push_back("patches: strict and filling pixels differ");
  }
}

// Patches move by less than they may, whatever the file says of its tiles.
void Snap(const Request& request, Report* report) {
  const double reach = 40;
  std::vector<int64_t> snapped(request.location.size(), std::numeric_limits<int64_t>::min());
  const bool ok = Answers(request.paths[0], "snap", report, [&] {
    ats_mag::SnapPatches({request.paths, kPlaces, request.height, request.width, request.location.data(),
                          request.downsample.data(), true, nullptr, nullptr},
                         &reach, snapped.data());
  });
  for (size_t i = 0; ok && i < snapped.size(); ++i) {
    const double moved = static_cast<double>(snapped[i]) - static_cast<double>(request.location[i]);
    // Either end is rounded to a pixel of the level, which may be coarse.
    if (std::abs(moved) > reach + request.downsample[i / 2] * 1.05 + 1) {
      report->faults.push_back(ats_mag::Cat("snap: moved by ", moved));
    }
  }
}

}  // namespace

void ReadOverview(const std::string& path, const std::vector<Level>& levels, std::mt19937_64* random, Report* report) {
  const double choices[] = {1, 2, 2.7, 4, 0.7, 16};
  const double width = levels[0].width, height = levels[0].height;
  double mpp = std::max(choices[(*random)() % 6], std::sqrt(width * height / kMostOverviewPixels));
  while (SourcePixels(levels, width, height, mpp) > kMostSourcePixels && mpp < levels.back().downsample) mpp *= 2;
  if (SourcePixels(levels, width, height, mpp) > kMostSourcePixels) {
    ++report->skipped;
    return;
  }
  Bytes first;
  for (const uint8_t canary : {uint8_t{0xA5}, uint8_t{0x5A}}) {
    Bytes pixels;
    const bool ok = Answers(path, "overview", report, [&] {
      ats_mag::ReadOverview(path, mpp, 1.0, [&](int64_t rows, int64_t columns) {
        if (rows < 1 || columns < 1 || rows * columns > 4 * kMostOverviewPixels + rows + columns) {
          throw std::logic_error(ats_mag::Cat("an overview of ", rows, " x ", columns));
        }
        pixels = Bytes(static_cast<size_t>(rows * columns * 3), canary);
        pixels.shrink_to_fit();
        return pixels.data();
      });
    });
    if (!ok) {
      if (canary == 0xA5) report->digests.push_back(0);
      return;
    }
    ++report->images;
    if (canary == 0xA5) {
      report->digests.push_back(Digest(pixels.begin(), pixels.end()));
      first.swap(pixels);
    } else if (first != pixels) {
      report->faults.push_back("overview: bytes are not written, or differ from time to time");
    }
  }
}

void ReadPatches(const std::string& path, const std::vector<Level>& levels, const Sound& sound,
                 std::mt19937_64* random, Report* report) {
  Request request{{path}, {}, {}, sound.request.height, sound.request.width};
  AddPlaces(levels, random, &request);
  const Request alone = request;
  const Request& beside = sound.request;
  request.paths.push_back(beside.paths[0]);
  request.location.insert(request.location.end(), beside.location.begin(), beside.location.end());
  request.downsample.insert(request.downsample.end(), beside.downsample.begin(), beside.downsample.end());
  const Answer first = Ask(request, true, 0xA5);
  CheckPatches(request, first, Ask(request, true, 0x5A), Ask(request, false, 0xC3), sound, report);

  Snap(alone, report);

  // Whatever the file: places that are absurd are refused, in either mode.
  Request absurd = alone;
  const size_t at = (*random)() % kPlaces;
  switch ((*random)() % 4) {
    case 0:
      absurd.downsample[at] = kUnknown;
      break;
    case 1:
      absurd.downsample[at] = 1e300;
      break;
    case 2:
      absurd.location[2 * at] = std::numeric_limits<int64_t>::min();
      break;
    default:
      absurd.location[2 * at + 1] = std::numeric_limits<int64_t>::max();
  }
  const Answer refused = Ask(absurd, (*random)() % 2 == 0, 0xA5);
  if (refused.code != static_cast<int>(Code::kInvalidArgument)) report->faults.push_back("patches: took absurd places");
}

Sound MakeSound(const std::string& path) {
  Sound sound{{{path}, {}, {}, 29, 37}, {}};
  for (int64_t i = 0; i < kPlaces; ++i) {
    sound.request.location.insert(sound.request.location.end(), {i * 9 - 20, i * 7 - 15});
    sound.request.downsample.push_back(i % 3 == 0 ? 1.0 : i % 3 == 1 ? 1.7 : 4.0);
  }
  const Answer answer = Ask(sound.request, false, 0xA5);
  if (answer.code != 0) throw std::runtime_error("the sound slide cannot be read: " + answer.message);
  sound.patches = answer.patches;
  return sound;
}

}  // namespace fuzz

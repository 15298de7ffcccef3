// Reads slides as the op does, and checks every answer: what the fuzz target runs on damaged files, one after another.
//
// Usage: driver SOUND_SLIDE. Lines "SEED PATH" on stdin; for each a line of JSON on stdout. SOUND_SLIDE is read beside
// each file, as a damaged slide must not harm its neighbours in a batch.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <ctime>
#include <fstream>
#include <iostream>
#include <random>
#include <string>
#include <vector>

#include "error.h"
#include "metadata.h"
#include "pictures.h"
#include "report.h"

namespace fuzz {
namespace {

// Proves, at the start of a run, that what must be caught is caught.
void Sabotage(const std::string& name, Report* report) {
  volatile int64_t count = 100;
  if (name == "!overrun") {
    uint8_t* bytes = new uint8_t[static_cast<size_t>(count)];
    bytes[count] = 1;
    report->images += bytes[count];
    delete[] bytes;
  } else if (name == "!undefined") {
    volatile double large = 1e30;
    report->images = static_cast<int64_t>(large);
  } else if (name == "!hang") {
    while (count > 0) count = count + 1 > 1000 ? 1 : count + 1;
  } else if (name == "!memory") {
    const std::vector<Bytes> blocks(11, Bytes(static_cast<size_t>(count) << 20, 1));
    report->images = blocks[0][static_cast<size_t>(count)];
  } else if (name == "!fault") {
    CheckError(static_cast<int>(ats_mag::Code::kInternal), "", name, "sabotage", report);
  }
}

// Whether OpenSlide's own pixels are those of the levels: it interpolates where downsamples are no whole numbers.
bool Comparable(const std::vector<Level>& levels) {
  return std::all_of(levels.begin(), levels.end(),
                     [](const Level& level) { return level.downsample == std::round(level.downsample); });
}

Report Read(const std::string& path, uint64_t seed, const Sound& sound) {
  Report report;
  std::mt19937_64 random(seed);
  Parse(path);
  const std::vector<Level> levels = ReadInfo(path, &report);
  ReadGeometry(path, &report);
  // Patches of a slide that cannot be opened are asked for too: any sizes will do.
  ReadPatches(path, levels.empty() ? std::vector<Level>{{300, 260, 1.0}} : levels, sound, &random, &report);
  if (!levels.empty()) ReadOverview(path, levels, &random, &report);
  if (!Comparable(levels)) report.digests.clear();
  return report;
}

}  // namespace
}  // namespace fuzz

int main(int count, char** arguments) {
  if (count != 2) {
    std::cerr << "usage: driver SOUND_SLIDE < lines of SEED PATH\n";
    return 2;
  }
  const fuzz::Sound sound = fuzz::MakeSound(arguments[1]);
  uint64_t seed = 0;
  std::string path;
  while (std::cin >> seed && std::getline(std::cin >> std::ws, path)) {
    std::ofstream("/proc/self/clear_refs") << 5;  // the peak of memory begins anew
    const std::clock_t start = std::clock();  // processor time of all threads: the machine may be busy
    fuzz::Report report;
    if (path[0] == '!') {
      fuzz::Sabotage(path, &report);
    } else {
      report = fuzz::Read(path, seed, sound);
    }
    fuzz::Print(report, 1e3 * static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
  }
  return 0;
}

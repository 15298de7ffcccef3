// Reads overviews and patches of a slide in every way, and compares the answers.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "metadata.h"
#include "report.h"

namespace fuzz {

struct Request {
  std::vector<std::string> paths;
  std::vector<int64_t> location;
  std::vector<double> downsample;
  int64_t height, width;
};

// The sound slide's patches, and what they look like alone.
struct Sound {
  Request request;
  Bytes patches;
};

// Throws where the slide cannot be read.
Sound MakeSound(const std::string& path);

void ReadOverview(const std::string& path, const std::vector<Level>& levels, std::mt19937_64* random, Report* report);

void ReadPatches(const std::string& path, const std::vector<Level>& levels, const Sound& sound,
                 std::mt19937_64* random, Report* report);

}  // namespace fuzz

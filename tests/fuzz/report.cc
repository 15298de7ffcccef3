#include "report.h"

#include <algorithm>
#include <fstream>
#include <iostream>

namespace fuzz {

using ats_mag::Code;

uint64_t Digest(Bytes::const_iterator begin, Bytes::const_iterator end) {  // FNV-1a
  uint64_t digest = 14695981039346656037u;
  for (; begin != end; ++begin) digest = (digest ^ *begin) * 1099511628211u;
  return digest;
}

void CheckError(int code, const std::string& message, const std::string& path, const char* what, Report* report) {
  ++report->errors[code];
  const bool file = code == static_cast<int>(Code::kInvalidArgument) || code == static_cast<int>(Code::kNotFound) ||
                    code == static_cast<int>(Code::kDataLoss);
  if (!file && code != static_cast<int>(Code::kResourceExhausted)) {
    report->faults.push_back(ats_mag::Cat(what, ": code ", code, ": ", message));
  } else if (message.empty() || (file && message.find(path) == std::string::npos)) {
    report->faults.push_back(ats_mag::Cat(what, ": the message does not name the slide: ", message));
  }
}

namespace {

// The number of KiB in a line of /proc/self/status.
int64_t Status(const std::string& name) {
  std::ifstream status("/proc/self/status");
  std::string word;
  int64_t value = -1;
  while (status >> word) {
    if (word == name && status >> value) break;
  }
  return value;
}

}  // namespace

void Print(const Report& report, double milliseconds) {
  std::string line =
      ats_mag::Cat("{\"opened\": ", report.opened ? "true" : "false", ", \"images\": ", report.images,
                   ", \"filled\": ", report.filled, ", \"skipped\": ", report.skipped, ", \"errors\": {");
  for (const auto& [code, count] : report.errors) {
    line += ats_mag::Cat(line.back() == '{' ? "" : ", ", '"', code, "\": ", count);
  }
  line += "}, \"faults\": [";
  for (const std::string& fault : report.faults) {
    std::string safe = fault;
    std::replace_if(safe.begin(), safe.end(), [](char c) { return c == '"' || c == '\\' || (c >= 0 && c < 32); }, '\'');
    line += ats_mag::Cat(line.back() == '[' ? "" : ", ", '"', safe, '"');
  }
  line += "], \"digests\": [";
  for (const uint64_t digest : report.digests) line += ats_mag::Cat(line.back() == '[' ? "" : ", ", digest);
  std::cout << ats_mag::Cat(line, "], \"ms\": ", milliseconds, ", \"peak_kib\": ", Status("VmHWM:"),
                            ", \"rss_kib\": ", Status("VmRSS:"), "}")
            << std::endl;
}

}  // namespace fuzz

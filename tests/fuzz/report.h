// What is noted of a file while its answers are checked.
#pragma once

#include <cstdint>
#include <exception>
#include <map>
#include <string>
#include <vector>

#include "error.h"

namespace fuzz {

using Bytes = std::vector<uint8_t>;

struct Report {
  bool opened = false;
  int64_t images = 0, filled = 0, skipped = 0;  // pictures read; patches painted white; requests not made
  std::map<int, int64_t> errors;                // by code
  std::vector<std::string> faults;              // answers that no file may cause
  std::vector<uint64_t> digests;                // of every picture asked for; 0: it cannot be read; see Comparable
};

uint64_t Digest(Bytes::const_iterator begin, Bytes::const_iterator end);

// Notes an error, and as a fault one that no file may cause or that does not name it.
void CheckError(int code, const std::string& message, const std::string& path, const char* what, Report* report);

// Whether `body` answers; anything that it throws but a clean error is a fault.
template <typename Body>
bool Answers(const std::string& path, const char* what, Report* report, const Body& body) {
  try {
    body();
    return true;
  } catch (const ats_mag::Error& error) {
    CheckError(static_cast<int>(error.code()), error.what(), path, what, report);
  } catch (const std::exception& error) {
    report->faults.push_back(ats_mag::Cat(what, ": threw ", error.what()));
  }
  return false;
}

// One line of JSON.
void Print(const Report& report, double milliseconds);

}  // namespace fuzz

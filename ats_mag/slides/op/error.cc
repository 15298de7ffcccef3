#include "error.h"

namespace ats_mag {
namespace {

// Length of the UTF-8 sequence that starts at `at`, or 0 when it is not one.
size_t SequenceLength(const std::string& text, size_t at) {
  const auto lead = static_cast<unsigned char>(text[at]);
  const size_t length = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
  if (at + length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((static_cast<unsigned char>(text[at + i]) & 0xC0) != 0x80) return 0;
  }
  return length;
}

}  // namespace

std::string Quote(const std::string& text) {
  std::string quoted = "'";
  for (size_t at = 0; at < text.size();) {
    const size_t length = SequenceLength(text, at);
    if (length == 0 || static_cast<unsigned char>(text[at]) < 0x20) {
      quoted += '?';
      ++at;
    } else {
      quoted.append(text, at, length);
      at += length;
    }
  }
  return quoted + "'";
}

}  // namespace ats_mag

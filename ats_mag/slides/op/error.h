// One exception type for everything that can go wrong, with the status code it becomes at the TensorFlow border.
#pragma once

#include <locale>
#include <sstream>
#include <stdexcept>
#include <string>

namespace ats_mag {

// The numbers are those of absl::StatusCode, which TensorFlow's C API uses as they are.
enum class Code : int {
  kInvalidArgument = 3,
  kNotFound = 5,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kInternal = 13,
  kDataLoss = 15,
};

class Error : public std::runtime_error {
 public:
  Error(Code code, const std::string& message) : std::runtime_error(message), code_(code) {}
  Code code() const { return code_; }

 private:
  Code code_;
};

template <typename... Parts>
std::string Cat(const Parts&... parts) {
  std::ostringstream text;
  text.imbue(std::locale::classic());  // numbers look the same whatever the program's locale
  text.precision(10);
  (text << ... << parts);
  return text.str();
}

// `text` in quotes, made safe for a message: bytes that are no UTF-8 become '?', as Python could not decode them.
std::string Quote(const std::string& text);

}  // namespace ats_mag

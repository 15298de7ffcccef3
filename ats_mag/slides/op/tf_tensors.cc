#include "tf_tensors.h"

#include <cstdlib>
#include <cstring>

#include "error.h"

namespace ats_mag {
namespace {

// The layout of TensorFlow's string element (tensorflow/core/platform/ctstring_internal.h), which is part of its ABI:
// 24 bytes, the two lowest bits of the first say which kind it is, the length above them.
union TString {
  uint8_t raw[24];
  struct {
    size_t size;
    size_t capacity;
    char* data;
  } large;
  struct {
    uint32_t size, offset, count;
  } offset;
  struct {
    size_t size;
    const char* data;
  } view;
};
static_assert(sizeof(TString) == 24, "the layout of TF_TString");
enum : uint8_t { kSmall = 0, kLarge = 1, kOffset = 2, kView = 3, kKindMask = 3 };

std::string ReadString(const TString& text) {
  switch (text.raw[0] & kKindMask) {
    case kSmall:
      return std::string(reinterpret_cast<const char*>(text.raw + 1), text.raw[0] >> 2);
    case kLarge:
      return std::string(text.large.data, text.large.size >> 2);
    case kOffset:
      return std::string(reinterpret_cast<const char*>(&text) + text.offset.offset, text.offset.size >> 2);
    default:
      return std::string(text.view.data, text.view.size >> 2);
  }
}

std::string FromCodes(const int32_t* codes, int64_t length, int64_t row) {
  while (length > 0 && codes[length - 1] == 0) --length;
  std::string path;
  for (int64_t i = 0; i < length; ++i) {
    if (codes[i] < 0 || codes[i] > 255) {
      throw Error(Code::kInvalidArgument, Cat("path codes must be bytes, 0 to 255. Received: path[", row, ", ", i,
                                              "] = ", codes[i], "; make them with encode_paths"));
    }
    path += static_cast<char>(codes[i]);
  }
  return path;
}

// Turns a status into an exception and deletes it.
class Checked {
 public:
  Checked() : status_(TensorFlow()->NewStatus()) {}
  ~Checked() { TensorFlow()->DeleteStatus(status_); }
  operator TF_Status*() const { return status_; }
  void Check() const {
    const int code = TensorFlow()->GetCode(status_);
    if (code != TF_OK) throw Error(static_cast<Code>(code), TensorFlow()->Message(status_));
  }

 private:
  TF_Status* status_;
};

}  // namespace

Input::Input(TF_OpKernelContext* context, int index, const char* name) : name_(name) {
  Checked status;
  TensorFlow()->GetInput(context, index, &tensor_, status);
  status.Check();
}

Input::~Input() { TensorFlow()->DeleteTensor(tensor_); }

std::string Input::shape() const {
  std::string text = "(";
  for (int axis = 0; axis < rank(); ++axis) text += Cat(axis > 0 ? ", " : "", dim(axis));
  return text + ")";
}

void Input::Expect(std::initializer_list<int64_t> dims) const {
  bool fits = rank() == static_cast<int>(dims.size());
  std::string expected;
  int axis = 0;
  for (const int64_t length : dims) {
    fits = fits && (length < 0 || dim(axis) == length);
    expected += Cat(axis > 0 ? ", " : "", length < 0 ? "any" : std::to_string(length));
    ++axis;
  }
  if (!fits) {
    throw Error(Code::kInvalidArgument, Cat(name_, " must have the shape (", expected, "). Received: ", shape()));
  }
}

std::vector<std::string> Input::Paths() const {
  std::vector<std::string> paths;
  if (TensorFlow()->TensorType(tensor_) == TF_STRING) {
    if (rank() > 1) Expect({-1});
    const int64_t count = rank() == 0 ? 1 : dim(0);
    for (int64_t i = 0; i < count; ++i) paths.push_back(ReadString(data<TString>()[i]));
  } else {
    Expect({-1, -1});
    for (int64_t i = 0; i < dim(0); ++i) paths.push_back(FromCodes(data<int32_t>() + i * dim(1), dim(1), i));
  }
  for (size_t i = 0; i < paths.size(); ++i) {
    if (paths[i].empty() || paths[i].find('\0') != std::string::npos) {
      throw Error(Code::kInvalidArgument,
                  Cat("a path must not be empty nor contain zero bytes. Received: path[", i, "] = ", Quote(paths[i])));
    }
  }
  return paths;
}

void* Allocate(TF_OpKernelContext* context, int index, TF_DataType type, const std::vector<int64_t>& dims) {
  size_t bytes = type == TF_UINT8 || type == TF_BOOL ? 1 : 8;
  for (const int64_t length : dims) bytes *= static_cast<size_t>(length);
  Checked status;
  TF_Tensor* tensor =
      TensorFlow()->AllocateOutput(context, index, type, dims.data(), static_cast<int>(dims.size()), bytes, status);
  status.Check();
  void* data = TensorFlow()->TensorData(tensor);
  TensorFlow()->DeleteTensor(tensor);  // the context keeps the memory; this was a reference to it
  return data;
}

}  // namespace ats_mag

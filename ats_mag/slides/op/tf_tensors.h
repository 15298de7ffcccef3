// Tensors of a kernel call, with their types and shapes checked and their strings read in place.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "tf_api.h"

namespace ats_mag {

// An input, released at the end of its scope. Throws Error when it cannot be had.
class Input {
 public:
  Input(TF_OpKernelContext* context, int index, const char* name);
  ~Input();
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;

  int rank() const { return TensorFlow()->NumDims(tensor_); }
  int64_t dim(int axis) const { return TensorFlow()->Dim(tensor_, axis); }
  std::string shape() const;  // "(2, 3)"
  // Throws Error(kInvalidArgument) unless the shape is this; -1 stands for any length.
  void Expect(std::initializer_list<int64_t> dims) const;
  template <typename T>
  const T* data() const {
    return static_cast<const T*>(TensorFlow()->TensorData(tensor_));
  }
  // Paths: a scalar or vector of strings, or the rows of a matrix of zero-padded UTF-8 codes. Throws Error on empty
  // ones, on zero bytes inside and on codes that are no bytes.
  std::vector<std::string> Paths() const;

 private:
  const char* name_;
  TF_Tensor* tensor_ = nullptr;
};

// Allocates an output and returns its memory, which belongs to the call. Throws Error when there is none.
void* Allocate(TF_OpKernelContext* context, int index, TF_DataType type, const std::vector<int64_t>& dims);

}  // namespace ats_mag

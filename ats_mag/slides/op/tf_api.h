// TensorFlow's C API for kernels, declared by hand and found at run time: one binary serves many TensorFlow versions,
// and none is needed to build it. The C API is stable; the names and types are those of tensorflow/c/{ops,kernels,
// tf_tensor,tf_status}.h.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ats_mag {

struct TF_OpDefinitionBuilder;
struct TF_KernelBuilder;
struct TF_OpKernelConstruction;
struct TF_OpKernelContext;
struct TF_ShapeInferenceContext;
struct TF_ShapeHandle;
struct TF_Status;
struct TF_Tensor;

enum TF_DataType : int { TF_DOUBLE = 2, TF_INT32 = 3, TF_UINT8 = 4, TF_STRING = 7, TF_INT64 = 9, TF_BOOL = 10 };
constexpr int TF_OK = 0;

// X(return type, name without TF_, arguments)
#define ATS_MAG_TF_FUNCTIONS(X)                                                                                       \
  X(TF_Status*, NewStatus, ())                                                                                        \
  X(void, DeleteStatus, (TF_Status*))                                                                                 \
  X(void, SetStatus, (TF_Status*, int code, const char* message))                                                     \
  X(int, GetCode, (const TF_Status*))                                                                                 \
  X(const char*, Message, (const TF_Status*))                                                                         \
  X(TF_OpDefinitionBuilder*, NewOpDefinitionBuilder, (const char* name))                                              \
  X(void, OpDefinitionBuilderAddAttr, (TF_OpDefinitionBuilder*, const char* spec))                                    \
  X(void, OpDefinitionBuilderAddInput, (TF_OpDefinitionBuilder*, const char* spec))                                   \
  X(void, OpDefinitionBuilderAddOutput, (TF_OpDefinitionBuilder*, const char* spec))                                  \
  X(void, OpDefinitionBuilderSetShapeInferenceFunction,                                                               \
    (TF_OpDefinitionBuilder*, void (*)(TF_ShapeInferenceContext*, TF_Status*)))                                       \
  X(void, RegisterOpDefinition, (TF_OpDefinitionBuilder*, TF_Status*))                                                \
  X(TF_ShapeHandle*, NewShapeHandle, ())                                                                              \
  X(void, DeleteShapeHandle, (TF_ShapeHandle*))                                                                       \
  X(void, ShapeInferenceContextGetInput, (TF_ShapeInferenceContext*, int, TF_ShapeHandle*, TF_Status*))               \
  X(void, ShapeInferenceContextSetOutput, (TF_ShapeInferenceContext*, int, TF_ShapeHandle*, TF_Status*))              \
  X(TF_ShapeHandle*, ShapeInferenceContextScalar, (TF_ShapeInferenceContext*))                                        \
  X(TF_ShapeHandle*, ShapeInferenceContextVectorFromSize, (TF_ShapeInferenceContext*, size_t))                        \
  X(void, ShapeInferenceContextWithRank,                                                                              \
    (TF_ShapeInferenceContext*, TF_ShapeHandle*, int64_t rank, TF_ShapeHandle* result, TF_Status*))                   \
  X(void, ShapeInferenceContextWithRankAtLeast,                                                                       \
    (TF_ShapeInferenceContext*, TF_ShapeHandle*, int64_t rank, TF_ShapeHandle* result, TF_Status*))                   \
  X(void, ShapeInferenceContextWithRankAtMost,                                                                        \
    (TF_ShapeInferenceContext*, TF_ShapeHandle*, int64_t rank, TF_ShapeHandle* result, TF_Status*))                   \
  X(void, ShapeInferenceContextSubshape,                                                                              \
    (TF_ShapeInferenceContext*, TF_ShapeHandle*, int64_t start, int64_t end, TF_ShapeHandle* result, TF_Status*))     \
  X(void, ShapeInferenceContextConcatenateShapes,                                                                     \
    (TF_ShapeInferenceContext*, TF_ShapeHandle*, TF_ShapeHandle*, TF_ShapeHandle* result, TF_Status*))                \
  X(TF_KernelBuilder*, NewKernelBuilder,                                                                              \
    (const char* op, const char* device, void* (*create)(TF_OpKernelConstruction*),                                   \
     void (*compute)(void*, TF_OpKernelContext*), void (*destroy)(void*)))                                            \
  X(void, RegisterKernelBuilder, (const char* name, TF_KernelBuilder*, TF_Status*))                                   \
  X(void, OpKernelConstruction_Failure, (TF_OpKernelConstruction*, TF_Status*))                                       \
  X(void, OpKernelConstruction_GetAttrString,                                                                         \
    (TF_OpKernelConstruction*, const char* name, char* value, size_t max_length, TF_Status*))                         \
  X(void, OpKernelConstruction_GetAttrSize,                                                                           \
    (TF_OpKernelConstruction*, const char* name, int32_t* list_size, int32_t* total_size, TF_Status*))                \
  X(void, OpKernelContext_Failure, (TF_OpKernelContext*, TF_Status*))                                                 \
  X(void, GetInput, (TF_OpKernelContext*, int, TF_Tensor**, TF_Status*))                                              \
  X(TF_Tensor*, AllocateOutput,                                                                                       \
    (TF_OpKernelContext*, int, TF_DataType, const int64_t* dims, int rank, size_t bytes, TF_Status*))                 \
  X(TF_DataType, TensorType, (const TF_Tensor*))                                                                      \
  X(int, NumDims, (const TF_Tensor*))                                                                                 \
  X(int64_t, Dim, (const TF_Tensor*, int))                                                                            \
  X(void*, TensorData, (const TF_Tensor*))                                                                            \
  X(void, DeleteTensor, (TF_Tensor*))

struct TfApi {
#define ATS_MAG_POINTER(type, name, arguments) type(*name) arguments = nullptr;
  ATS_MAG_TF_FUNCTIONS(ATS_MAG_POINTER)
#undef ATS_MAG_POINTER
};

// TensorFlow of this process; nullptr when there is none, as when a program uses the plain C entry alone.
const TfApi* TensorFlow();

}  // namespace ats_mag

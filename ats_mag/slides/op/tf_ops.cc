// The TensorFlow ops: their definitions, shape functions and CPU kernels around the calls of read.h.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <new>

#include "error.h"
#include "read.h"
#include "tf_api.h"
#include "tf_tensors.h"

namespace ats_mag {

// A process may load two copies of this library, say an installed one and one that lies beside an exported model. An op
// may be defined twice if both are the same, but a second kernel would make every call fail. An inline variable of
// default visibility is one object for the whole process, whichever way its libraries are loaded (STB_GNU_UNIQUE).
inline __attribute__((visibility("default"))) bool kernels_registered = false;

namespace {

// ---- kernels -------------------------------------------------------------------------------------------------------

// No exception may leave a function that TensorFlow calls.
template <typename Body>
void Guard(TF_OpKernelContext* context, const Body& body) {
  const auto fail = [&](Code code, const char* message) {
    TF_Status* status = TensorFlow()->NewStatus();
    TensorFlow()->SetStatus(status, static_cast<int>(code), message);
    TensorFlow()->OpKernelContext_Failure(context, status);
    TensorFlow()->DeleteStatus(status);
  };
  try {
    body();
  } catch (const Error& error) {
    fail(error.code(), error.what());
  } catch (const std::bad_alloc&) {
    fail(Code::kResourceExhausted, "out of memory while reading slides");
  } catch (const std::exception& error) {
    fail(Code::kInternal, error.what());
  }
}

std::string OnlyPath(const Input& input) {
  input.Expect({});
  return input.Paths()[0];
}

struct ReadPatchesKernel {
  bool fill;
};

void* CreateReadPatches(TF_OpKernelConstruction* construction) {
  const TfApi& tf = *TensorFlow();
  TF_Status* status = tf.NewStatus();
  char value[16] = {};  // TensorFlow has checked it to be one of the allowed values
  int32_t list_size = 0, size = 0;
  tf.OpKernelConstruction_GetAttrSize(construction, "on_error", &list_size, &size, status);
  tf.OpKernelConstruction_GetAttrString(construction, "on_error", value, sizeof(value) - 1, status);
  if (tf.GetCode(status) != TF_OK) tf.OpKernelConstruction_Failure(construction, status);
  tf.DeleteStatus(status);
  value[std::clamp<int32_t>(size, 0, sizeof(value) - 1)] = '\0';
  return new ReadPatchesKernel{std::strcmp(value, "fill") == 0};
}

void DeleteReadPatches(void* kernel) { delete static_cast<ReadPatchesKernel*>(kernel); }

// What both ops on patches take.
PatchRequest Places(const Input& path, const Input& location, const Input& downsample) {
  PatchRequest request{};
  request.paths = path.Paths();
  if (path.rank() == 0) path.Expect({-1});
  const auto batch = static_cast<int64_t>(request.paths.size());
  location.Expect({batch, -1, 2});
  request.per_slide = location.dim(1);
  downsample.Expect({batch, request.per_slide});
  request.location = location.data<int64_t>();
  request.downsample = downsample.data<double>();
  return request;
}

void ComputeReadPatches(void* kernel, TF_OpKernelContext* context) {
  Guard(context, [&] {
    const Input path(context, 0, "path"), location(context, 1, "location"), downsample(context, 2, "downsample"),
        carrier(context, 3, "carrier");
    PatchRequest request = Places(path, location, downsample);
    const auto batch = static_cast<int64_t>(request.paths.size());
    carrier.Expect({0, -1, -1, 3});
    request.height = carrier.dim(1);
    request.width = carrier.dim(2);
    CheckPatchSize(batch, request.per_slide, request.height, request.width);
    request.fill = static_cast<ReadPatchesKernel*>(kernel)->fill;
    request.patches = static_cast<uint8_t*>(
        Allocate(context, 0, TF_UINT8, {batch, request.per_slide, request.height, request.width, 3}));
    request.valid = static_cast<bool*>(Allocate(context, 1, TF_BOOL, {batch, request.per_slide}));
    ReadPatches(request);
  });
}

void ComputeReadOverview(void*, TF_OpKernelContext* context) {
  Guard(context, [&] {
    const Input path(context, 0, "path"), mpp(context, 1, "mpp"), slide_mpp(context, 2, "slide_mpp");
    mpp.Expect({});
    slide_mpp.Expect({});
    uint8_t* memory = nullptr;
    int64_t allocated_height = 0, allocated_width = 0;
    ReadOverview(OnlyPath(path), *mpp.data<double>(), *slide_mpp.data<double>(), [&](int64_t height, int64_t width) {
      if (memory == nullptr) {
        memory = static_cast<uint8_t*>(Allocate(context, 0, TF_UINT8, {height, width, 3}));
        allocated_height = height;
        allocated_width = width;
      } else if (height != allocated_height || width != allocated_width) {
        throw Error(Code::kDataLoss, "the file was replaced while it was read; read it again");
      }
      return memory;
    });
  });
}

void ComputeSlideGeometry(void*, TF_OpKernelContext* context) {
  Guard(context, [&] {
    const Input path(context, 0, "path"), slide_mpp(context, 1, "slide_mpp");
    const std::vector<std::string> paths = path.Paths();
    if (path.rank() == 0) path.Expect({-1});
    const auto batch = static_cast<int64_t>(paths.size());
    slide_mpp.Expect({batch});
    auto* bounds = static_cast<int64_t*>(Allocate(context, 0, TF_INT64, {batch, 4}));
    auto* mpp = static_cast<double*>(Allocate(context, 1, TF_DOUBLE, {batch}));
    SlideGeometry(paths, slide_mpp.data<double>(), bounds, mpp);
  });
}

void ComputeSnapPatches(void*, TF_OpKernelContext* context) {
  Guard(context, [&] {
    const Input path(context, 0, "path"), location(context, 1, "location"), downsample(context, 2, "downsample"),
        reach(context, 3, "reach"), size(context, 4, "size");
    PatchRequest request = Places(path, location, downsample);
    const auto batch = static_cast<int64_t>(request.paths.size());
    reach.Expect({batch});
    size.Expect({2});
    request.height = size.data<int64_t>()[0];
    request.width = size.data<int64_t>()[1];
    CheckPatchSize(batch, request.per_slide, request.height, request.width);
    auto* snapped = static_cast<int64_t*>(Allocate(context, 0, TF_INT64, {batch, request.per_slide, 2}));
    SnapPatches(request, reach.data<double>(), snapped);
  });
}

// ---- shapes --------------------------------------------------------------------------------------------------------

// A shape of the inference context. Errors gather in the status; TensorFlow reports them when the function returns.
class Shape {
 public:
  explicit Shape(TF_ShapeHandle* handle) : handle_(handle) {}
  ~Shape() { TensorFlow()->DeleteShapeHandle(handle_); }
  Shape(const Shape&) = delete;
  Shape& operator=(const Shape&) = delete;
  TF_ShapeHandle* get() const { return handle_; }

 private:
  TF_ShapeHandle* handle_;
};

struct Inference {
  TF_ShapeInferenceContext* context;
  TF_Status* status;
  const TfApi& tf = *TensorFlow();

  bool ok() const { return tf.GetCode(status) == TF_OK; }
  // Input `index`, its rank checked, or when unknown, set.
  void Get(int index, int64_t rank, const Shape& result) const {
    if (!ok()) return;
    tf.ShapeInferenceContextGetInput(context, index, result.get(), status);
    if (ok()) tf.ShapeInferenceContextWithRank(context, result.get(), rank, result.get(), status);
  }
  void Part(const Shape& shape, int64_t start, int64_t end, const Shape& result) const {
    if (ok()) tf.ShapeInferenceContextSubshape(context, shape.get(), start, end, result.get(), status);
  }
  void Join(const Shape& first, const Shape& second, const Shape& result) const {
    if (ok()) tf.ShapeInferenceContextConcatenateShapes(context, first.get(), second.get(), result.get(), status);
  }
  void Set(int index, const Shape& shape) const {
    if (ok()) tf.ShapeInferenceContextSetOutput(context, index, shape.get(), status);
  }
};

void ReadPatchesShape(TF_ShapeInferenceContext* context, TF_Status* status) {
  const Inference infer{context, status};
  const Shape location(infer.tf.NewShapeHandle()), carrier(infer.tf.NewShapeHandle()), out(infer.tf.NewShapeHandle());
  infer.Get(2, 2, location);  // checks the rank of downsample; the lengths come from location
  infer.Get(1, 3, location);
  infer.Get(3, 4, carrier);
  infer.Part(location, 0, 2, location);
  infer.Part(carrier, 1, 4, carrier);
  infer.Join(location, carrier, out);
  infer.Set(0, out);
  infer.Set(1, location);
}

void ReadOverviewShape(TF_ShapeInferenceContext* context, TF_Status* status) {
  const Inference infer{context, status};
  const Shape scalar(infer.tf.NewShapeHandle());
  for (int i = 0; i < 3; ++i) infer.Get(i, 0, scalar);
  const auto unknown = static_cast<size_t>(-1);  // TensorFlow's mark of an unknown length
  const Shape side(infer.tf.ShapeInferenceContextVectorFromSize(context, unknown));
  const Shape other(infer.tf.ShapeInferenceContextVectorFromSize(context, unknown));
  const Shape channels(infer.tf.ShapeInferenceContextVectorFromSize(context, 3));
  const Shape out(infer.tf.NewShapeHandle());
  infer.Join(side, other, out);
  infer.Join(out, channels, out);
  infer.Set(0, out);
}

void SlideGeometryShape(TF_ShapeInferenceContext* context, TF_Status* status) {
  const Inference infer{context, status};
  const Shape batch(infer.tf.NewShapeHandle()), out(infer.tf.NewShapeHandle());
  const Shape box(infer.tf.ShapeInferenceContextVectorFromSize(context, 4));
  infer.Get(1, 1, batch);
  infer.Join(batch, box, out);
  infer.Set(0, out);
  infer.Set(1, batch);
}

void SnapPatchesShape(TF_ShapeInferenceContext* context, TF_Status* status) {
  const Inference infer{context, status};
  const Shape location(infer.tf.NewShapeHandle());
  infer.Get(1, 3, location);
  infer.Set(0, location);
}

// ---- registration --------------------------------------------------------------------------------------------------

struct Op {
  const char* name;
  std::vector<const char*> attributes, inputs, outputs;
  void (*shape)(TF_ShapeInferenceContext*, TF_Status*);
  void* (*create)(TF_OpKernelConstruction*);
  void (*compute)(void*, TF_OpKernelContext*);
  void (*destroy)(void*);
};

void* CreateNothing(TF_OpKernelConstruction*) { return nullptr; }
void DeleteNothing(void*) {}

void Register(const Op& op) {
  const TfApi& tf = *TensorFlow();
  TF_Status* status = tf.NewStatus();
  TF_OpDefinitionBuilder* definition = tf.NewOpDefinitionBuilder(op.name);
  for (const char* attribute : op.attributes) tf.OpDefinitionBuilderAddAttr(definition, attribute);
  for (const char* input : op.inputs) tf.OpDefinitionBuilderAddInput(definition, input);
  for (const char* output : op.outputs) tf.OpDefinitionBuilderAddOutput(definition, output);
  tf.OpDefinitionBuilderSetShapeInferenceFunction(definition, op.shape);
  tf.RegisterOpDefinition(definition, status);
  if (tf.GetCode(status) == TF_OK && !kernels_registered) {
    tf.RegisterKernelBuilder(op.name, tf.NewKernelBuilder(op.name, "CPU", op.create, op.compute, op.destroy), status);
  }
  if (tf.GetCode(status) != TF_OK) {
    std::fprintf(stderr, "ats_mag: cannot register %s: %s\n", op.name, tf.Message(status));
  }
  tf.DeleteStatus(status);
}

// TensorFlow's loader expects ops to register themselves while the library is being opened.
const bool registered = [] {
  if (TensorFlow() == nullptr) return false;
  const char* const kPathType = "T: {string, int32}";
  Register({"AtsMagReadPatches",
            {kPathType, "on_error: {'raise', 'fill'} = 'raise'"},
            {"path: T", "location: int64", "downsample: double", "carrier: uint8"},
            {"patches: uint8", "valid: bool"},
            ReadPatchesShape, CreateReadPatches, ComputeReadPatches, DeleteReadPatches});
  Register({"AtsMagReadOverview", {}, {"path: string", "mpp: double", "slide_mpp: double"}, {"overview: uint8"},
            ReadOverviewShape, CreateNothing, ComputeReadOverview, DeleteNothing});
  Register({"AtsMagSlideGeometry", {kPathType}, {"path: T", "slide_mpp: double"}, {"bounds: int64", "mpp: double"},
            SlideGeometryShape, CreateNothing, ComputeSlideGeometry, DeleteNothing});
  Register({"AtsMagSnapPatches",
            {kPathType},
            {"path: T", "location: int64", "downsample: double", "reach: double", "size: int64"},
            {"snapped: int64"},
            SnapPatchesShape, CreateNothing, ComputeSnapPatches, DeleteNothing});
  kernels_registered = true;
  return true;
}();

}  // namespace
}  // namespace ats_mag

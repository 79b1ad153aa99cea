/**
 * The addon `onnxruntime.node`: runs models in an ONNX Runtime that is found at run time. Nothing of it is
 * linked. The caller has checked whose the file is. index.d.ts states the functions.
 *
 * INVARIANTS: one library for the life of the process. All work is done in libuv workers: a driver may hang.
 */
#include <dlfcn.h>
#include <napi.h>

#define ORT_API_MANUAL_INIT
#include <onnxruntime_cxx_api.h>

#include <map>
#include <stdexcept>
#include <vector>

#include "../addon/later.h"
#include "../addon/values.h"
#include "../gst/view.h"

namespace vigie {
namespace {

/** Version of the C API that is asked for (ONNX Runtime 1.17). Its table of functions only grows. */
constexpr uint32_t kApiVersion = 17;
/** A detector's own outputs are a few hundred KB. What is longer is not copied: its `data` is null. */
constexpr size_t kOutputBytesMax = 16 * 1024 * 1024;

/** Null until a library is loaded, and never destroyed: what it has started may still run. */
Ort::Env* environment;

using Model = std::shared_ptr<Ort::Session>;
/** Open models by their number; touched by the main thread only. */
std::map<uint32_t, Model> models;
uint32_t last_model = 0;

struct Library {
  std::string version;
  std::vector<std::string> providers;
};

Library Load(const std::string& path) {
  if (environment) throw std::runtime_error("another ONNX Runtime is loaded already");
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) throw std::runtime_error(dlerror());
  const auto get_base = reinterpret_cast<const OrtApiBase* (*)()>(dlsym(library, "OrtGetApiBase"));
  if (!get_base) throw std::runtime_error("it is no ONNX Runtime: it has no OrtGetApiBase");
  const std::string version = get_base()->GetVersionString();
  const OrtApi* api = get_base()->GetApi(kApiVersion);
  if (!api) throw std::runtime_error("it is version " + version + "; 1.17 or later is needed");
  Ort::InitApi(api);
  environment = new Ort::Env(ORT_LOGGING_LEVEL_ERROR, "vigie");
  environment->DisableTelemetryEvents();
  return {version, Ort::GetAvailableProviders()};
}

/** Input or output of a model. */
struct Description {
  std::string name;
  bool is_tensor = false;
  int type = 0;
  std::vector<int64_t> dims;
  /** Names of the dimensions of any length. */
  std::vector<std::string> dim_names;
};

Description Describe(std::string name, const Ort::TypeInfo& type) {
  Description description;
  description.name = std::move(name);
  description.is_tensor = type.GetONNXType() == ONNX_TYPE_TENSOR;
  if (!description.is_tensor) return description;
  const auto tensor = type.GetTensorTypeAndShapeInfo();
  description.type = tensor.GetElementType();
  description.dims = tensor.GetShape();
  std::vector<const char*> names(description.dims.size(), "");
  tensor.GetSymbolicDimensions(names.data(), names.size());
  description.dim_names.assign(names.begin(), names.end());
  return description;
}

/** An engine takes minutes to build, so it is kept in `cache`. */
void AppendTensorRt(Ort::SessionOptions& options, const std::string& cache) {
  const OrtApi& api = Ort::GetApi();
  OrtTensorRTProviderOptionsV2* own = nullptr;
  Ort::ThrowOnError(api.CreateTensorRTProviderOptions(&own));
  const std::unique_ptr<OrtTensorRTProviderOptionsV2, void (*)(OrtTensorRTProviderOptionsV2*)> owner(
      own, api.ReleaseTensorRTProviderOptions);
  const char* keys[] = {"trt_fp16_enable", "trt_engine_cache_enable", "trt_engine_cache_path",
                        "trt_timing_cache_enable", "trt_timing_cache_path"};
  const char* values[] = {"1", "1", cache.c_str(), "1", cache.c_str()};
  Ort::ThrowOnError(api.UpdateTensorRTProviderOptions(own, keys, values, std::size(keys)));
  options.AppendExecutionProvider_TensorRT_V2(*own);
}

void AppendCuda(Ort::SessionOptions& options) {
  const OrtApi& api = Ort::GetApi();
  OrtCUDAProviderOptionsV2* own = nullptr;
  Ort::ThrowOnError(api.CreateCUDAProviderOptions(&own));
  const std::unique_ptr<OrtCUDAProviderOptionsV2, void (*)(OrtCUDAProviderOptionsV2*)> owner(
      own, api.ReleaseCUDAProviderOptions);
  options.AppendExecutionProvider_CUDA_V2(*own);
}

void Append(Ort::SessionOptions& options, const std::string& provider, const std::string& cache) {
  if (provider == "cpu") return;
  if (provider == "tensorrt") return AppendTensorRt(options, cache);
  if (provider == "cuda") return AppendCuda(options);
  if (provider != "openvino") throw std::invalid_argument("no such provider");
  options.AppendExecutionProvider_OpenVINO_V2({{"device_type", "AUTO:GPU,CPU"}, {"cache_dir", cache}});
}

struct Opened {
  Model model;
  std::vector<Description> inputs, outputs;
};

Opened Open(View<uint8_t> bytes, const std::string& provider, const std::string& cache) {
  Ort::SessionOptions options;
  // One thread that sleeps when idle, as in onnxruntime.ts.
  options.SetIntraOpNumThreads(1);
  options.SetInterOpNumThreads(1);
  options.DisableMemPattern();
  options.SetLogSeverityLevel(ORT_LOGGING_LEVEL_ERROR);
  options.SetGraphOptimizationLevel(ORT_ENABLE_ALL);
  options.AddConfigEntry("session.intra_op.allow_spinning", "0");
  Append(options, provider, cache);
  Opened opened = {std::make_shared<Ort::Session>(*environment, bytes.data, bytes.length, options), {}, {}};
  const Ort::Session& session = *opened.model;
  Ort::AllocatorWithDefaultOptions allocator;
  for (size_t i = 0; i < session.GetInputCount(); i++)
    opened.inputs.push_back(Describe(session.GetInputNameAllocated(i, allocator).get(), session.GetInputTypeInfo(i)));
  for (size_t i = 0; i < session.GetOutputCount(); i++)
    opened.outputs.push_back(
        Describe(session.GetOutputNameAllocated(i, allocator).get(), session.GetOutputTypeInfo(i)));
  return opened;
}

struct Frame {
  View<uint8_t> rgb;
  int64_t width, height;
};

/** @throws Ort::Exception also for a length that does not fit the shape */
std::vector<Ort::Value> Run(Ort::Session& session, const std::string& input, const Frame& frame,
                            const std::vector<std::string>& outputs) {
  const int64_t shape[] = {1, frame.height, frame.width, 3};
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  const Ort::Value value = Ort::Value::CreateTensor(memory, frame.rgb.data, frame.rgb.length, shape, std::size(shape),
                                                    ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8);
  const char* in = input.c_str();
  std::vector<const char*> out;
  for (const std::string& name : outputs) out.push_back(name.c_str());
  return session.Run(Ort::RunOptions{nullptr}, &in, &value, 1, out.data(), out.size());
}

/** Returns 0 for a type that no detector may output. */
size_t BytesOfType(ONNXTensorElementDataType type) {
  switch (type) {
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT:
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32:
      return 4;
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8:
      return 1;
    default:
      return 0;
  }
}

Napi::Object ObjectOf(Napi::Env env, const Description& description) {
  Napi::Object object = Napi::Object::New(env);
  Napi::Array dims = Napi::Array::New(env, description.dims.size());
  for (uint32_t i = 0; i < description.dims.size(); i++) {
    const int64_t side = description.dims[i];
    if (side < 0) {
      dims.Set(i, description.dim_names[i]);
    } else {
      dims.Set(i, static_cast<double>(side));
    }
  }
  object.Set("name", description.name);
  object.Set("isTensor", description.is_tensor);
  object.Set("type", description.type);
  object.Set("dims", dims);
  return object;
}

Napi::Object ObjectOf(Napi::Env env, const std::string& name, const Ort::Value& value) {
  const auto tensor = value.GetTensorTypeAndShapeInfo();
  const size_t count = tensor.GetElementCount();
  const size_t bytes_each = BytesOfType(tensor.GetElementType());
  Napi::Object object = ObjectOf(env, Description{name, true, tensor.GetElementType(), tensor.GetShape(), {}});
  const bool fits = bytes_each > 0 && count <= kOutputBytesMax / bytes_each;
  object.Set("data",
             fits ? Napi::Value(Napi::Buffer<char>::Copy(
                        env, static_cast<const char*>(count == 0 ? "" : value.GetTensorRawData()), count * bytes_each))
                  : env.Null());
  return object;
}

/** A JavaScript object that a worker reads in place. */
std::shared_ptr<Napi::ObjectReference> Hold(const Napi::Value& value) {
  return std::make_shared<Napi::ObjectReference>(Napi::Persistent(value.As<Napi::Object>()));
}

const Model& ModelOf(const Napi::Value& value) {
  const auto found = models.find(static_cast<uint32_t>(IntegerOf(value)));
  if (found == models.end()) throw Napi::Error::New(value.Env(), "no such model is open");
  return found->second;
}

Napi::Value LoadLibrary(const Napi::CallbackInfo& info) {
  return Later<Library>::Run(
      info.Env(), [path = StringOf(info[0])] { return Load(path); },
      [](Napi::Env env, Library& library) {
        Napi::Object object = Napi::Object::New(env);
        object.Set("version", library.version);
        object.Set("providers", ArrayOf(env, library.providers,
                                        [&](const std::string& name) { return Napi::String::New(env, name); }));
        return object;
      });
}

Napi::Value OpenModel(const Napi::CallbackInfo& info) {
  if (!environment) throw Napi::Error::New(info.Env(), "no ONNX Runtime is loaded");
  return Later<Opened>::Run(
      info.Env(),
      [held = Hold(info[0]), bytes = BytesOf(info[0]), provider = StringOf(info[1]), cache = StringOf(info[2])] {
        return Open(bytes, provider, cache);
      },
      [](Napi::Env env, Opened& opened) {
        const auto convert = [&](const Description& description) { return ObjectOf(env, description); };
        models[++last_model] = opened.model;
        Napi::Object object = Napi::Object::New(env);
        object.Set("model", last_model);
        object.Set("inputs", ArrayOf(env, opened.inputs, convert));
        object.Set("outputs", ArrayOf(env, opened.outputs, convert));
        return object;
      });
}

Napi::Value RunModel(const Napi::CallbackInfo& info) {
  const Model model = ModelOf(info[0]);
  const Frame frame = {BytesOf(info[2]), IntegerOf(info[3]), IntegerOf(info[4])};
  std::vector<std::string> outputs;
  const auto list = info[5].As<Napi::Array>();
  for (uint32_t i = 0; i < list.Length(); i++) outputs.push_back(StringOf(list.Get(i)));
  using Result = std::shared_ptr<std::vector<Ort::Value>>;
  return Later<Result>::Run(
      info.Env(),
      [model, held = Hold(info[2]), input = StringOf(info[1]), frame, outputs] {
        return std::make_shared<std::vector<Ort::Value>>(Run(*model, input, frame, outputs));
      },
      [outputs](Napi::Env env, Result& values) {
        size_t index = 0;
        return ArrayOf(env, *values, [&](const Ort::Value& value) { return ObjectOf(env, outputs[index++], value); });
      });
}

Napi::Value CloseModel(const Napi::CallbackInfo& info) {
  const uint32_t number = static_cast<uint32_t>(IntegerOf(info[0]));
  const auto model = std::make_shared<Model>(ModelOf(info[0]));
  models.erase(number);
  // The last owner frees it: this worker, or one that still runs it.
  return Later<bool>::Run(
      info.Env(),
      [model] {
        model->reset();
        return true;
      },
      [](Napi::Env env, bool&) { return env.Undefined(); });
}

}  // namespace

Napi::Object StartOnnxRuntime(Napi::Env env, Napi::Object exports) {
  exports.Set("loadLibrary", Napi::Function::New<LoadLibrary>(env));
  exports.Set("openModel", Napi::Function::New<OpenModel>(env));
  exports.Set("runModel", Napi::Function::New<RunModel>(env));
  exports.Set("closeModel", Napi::Function::New<CloseModel>(env));
  return exports;
}

}  // namespace vigie

using vigie::StartOnnxRuntime;
NODE_API_MODULE(onnxruntime, StartOnnxRuntime)

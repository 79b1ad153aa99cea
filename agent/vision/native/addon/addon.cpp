/** The addon `vigie.node`: pictures and results of inference for JavaScript. vigie-native.d.ts states its
 * functions. */
#include <gst/gst.h>
#include <napi.h>
#include <sys/prctl.h>
#include <time.h>

#include <vector>

#include "../gst/picturesink.h"
#include "../gst/plugin.h"
#include "../gst/requests.h"
#include "later.h"

namespace vigie {
namespace {

Ranges RangesOf(const Napi::Value& value) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_int32_array)
    throw Napi::TypeError::New(value.Env(), "an Int32Array is expected");
  const auto array = value.As<Napi::Int32Array>();
  return {array.Data(), array.ElementLength()};
}

View<uint8_t> PlaceOf(const Napi::Value& value) {
  Napi::Uint8Array bytes = BytesOf(value);
  return {bytes.Data(), bytes.ElementLength()};
}

Napi::Value TimeOf(Napi::Env env, GstClockTime time) {
  return GST_CLOCK_TIME_IS_VALID(time) ? Napi::BigInt::New(env, static_cast<uint64_t>(time)) : env.Null();
}

Napi::Value CopyOf(Napi::Env env, GstBuffer* buffer) {
  if (!buffer) return env.Null();
  const MappedBuffer map(buffer, GST_MAP_READ);
  if (!map) return env.Null();
  return Napi::Buffer<uint8_t>::Copy(env, map.data(), map.size());
}

/** One picture for JavaScript, until it is released. */
class PictureObject : public Napi::ObjectWrap<PictureObject> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(
        env, "Picture",
        {InstanceAccessor<&PictureObject::PtsNs>("ptsNs"), InstanceAccessor<&PictureObject::Order>("order"),
         InstanceAccessor<&PictureObject::Shape>("shape"), InstanceMethod<&PictureObject::WriteRgb>("rgb"),
         InstanceMethod<&PictureObject::WritePlanes>("planes"),
         InstanceMethod<&PictureObject::WriteGrey>("grey"),
         InstanceMethod<&PictureObject::MakeStill>("still"),
         InstanceMethod<&PictureObject::Release>("release")});
  }

  /** Null stays null. */
  static Napi::Value Of(Napi::Env env, std::shared_ptr<const Picture> picture) {
    if (!picture) return env.Null();
    const Napi::Object object = env.GetInstanceData<Napi::FunctionReference>()->New({});
    Unwrap(object)->picture_ = std::move(picture);
    return object;
  }

  explicit PictureObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {}

 private:
  const std::shared_ptr<const Picture>& held() const {
    if (!picture_) throw std::runtime_error("the picture was released");
    return picture_;
  }

  Napi::Value PtsNs(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&] { return TimeOf(info.Env(), held()->pts()); });
  }

  Napi::Value Order(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      const guint64 order = held()->order();
      if (order == GST_BUFFER_OFFSET_NONE) return info.Env().Null();
      return Napi::Number::New(info.Env(), static_cast<double>(order));
    });
  }

  /** Width, height, and the two numbers of the pixel aspect ratio. */
  Napi::Value Shape(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&] {
      const GstVideoInfo& shape = held()->info();
      const std::vector<int> sides = {shape.width, shape.height, shape.par_n, shape.par_d};
      return ArrayOf(info.Env(), sides, [&](int side) { return Napi::Number::New(info.Env(), side); });
    });
  }

  void WriteRgb(const Napi::CallbackInfo& info) {
    Guarded(info.Env(), [&] {
      const Placement at = {IntegerOf(info[3]), IntegerOf(info[4]), SizeAt(info, 5)};
      held()->WriteRgb(PlaceOf(info[0]), SizeAt(info, 1), at, RangesOf(info[7]));
    });
  }

  void WritePlanes(const Napi::CallbackInfo& info) {
    Guarded(info.Env(), [&] {
      held()->WritePlanes(PlaceOf(info[0]), SizeAt(info, 1), RangesOf(info[3]), RangesOf(info[4]));
    });
  }

  void WriteGrey(const Napi::CallbackInfo& info) {
    Guarded(info.Env(), [&] { held()->WriteGrey(PlaceOf(info[0]), SizeAt(info, 1), RangesOf(info[3])); });
  }

  Napi::Value MakeStill(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&] {
      const Size size = SizeAt(info, 0);
      const auto copy = [](Ranges ranges) {
        return std::vector<int32_t>(ranges.data, ranges.data + ranges.length);
      };
      const auto work = [picture = held(), size, y = copy(RangesOf(info[2])), uv = copy(RangesOf(info[3]))] {
        // Shared, because a function of the standard library must be possible to copy.
        return std::make_shared<Still>(
            picture->MakeStill(size, {y.data(), y.size()}, {uv.data(), uv.size()}));
      };
      return Later<std::shared_ptr<Still>>::Run(info.Env(), work, [](Napi::Env env, auto& still) {
        Napi::Object object = Napi::Object::New(env);
        object.Set("ptsNs", TimeOf(env, still->pts));
        object.Set("jpeg", CopyOf(env, still->jpeg.get()));
        return object;
      });
    });
  }

  void Release(const Napi::CallbackInfo&) { picture_.reset(); }

  static Size SizeAt(const Napi::CallbackInfo& info, size_t index) {
    return {IntegerOf(info[index]), IntegerOf(info[index + 1])};
  }

  std::shared_ptr<const Picture> picture_;
};

/** Sink of the first argument, a number that its property `id` gave. A worker shares it. */
std::shared_ptr<GstElement> SinkOf(const Napi::CallbackInfo& info) {
  ElementOwner sink = FindPictureSink(static_cast<guint>(IntegerOf(info[0])));
  if (!sink) throw Napi::Error::New(info.Env(), "there is no such picturesink");
  return sink;
}

Napi::Value TakePictureNow(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(),
                 [&] { return PictureObject::Of(info.Env(), TakePicture(SinkOf(info).get(), 0)); });
}

Napi::Value PullPicture(const Napi::CallbackInfo& info) {
  using Result = std::shared_ptr<const Picture>;
  return Later<Result>::Run(
      info.Env(), [sink = SinkOf(info)] { return TakePicture(sink.get(), GST_CLOCK_TIME_NONE); },
      [](Napi::Env env, Result& picture) { return PictureObject::Of(env, std::move(picture)); });
}

Napi::Object ObjectOf(Napi::Env env, const Tensor& tensor) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("id", tensor.id);
  object.Set("type", tensor.type);
  object.Set("isRowMajor", tensor.is_row_major);
  object.Set("dims", ArrayOf(env, tensor.dims, [&](size_t dim) { return Napi::Number::New(env, dim); }));
  object.Set("data", CopyOf(env, tensor.data.get()));
  return object;
}

Napi::Object ObjectOf(Napi::Env env, const Detection& detection) {
  const auto number = [&](double value) { return Napi::Number::New(env, value); };
  Napi::Object object = Napi::Object::New(env);
  object.Set("label", detection.label);
  object.Set("score", number(detection.score));
  const std::vector<int> sides(std::begin(detection.xywh), std::end(detection.xywh));
  object.Set("xywhPx", ArrayOf(env, sides, number));
  return object;
}

Napi::Object ObjectOf(Napi::Env env, const HailoOutput& output) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("metaBytes", Napi::Number::New(env, output.meta_bytes));
  if (!output.content) return object;
  const HailoContent& content = *output.content;
  const std::vector<uint32_t> shape(std::begin(content.shape), std::end(content.shape));
  object.Set("name", content.name);
  object.Set("isNms", content.is_nms);
  object.Set("shape", ArrayOf(env, shape, [&](uint32_t side) { return Napi::Number::New(env, side); }));
  object.Set("data", CopyOf(env, content.data.get()));
  return object;
}

Napi::Value ValueOf(Napi::Env env, const std::optional<Inferred>& inferred) {
  if (!inferred) return env.Null();
  const auto convert = [&](const auto& item) { return ObjectOf(env, item); };
  Napi::Object object = Napi::Object::New(env);
  object.Set("ptsNs", TimeOf(env, inferred->pts));
  object.Set("tensors", ArrayOf(env, inferred->tensors, convert));
  object.Set("objects", ArrayOf(env, inferred->detections, convert));
  object.Set("hailo", ArrayOf(env, inferred->hailo, convert));
  return object;
}

Napi::Value PullInferred(const Napi::CallbackInfo& info) {
  using Result = std::shared_ptr<std::optional<Inferred>>;
  const GstClockTime limit = std::max(IntegerOf(info[1]), 0) * GST_MSECOND;
  return Later<Result>::Run(
      info.Env(),
      [sink = SinkOf(info), limit] {
        return std::make_shared<std::optional<Inferred>>(TakeInferred(sink.get(), limit));
      },
      [](Napi::Env env, Result& inferred) { return ValueOf(env, *inferred); });
}

void RestrictRequestsOf(const Napi::CallbackInfo& info) {
  Guarded(info.Env(), [&] {
    const std::string urls = StringOf(info[1]), track = StringOf(info[2]), base = StringOf(info[3]);
    RestrictRequests(SinkOf(info).get(), {urls.c_str(), track.c_str(), base.c_str()});
  });
}

Napi::Value ThreadCpuMs(const Napi::CallbackInfo& info) {
  timespec spent = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
  return Napi::Number::New(
      info.Env(), static_cast<double>(spent.tv_sec) * 1e3 + static_cast<double>(spent.tv_nsec) / 1e6);
}

void ForbidDumps(const Napi::CallbackInfo& info) {
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
    throw Napi::Error::New(info.Env(), "the kernel does not close this process to dumps");
}

Napi::Object Start(Napi::Env env, Napi::Object exports) {
  gst_init(nullptr, nullptr);
  RegisterElements();
  env.SetInstanceData(new Napi::FunctionReference(Napi::Persistent(PictureObject::Define(env))));
  exports.Set("takePicture", Napi::Function::New<TakePictureNow>(env));
  exports.Set("pullPicture", Napi::Function::New<PullPicture>(env));
  exports.Set("pullInferred", Napi::Function::New<PullInferred>(env));
  exports.Set("restrictRequests", Napi::Function::New<RestrictRequestsOf>(env));
  exports.Set("threadCpuMs", Napi::Function::New<ThreadCpuMs>(env));
  exports.Set("forbidDumps", Napi::Function::New<ForbidDumps>(env));
  return exports;
}

}  // namespace
}  // namespace vigie

Napi::Object StartVigie(Napi::Env env, Napi::Object exports) {
  return vigie::Start(env, exports);
}

NODE_API_MODULE(vigie, StartVigie)

/** The addon `vigie.node`: pictures and results of inference for JavaScript. vigie-native.d.ts states its functions. */
#include <gst/gst.h>
#include <sys/prctl.h>
#include <time.h>

#include <algorithm>

#include "../gst/picturesink.h"
#include "../gst/plugin.h"
#include "../gst/requests.h"
#include "frame_motion_object.h"
#include "picture_object.h"

namespace vigie {
namespace {

/** Sink of the first argument, a number that its property `id` gave. A worker shares it. */
std::shared_ptr<GstElement> SinkOf(const Napi::CallbackInfo& info) {
  ElementOwner sink = FindPictureSink(static_cast<guint>(IntegerOf(info[0])));
  if (!sink) throw Napi::Error::New(info.Env(), "there is no such picturesink");
  return sink;
}

Napi::Object ObjectOf(Napi::Env env, const Motion& motion) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("any", motion.is_any);
  object.Set("unknown", motion.is_unknown);
  return object;
}

Napi::Object ObjectOf(Napi::Env env, const Seen& seen) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("ptsNs", TimeOf(env, seen.pts));
  object.Set("motion", ObjectOf(env, seen.motion));
  return object;
}

Napi::Value ValueOf(Napi::Env env, Look& look) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("picture", PictureObject::Of(env, std::move(look.picture)));
  object.Set("records", ArrayOf(env, look.seen, [&](const Seen& seen) { return ObjectOf(env, seen); }));
  return object;
}

Terms TermsOf(const Napi::Value& value) {
  const Napi::Object given = value.ToObject();
  const auto time_of = [&](const char* name) {
    const Napi::Value time = given.Get(name);
    bool is_lossless = true;
    return time.IsBigInt() ? time.As<Napi::BigInt>().Uint64Value(&is_lossless) : GST_CLOCK_TIME_NONE;
  };
  Terms terms = {
      time_of("spacingNs"), NumberOf(given.Get("fromMs")), time_of("markNs"), given.Get("onMotion").ToBoolean(), {}};
  const View<double> sides = DoublesOf(given.Get("knownBoxes"));
  for (size_t i = 0; i + 3 < sides.length; i += 4)
    terms.known.push_back({sides.data[i], sides.data[i + 1], sides.data[i + 2], sides.data[i + 3]});
  return terms;
}

/** Null if none of the pictures that wait is wanted. */
Napi::Value TakeLook(const Napi::CallbackInfo& info) {
  Look look = TakeWanted(SinkOf(info).get(), TermsOf(info[1]), 0);
  return look.picture ? ValueOf(info.Env(), look) : info.Env().Null();
}

Napi::Value PullLook(const Napi::CallbackInfo& info) {
  return Later<Look>::Run(
      info.Env(),
      [sink = SinkOf(info), terms = TermsOf(info[1])] { return TakeWanted(sink.get(), terms, GST_CLOCK_TIME_NONE); },
      [](Napi::Env env, Look& look) { return ValueOf(env, look); });
}

/** Arguments behind the sink: the picture, and an object that describes the scene. */
Napi::Value BeginScene(const Napi::CallbackInfo& info) {
  const Napi::Object given = info[2].ToObject();
  Scene scene;
  scene.size = {IntegerOf(given.Get("widthPx")), IntegerOf(given.Get("heightPx"))};
  scene.black = CopyOf(IntegersOf(given.Get("black")));
  scene.grid = GridOf(given);
  scene.is_watched = CopyOf(BytesOf(given.Get("isWatched")));
  scene.slow_every_ms = NumberOf(given.Get("slowEveryMs"));
  scene.first_ms = NumberOf(given.Get("atMs"));
  const Motion motion = BeginScene(SinkOf(info).get(), std::move(scene), *PictureObject::HeldBy(info[1]));
  return ObjectOf(info.Env(), motion);
}

Napi::Object ObjectOf(Napi::Env env, const Tensor& tensor) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("id", tensor.id);
  object.Set("type", tensor.type);
  object.Set("isRowMajor", tensor.is_row_major);
  object.Set("dims", ArrayOf(env, tensor.dims, [&](size_t dim) { return Napi::Number::New(env, dim); }));
  object.Set("data", BytesIn(env, tensor.data.get()));
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
  object.Set("data", BytesIn(env, content.data.get()));
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
  const std::string urls = StringOf(info[1]), track = StringOf(info[2]), base = StringOf(info[3]);
  RestrictRequests(SinkOf(info).get(), {urls.c_str(), track.c_str(), base.c_str()});
}

Napi::Value ThreadCpuMs(const Napi::CallbackInfo& info) {
  timespec spent = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
  return Napi::Number::New(info.Env(),
                           static_cast<double>(spent.tv_sec) * 1e3 + static_cast<double>(spent.tv_nsec) / 1e6);
}

void ForbidDumps(const Napi::CallbackInfo& info) {
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
    throw Napi::Error::New(info.Env(), "the kernel does not close this process to dumps");
}

Napi::Object Start(Napi::Env env, Napi::Object exports) {
  gst_init(nullptr, nullptr);
  RegisterElements();
  env.SetInstanceData(new Napi::FunctionReference(Napi::Persistent(PictureObject::Define(env))));
  exports.Set("takeLook", Napi::Function::New<TakeLook>(env));
  exports.Set("pullLook", Napi::Function::New<PullLook>(env));
  exports.Set("beginScene", Napi::Function::New<BeginScene>(env));
  exports.Set("FrameMotion", FrameMotionObject::Define(env));
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

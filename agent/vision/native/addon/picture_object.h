/** A picture for JavaScript. vigie-native.d.ts states its functions. */
#pragma once

#include <cmath>
#include <memory>
#include <stdexcept>
#include <vector>

#include "../gst/picture.h"
#include "later.h"
#include "values.h"

namespace vigie {

inline Ranges BlackOf(const Napi::Value& value) {
  const View<int32_t> ranges = IntegersOf(value);
  return {ranges.data, ranges.length};
}

inline Napi::Value TimeOf(Napi::Env env, GstClockTime time) {
  return GST_CLOCK_TIME_IS_VALID(time) ? Napi::BigInt::New(env, static_cast<uint64_t>(time)) : env.Null();
}

/** Null for no buffer. */
inline Napi::Value BytesIn(Napi::Env env, GstBuffer* buffer) {
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
        {InstanceAccessor<&PictureObject::PtsNs>("ptsNs"), InstanceAccessor<&PictureObject::Coded>("coded"),
         InstanceAccessor<&PictureObject::Source>("source"), InstanceMethod<&PictureObject::WriteRgb>("letterbox"),
         InstanceMethod<&PictureObject::WritePlanes>("planes"), InstanceMethod<&PictureObject::WriteGrey>("grey"),
         InstanceMethod<&PictureObject::MakeStill>("still"), InstanceMethod<&PictureObject::Release>("release")});
  }

  /** Null stays null. */
  static Napi::Value Of(Napi::Env env, std::shared_ptr<const Picture> picture) {
    if (!picture) return env.Null();
    const Napi::Object object = env.GetInstanceData<Napi::FunctionReference>()->New({});
    Unwrap(object)->picture_ = std::move(picture);
    return object;
  }

  /** @throws TypeError unless the value is a picture that is held */
  static std::shared_ptr<const Picture> HeldBy(const Napi::Value& value) {
    const Napi::Env env = value.Env();
    const auto* type = env.GetInstanceData<Napi::FunctionReference>();
    if (!value.IsObject() || !value.As<Napi::Object>().InstanceOf(type->Value()))
      throw Napi::TypeError::New(env, "a picture is expected");
    return Unwrap(value.As<Napi::Object>())->held();
  }

  explicit PictureObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {}

 private:
  const std::shared_ptr<const Picture>& held() const {
    if (!picture_) throw std::runtime_error("the picture was released");
    return picture_;
  }

  Napi::Value PtsNs(const Napi::CallbackInfo& info) { return TimeOf(info.Env(), held()->pts()); }

  /** Size as coded. */
  Napi::Value Coded(const Napi::CallbackInfo& info) {
    return SizeIn(info.Env(), held()->info().width, held()->info().height);
  }

  /** Size in square pixels. */
  Napi::Value Source(const Napi::CallbackInfo& info) {
    const GstVideoInfo& shape = held()->info();
    return SizeIn(info.Env(), std::floor(static_cast<double>(shape.width) * shape.par_n / shape.par_d + 0.5),
                  shape.height);
  }

  void WriteRgb(const Napi::CallbackInfo& info) {
    const Napi::Object at = info[2].ToObject();
    const Placement place = {IntegerOf(at.Get("leftPx")), IntegerOf(at.Get("topPx")), SizeOf(at)};
    held()->WriteRgb(BytesOf(info[0]), SizeOf(info[1]), place, BlackOf(info[3]));
  }

  void WritePlanes(const Napi::CallbackInfo& info) {
    const Napi::Object black = info[2].ToObject();
    held()->WritePlanes(BytesOf(info[0]), SizeOf(info[1]), BlackOf(black.Get("y")), BlackOf(black.Get("uv")));
  }

  void WriteGrey(const Napi::CallbackInfo& info) {
    held()->WriteGrey(BytesOf(info[0]), SizeOf(info[1]), BlackOf(info[2]));
  }

  Napi::Value MakeStill(const Napi::CallbackInfo& info) {
    const Size size = SizeOf(info[0]);
    const Napi::Object black = info[1].ToObject();
    const auto work = [picture = held(), size, y = CopyOf(IntegersOf(black.Get("y"))),
                       uv = CopyOf(IntegersOf(black.Get("uv")))] {
      // Shared, because a function of the standard library must be possible to copy.
      return std::make_shared<Still>(picture->MakeStill(size, {y.data(), y.size()}, {uv.data(), uv.size()}));
    };
    return Later<std::shared_ptr<Still>>::Run(info.Env(), work, [](Napi::Env env, auto& still) {
      Napi::Object object = Napi::Object::New(env);
      object.Set("ptsNs", TimeOf(env, still->pts));
      object.Set("jpeg", BytesIn(env, still->jpeg.get()));
      return object;
    });
  }

  void Release(const Napi::CallbackInfo&) { picture_.reset(); }

  static Size SizeOf(const Napi::Value& value) {
    const Napi::Object size = value.ToObject();
    return {IntegerOf(size.Get("widthPx")), IntegerOf(size.Get("heightPx"))};
  }

  static Napi::Value SizeIn(Napi::Env env, double width, double height) {
    Napi::Object size = Napi::Object::New(env);
    size.Set("widthPx", width);
    size.Set("heightPx", height);
    return size;
  }

  std::shared_ptr<const Picture> picture_;
};

}  // namespace vigie

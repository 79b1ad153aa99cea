/** Motion between the frames of a detector, for JavaScript. vigie-native.d.ts states its functions. */
#pragma once

#include <algorithm>

#include "../gst/motion.h"
#include "later.h"
#include "values.h"

namespace vigie {

inline CellGrid GridOf(const Napi::Object& given) {
  return {IntegerOf(given.Get("columns")), IntegerOf(given.Get("sidePx")), CopyOf(BytesOf(given.Get("isBlack")))};
}

class FrameMotionObject : public Napi::ObjectWrap<FrameMotionObject> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(
        env, "FrameMotion",
        {InstanceMethod<&FrameMotionObject::Update>("update"), InstanceMethod<&FrameMotionObject::Keep>("keep")});
  }

  /** Arguments: the grid, and width, left and top in the frame, in pixels. */
  explicit FrameMotionObject(const Napi::CallbackInfo& info)
      : ObjectWrap(info),
        cells_(GridOf(info[0].ToObject())),
        stride_(kRgb * SideOf(info[1])),
        first_(SideOf(info[3]) * stride_ + kRgb * SideOf(info[2]) + kGreen) {}

 private:
  /** Of RGB only green is read, which is most of the brightness. */
  static constexpr size_t kRgb = 3, kGreen = 1;

  static size_t SideOf(const Napi::Value& value) { return static_cast<size_t>(std::max(IntegerOf(value), 0)); }

  /** Takes RGB. Returns true if something has moved since the frame that was kept, or if there is none. */
  Napi::Value Update(const Napi::CallbackInfo& info) {
    const View<uint8_t> rgb = BytesOf(info[0]);
    cells_.Read({{rgb.data, rgb.length}, first_, stride_, kRgb, true});
    return Napi::Boolean::New(info.Env(), cells_.Compare());
  }

  void Keep(const Napi::CallbackInfo&) { cells_.Keep(); }

  CellChanges cells_;
  const size_t stride_, first_;
};

}  // namespace vigie

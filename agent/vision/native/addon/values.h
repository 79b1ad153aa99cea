/** Values of JavaScript as values of C++, and arrays of them. */
#pragma once

#include <napi.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "../gst/view.h"

namespace vigie {

/** @throws TypeError unless the argument is an integer of 32 bits */
inline int32_t IntegerOf(const Napi::Value& value) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : NAN;
  if (!(number >= INT32_MIN && number <= INT32_MAX) || std::trunc(number) != number)
    throw Napi::TypeError::New(value.Env(), "an integer of 32 bits is expected");
  return static_cast<int32_t>(number);
}

/** @throws TypeError unless the argument is a string */
inline std::string StringOf(const Napi::Value& value) {
  if (!value.IsString()) throw Napi::TypeError::New(value.Env(), "a string is expected");
  return value.As<Napi::String>();
}

/** Array of what `convert` makes of each item. */
template <class Items, class Convert>
Napi::Array ArrayOf(Napi::Env env, Items& items, Convert convert) {
  Napi::Array array = Napi::Array::New(env, items.size());
  uint32_t index = 0;
  for (auto& item : items) array.Set(index++, convert(item));
  return array;
}

/** @throws TypeError unless the argument is a number; infinity is one */
inline double NumberOf(const Napi::Value& value) {
  if (!value.IsNumber()) throw Napi::TypeError::New(value.Env(), "a number is expected");
  return value.As<Napi::Number>().DoubleValue();
}

/** Items of a typed array, as long as it is not detached. @throws TypeError unless the argument is one of that type */
template <class Array>
auto ItemsOf(const Napi::Value& value, napi_typedarray_type type, const char* name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type)
    throw Napi::TypeError::New(value.Env(), std::string("a ") + name + " is expected");
  auto array = value.As<Array>();
  return View<std::remove_pointer_t<decltype(array.Data())>>{array.Data(), array.ElementLength()};
}

inline View<uint8_t> BytesOf(const Napi::Value& value) {
  return ItemsOf<Napi::Uint8Array>(value, napi_uint8_array, "Uint8Array");
}
inline View<int32_t> IntegersOf(const Napi::Value& value) {
  return ItemsOf<Napi::Int32Array>(value, napi_int32_array, "Int32Array");
}
inline View<double> DoublesOf(const Napi::Value& value) {
  return ItemsOf<Napi::Float64Array>(value, napi_float64_array, "Float64Array");
}

template <class Item>
std::vector<Item> CopyOf(View<Item> items) {
  return {items.data, items.data + items.length};
}

}  // namespace vigie

/** What both addons share: arguments of JavaScript, C++ errors as JavaScript's, and work in a libuv worker.
 */
#pragma once

#include <napi.h>

#include <cmath>
#include <exception>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>

namespace vigie {

/** Calls a function, and throws what it throws as a JavaScript Error. */
template <class Call>
auto Guarded(Napi::Env env, Call call) {
  try {
    return call();
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Napi::Error::New(env, error.what());
  }
}

/** Work in a libuv worker. Its result settles a promise on the main thread. */
template <class Result>
class Later : public Napi::AsyncWorker {
 public:
  using Work = std::function<Result()>;
  using Answer = std::function<Napi::Value(Napi::Env, Result&)>;

  /** Both functions own what they use. */
  static Napi::Value Run(Napi::Env env, Work work, Answer answer) {
    auto* later = new Later(env, std::move(work), std::move(answer));
    const Napi::Promise promise = later->deferred_.Promise();
    later->Queue();
    return promise;
  }

 private:
  Later(Napi::Env env, Work work, Answer answer)
      : AsyncWorker(env), deferred_(env), work_(std::move(work)), answer_(std::move(answer)) {}

  // AsyncWorker turns an exception into OnError.
  void Execute() override { result_.emplace(work_()); }

  void OnOK() override {
    try {
      deferred_.Resolve(answer_(Env(), *result_));
    } catch (const Napi::Error& error) {
      deferred_.Reject(error.Value());
    }
  }

  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

  const Napi::Promise::Deferred deferred_;
  const Work work_;
  const Answer answer_;
  std::optional<Result> result_;
};

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

inline bool IsBytes(const Napi::Value& value) {
  return value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array;
}

/** @throws TypeError unless the argument is a Uint8Array */
inline Napi::Uint8Array BytesOf(const Napi::Value& value) {
  if (!IsBytes(value)) throw Napi::TypeError::New(value.Env(), "a Uint8Array is expected");
  return value.As<Napi::Uint8Array>();
}

/** Array of what `convert` makes of each item. */
template <class Items, class Convert>
Napi::Array ArrayOf(Napi::Env env, Items& items, Convert convert) {
  Napi::Array array = Napi::Array::New(env, items.size());
  uint32_t index = 0;
  for (auto& item : items) array.Set(index++, convert(item));
  return array;
}

}  // namespace vigie

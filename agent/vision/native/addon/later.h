/** Work in a libuv worker. */
#pragma once

#include <napi.h>

#include <functional>
#include <optional>
#include <string>

namespace vigie {

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

}  // namespace vigie

/** Part of somebody else's memory: std::span, which comes with C++20. */
#pragma once

#include <cstddef>

namespace vigie {

template <class T>
struct View {
  T* data;
  size_t length;
};

}  // namespace vigie

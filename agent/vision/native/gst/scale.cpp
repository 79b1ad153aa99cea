#include "scale.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace vigie {
namespace {

/** Sets the first of the two rows of a result's row, and the weight of the second, of 256. */
void PlaceRow(int at, int from, int to, int* first, uint16_t* weight) {
  const double x = std::min(std::max((0.5 + at) / to * from - 0.5, 0.0), from - 1.0);
  *first = std::min(static_cast<int>(std::floor(x)), from - 2);
  *weight = static_cast<uint16_t>(std::ceil((x - *first) * 256 - 0.5));
}

inline void GatherBy(const uint8_t* from, int step, const int* __restrict column, int width,
                     uint16_t* __restrict pairs) {
  for (int x = 0; x < width; x++) {
    const uint8_t* left = from + static_cast<ptrdiff_t>(column[x]) * step;
    pairs[x] = static_cast<uint16_t>(left[0] | left[step] << 8);
  }
}

void Gather(const uint8_t* from, int step, const int* column, int width, uint16_t* pairs) {
  // Neighbours are read at once where the compiler knows that they are.
  if (step == 1) {
    GatherBy(from, 1, column, width, pairs);
  } else {
    GatherBy(from, step, column, width, pairs);
  }
}

// Products of a level and a weight of 256 fit into 16 bits: eight at a time in the registers of any
// processor.
inline uint16_t Across(uint16_t left, uint16_t right, uint16_t weight) {
  return static_cast<uint16_t>(static_cast<uint16_t>(left * static_cast<uint16_t>(256 - weight)) +
                               static_cast<uint16_t>(right * weight)) >>
         8;
}

inline uint16_t Down(uint16_t above, uint16_t below, uint16_t weight) {
  return static_cast<uint16_t>(static_cast<uint16_t>(above * static_cast<uint16_t>(256 - weight)) +
                               static_cast<uint16_t>(below * weight) + 128) >>
         8;
}

void AcrossThenDown(const uint16_t* __restrict above, const uint16_t* __restrict below,
                    const uint16_t* __restrict right, uint16_t weight, int width, uint8_t* __restrict out) {
  for (int x = 0; x < width; x++) {
    const uint16_t over = Across(above[x] & 255, above[x] >> 8, right[x]);
    const uint16_t under = Across(below[x] & 255, below[x] >> 8, right[x]);
    out[x] = static_cast<uint8_t>(Down(over, under, weight));
  }
}

void DownThenAcross(const uint16_t* __restrict above, const uint16_t* __restrict below,
                    const uint16_t* __restrict right, uint16_t weight, int width, uint8_t* __restrict out) {
  for (int x = 0; x < width; x++) {
    const uint16_t left = Down(above[x] & 255, below[x] & 255, weight);
    const uint16_t next = Down(above[x] >> 8, below[x] >> 8, weight);
    out[x] = static_cast<uint8_t>(Across(left, next, right[x]));
  }
}

void AllDown(const uint8_t* __restrict above, const uint8_t* __restrict below, uint16_t weight, int width,
             uint8_t* __restrict out) {
  for (int x = 0; x < width; x++) out[x] = static_cast<uint8_t>(Down(above[x], below[x], weight));
}

void AllAcross(const uint16_t* __restrict pairs, const uint16_t* __restrict right, int width, uint8_t* __restrict out) {
  for (int x = 0; x < width; x++) out[x] = static_cast<uint8_t>(Across(pairs[x] & 255, pairs[x] >> 8, right[x]));
}

inline int Mean(int a, int b) {
  return (a + b + 1) >> 1;
}

}  // namespace

Scaler::Scaler(int from_width, int from_height, int width, int height)
    : from_width_(from_width),
      from_height_(from_height),
      width_(width),
      height_(height),
      row_(height),
      column_(width),
      row_weight_(height),
      column_weight_(width),
      upper_(width),
      lower_(width) {
  for (int y = 0; y < height; y++) {
    if (from_height == height) {
      row_[y] = y;
    } else {
      PlaceRow(y, from_height, height, &row_[y], &row_weight_[y]);
    }
  }
  // By a step in 16.16 bits that is a little short: the last column falls just before the last one of the
  // source.
  const int64_t step = width > 1 ? (static_cast<int64_t>(from_width - 1) << 16) / (width - 1) - 1 : 0;
  for (int x = 0; x < width; x++) {
    const int64_t at = from_width == width ? static_cast<int64_t>(x) << 16 : std::max<int64_t>(x * step, 0);
    // There is no column after the last one.
    column_[x] = std::min(static_cast<int>(at >> 16), from_width - 2);
    column_weight_[x] = static_cast<uint16_t>(((at >> 8) & 255) + 256 * ((at >> 16) - column_[x]));
  }
}

void Scaler::Halve(const Plane& from, uint8_t* to, int stride) const {
  const int next_row = from_height_ == height_ ? 0 : from.stride;
  const int next = from_width_ == width_ ? 0 : from.step;
  const int rows = next_row ? 2 : 1;
  const int step = next ? 2 * from.step : from.step;
  for (int y = 0; y < height_; y++) {
    const uint8_t* line = from.data + static_cast<ptrdiff_t>(y) * rows * from.stride;
    uint8_t* out = to + static_cast<ptrdiff_t>(y) * stride;
    for (int x = 0; x < width_; x++) {
      const uint8_t* at = line + static_cast<ptrdiff_t>(x) * step;
      out[x] = static_cast<uint8_t>(Mean(Mean(at[0], at[next_row]), Mean(at[next], at[next_row + next])));
    }
  }
}

void Scaler::Run(const Plane& from, uint8_t* to, int stride) {
  blended_.resize(static_cast<size_t>(from_width_ - 1) * from.step + 1);
  const bool same_width = from_width_ == width_;
  const bool same_height = from_height_ == height_;
  const bool same = same_width && same_height;
  const bool is_half = (same_width || from_width_ == 2 * width_) && (same_height || from_height_ == 2 * height_);
  if (!same && is_half) return Halve(from, to, stride);
  // The order of the two directions decides how it is rounded: the one that leaves less to do comes first.
  const bool across_first = !same_height && row_[height_ - 1] <= height_;
  // Rows are read eight samples at a time, columns one by one: where many are needed the whole row is
  // blended.
  const bool whole_rows = !across_first && from_width_ <= 4 * width_;
  for (int y = 0; y < height_; y++) {
    const uint8_t* above = from.data + static_cast<ptrdiff_t>(row_[y]) * from.stride;
    uint8_t* out = to + static_cast<ptrdiff_t>(y) * stride;
    if (same && from.step == 1) {
      std::memcpy(out, above, width_);
      continue;
    }
    const uint16_t weight = row_weight_[y];
    const uint8_t* below = above + from.stride;
    if (whole_rows) {
      if (weight) AllDown(above, below, weight, static_cast<int>(blended_.size()), blended_.data());
      Gather(weight ? blended_.data() : above, from.step, column_.data(), width_, upper_.data());
      AllAcross(upper_.data(), column_weight_.data(), width_, out);
      continue;
    }
    Gather(above, from.step, column_.data(), width_, upper_.data());
    if (weight) Gather(below, from.step, column_.data(), width_, lower_.data());
    const uint16_t* under = weight ? lower_.data() : upper_.data();
    (across_first ? AcrossThenDown : DownThenAcross)(upper_.data(), under, column_weight_.data(), weight, width_, out);
  }
}

}  // namespace vigie

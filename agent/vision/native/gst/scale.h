/** Scales planes of one size to another. */
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace vigie {

/** One component of a picture, 8 bits a sample. */
struct Plane {
  const uint8_t* data;
  /** Bytes from a row to the next. */
  int stride;
  /** Bytes from a sample to the next: 2 where two components take turns. */
  int step;
  int width;
  int height;
};

/**
 * Gives the bytes of videoscale's default method (GStreamer 1.26): two taps in each direction, or the mean of
 * four where both sides are halved. test/vision/native-pass.test.ts compares them. Only the samples that are
 * needed are read. A source has two rows and two columns at least, a result one.
 */
class Scaler {
 public:
  Scaler(int from_width, int from_height, int width, int height);
  /** Scales `from`, which is as large as the constructor was told. `stride` is that of `to`. */
  void Run(const Plane& from, uint8_t* to, int stride);

 private:
  void Halve(const Plane& from, uint8_t* to, int stride) const;

  const int from_width_, from_height_, width_, height_;
  /** The upper of two rows and the left one of two columns; the weights of the others, of 256. */
  std::vector<int> row_, column_;
  std::vector<uint16_t> row_weight_, column_weight_;
  /** The two columns of each result in two rows, the left one in the lower byte. */
  std::vector<uint16_t> upper_, lower_;
  /** A row between two. */
  std::vector<uint8_t> blended_;
};

}  // namespace vigie

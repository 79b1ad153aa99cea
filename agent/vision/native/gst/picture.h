/** One picture of a decoder, and what is made of it. */
#pragma once

#include <memory>
#include <mutex>

#include "owners.h"
#include "scale.h"
#include "view.h"

namespace vigie {

/** Greatest side of a picture and of what is made of it, in pixels. */
constexpr int kSideMax = 16384;
/** Greatest number of sizes, and of letterboxes, for which tables and planes are kept. Beyond it all are dropped. */
constexpr size_t kSizesMax = 16;

/** Half-open ranges [from, to) of pixels or bytes that are to be black, in pairs. What lies outside is ignored. */
using Ranges = View<const int32_t>;

struct Size {
  int width;
  int height;
};

/** Place of a picture within a larger one. */
struct Placement {
  int left;
  int top;
  Size size;
};

struct Still {
  BufferOwner jpeg;
  /** Time stamp of the picture, in ns; GST_CLOCK_TIME_NONE if it has none. */
  GstClockTime pts;
};

class Letterbox;

/**
 * What is kept from one picture to the next of the same caps: tables of scalers, and planes of letterboxes.
 * One at a time uses it.
 */
class Converters {
 public:
  /** @throws std::runtime_error if the caps are not of 8 bits in 4:2:0, or if a side is below 4 or above kSideMax */
  explicit Converters(GstCaps* caps);
  ~Converters();
  Converters(const Converters&) = delete;
  Converters& operator=(const Converters&) = delete;

 private:
  friend class Picture;

  void Scale(const GstVideoFrame& frame, int component, Size size, uint8_t* to, int stride);
  Letterbox& LetterboxOf(Size size, const Placement& at);

  CapsOwner caps_;
  GstVideoInfo info_;
  std::mutex mutex_;
  struct Tables;
  const std::unique_ptr<Tables> tables_;
};

/**
 * Picture that never changes. It holds the decoder's memory until the last owner releases it. All methods may
 * run in several threads at once.
 *
 * The methods throw std::invalid_argument for a size or length that does not fit, and std::runtime_error for
 * a failure of GStreamer.
 */
class Picture {
 public:
  /** Takes a sample of the converters' caps. */
  Picture(SampleOwner sample, std::shared_ptr<Converters> converters);

  /** Time stamp in ns; GST_CLOCK_TIME_NONE if it has none. */
  GstClockTime pts() const { return GST_BUFFER_PTS(buffer()); }
  /** Number that an element gave it; GST_BUFFER_OFFSET_NONE if none did. */
  guint64 order() const { return GST_BUFFER_OFFSET(buffer()); }
  /** Size as coded, and pixel aspect ratio. */
  const GstVideoInfo& info() const { return converters_->info_; }

  /** Writes RGB of `size`, row by row; the picture lies at `at`, the rest is black. `black` counts pixels. */
  void WriteRgb(View<uint8_t> rgb, Size size, const Placement& at, Ranges black) const;
  /** Writes I420 with rows of a multiple of 4 bytes. The ranges count bytes of a plane. */
  void WritePlanes(View<uint8_t> i420, Size size, Ranges black_y, Ranges black_uv) const;
  /** Writes the brightness alone, row by row. */
  void WriteGrey(View<uint8_t> grey, Size size, Ranges black) const;
  /** Makes a JPEG of what WritePlanes gives. Takes as long as the encoder; call it in a worker. */
  Still MakeStill(Size size, Ranges black_y, Ranges black_uv) const;

 private:
  GstBuffer* buffer() const { return gst_sample_get_buffer(sample_.get()); }
  void FillPlanes(uint8_t* i420, Size size, Ranges black_y, Ranges black_uv) const;

  const SampleOwner sample_;
  const std::shared_ptr<Converters> converters_;
  const MappedFrame frame_;
};

}  // namespace vigie

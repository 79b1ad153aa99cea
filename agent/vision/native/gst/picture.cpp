#include "picture.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>

#include "jpeg.h"

namespace vigie {
namespace {

constexpr int kPlanes = 3;

/** Sets `scale` bytes for each unit of the ranges. */
void FillRanges(Ranges ranges, uint8_t* bytes, size_t length, size_t scale, uint8_t level) {
  const auto byte_of = [&](int32_t at) { return std::min(static_cast<size_t>(std::max(at, 0)) * scale, length); };
  for (size_t i = 0; i + 1 < ranges.length; i += 2) {
    const size_t from = byte_of(ranges.data[i]);
    const size_t to = byte_of(ranges.data[i + 1]);
    if (from < to) std::memset(bytes + from, level, to - from);
  }
}

void CheckSize(Size size, int side_min) {
  const auto fits = [&](int side) { return side >= side_min && side <= kSideMax; };
  if (!fits(size.width) || !fits(size.height))
    throw std::invalid_argument("a size of " + std::to_string(size.width) + "x" + std::to_string(size.height) + ": " +
                                std::to_string(side_min) + " to " + std::to_string(kSideMax) +
                                " pixels a side are possible");
}

void CheckLength(size_t length, size_t wanted) {
  if (length != wanted)
    throw std::invalid_argument("the place has " + std::to_string(length) + " bytes, and the picture " +
                                std::to_string(wanted));
}

/** Layout of I420 in a plain buffer (gst-plugins-base, video-info.c): rows of 4 bytes, an even number of them. */
struct PlanesLayout {
  int stride_y, stride_uv;
  size_t bytes_y, bytes_uv;

  explicit PlanesLayout(Size size)
      : stride_y(GST_ROUND_UP_4(size.width)),
        stride_uv(GST_ROUND_UP_4((size.width + 1) / 2)),
        bytes_y(static_cast<size_t>(stride_y) * GST_ROUND_UP_2(size.height)),
        bytes_uv(static_cast<size_t>(stride_uv) * ((size.height + 1) / 2)) {}

  size_t bytes() const { return bytes_y + 2 * bytes_uv; }
};

/** RGB without padding. */
GstVideoInfo PackedRgb(Size size) {
  GstVideoInfo info;
  gst_video_info_set_format(&info, GST_VIDEO_FORMAT_RGB, size.width, size.height);
  info.stride[0] = 3 * size.width;
  info.size = static_cast<gsize>(info.stride[0]) * size.height;
  return info;
}

GstVideoInfo PlainI420(Size size) {
  GstVideoInfo info;
  gst_video_info_set_format(&info, GST_VIDEO_FORMAT_I420, size.width, size.height);
  return info;
}

}  // namespace

/** Planes of a letterboxed picture of one size, with borders that stay, and what turns them into RGB. */
class Letterbox {
 public:
  Letterbox(const GstVideoInfo& source, Size size)
      : yuv_(WithColours(PlainI420(size), source)),
        rgb_(PackedRgb(size)),
        buffer_(gst_buffer_new_allocate(nullptr, yuv_.size, nullptr)),
        frame_(yuv_, buffer_.get(), static_cast<GstMapFlags>(GST_MAP_READ | GST_MAP_WRITE)),
        converter_(gst_video_converter_new(&yuv_, &rgb_, nullptr)) {
    if (!frame_ || !converter_) throw std::runtime_error("GStreamer does not convert this picture to RGB");
    const bool is_full = yuv_.colorimetry.range == GST_VIDEO_COLOR_RANGE_0_255;
    // Black in RGB, whatever the range of the levels (docs/design/025-evaluation.md).
    for (int plane = 0; plane < kPlanes; plane++) {
      const size_t rows = GST_VIDEO_FRAME_COMP_HEIGHT(frame_.get(), plane);
      std::memset(At(plane, 0, 0), plane > 0 ? 128 : is_full ? 0 : 16, rows * Stride(plane));
    }
  }

  uint8_t* At(int plane, int left, int top) {
    auto* data = static_cast<uint8_t*>(GST_VIDEO_FRAME_PLANE_DATA(frame_.get(), plane));
    return data + static_cast<size_t>(top) * Stride(plane) + left;
  }

  int Stride(int plane) { return GST_VIDEO_FRAME_PLANE_STRIDE(frame_.get(), plane); }

  void WriteRgb(uint8_t* bytes) {
    const BufferOwner wrapped(
        gst_buffer_new_wrapped_full(static_cast<GstMemoryFlags>(0), bytes, rgb_.size, 0, rgb_.size, nullptr, nullptr));
    MappedFrame out(rgb_, wrapped.get(), GST_MAP_WRITE);
    if (!out) throw std::runtime_error("GStreamer does not map a place for RGB");
    gst_video_converter_frame(converter_.get(), frame_.get(), out.get());
  }

 private:
  static GstVideoInfo WithColours(GstVideoInfo info, const GstVideoInfo& source) {
    info.colorimetry = source.colorimetry;
    return info;
  }

  GstVideoInfo yuv_, rgb_;
  const BufferOwner buffer_;
  MappedFrame frame_;
  const ConverterOwner converter_;
};

struct Converters::Tables {
  /** By component (brightness, colours), width and height. */
  std::map<std::array<int, 3>, Scaler> scalers;
  /** By width, height, left, top, inner width and inner height. */
  std::map<std::array<int, 6>, Letterbox> letterboxes;
};

Converters::Converters(GstCaps* caps) : caps_(gst_caps_ref(caps)), tables_(std::make_unique<Tables>()) {
  if (!gst_video_info_from_caps(&info_, caps)) throw std::runtime_error("pictures of an unknown format");
  const GstVideoFormatInfo* format = info_.finfo;
  const bool is_420 = GST_VIDEO_FORMAT_INFO_N_COMPONENTS(format) == kPlanes && GST_VIDEO_FORMAT_INFO_IS_YUV(format) &&
                      GST_VIDEO_FORMAT_INFO_DEPTH(format, 0) == 8 && GST_VIDEO_FORMAT_INFO_W_SUB(format, 1) == 1 &&
                      GST_VIDEO_FORMAT_INFO_H_SUB(format, 1) == 1;
  if (!is_420 || GST_VIDEO_INFO_INTERLACE_MODE(&info_) == GST_VIDEO_INTERLACE_MODE_ALTERNATE)
    throw std::runtime_error(std::string("pictures of ") + GST_VIDEO_FORMAT_INFO_NAME(format) +
                             ": complete ones of 8 bits in 4:2:0 are possible");
  CheckSize({info_.width, info_.height}, 4);
}

Converters::~Converters() = default;

void Converters::Scale(const GstVideoFrame& frame, int component, Size size, uint8_t* to, int stride) {
  const Plane from = {static_cast<const uint8_t*>(GST_VIDEO_FRAME_COMP_DATA(&frame, component)),
                      GST_VIDEO_FRAME_COMP_STRIDE(&frame, component), GST_VIDEO_FRAME_COMP_PSTRIDE(&frame, component),
                      GST_VIDEO_FRAME_COMP_WIDTH(&frame, component), GST_VIDEO_FRAME_COMP_HEIGHT(&frame, component)};
  auto& scalers = tables_->scalers;
  const std::array<int, 3> key = {component > 0, size.width, size.height};
  auto found = scalers.find(key);
  if (found == scalers.end()) {
    if (scalers.size() >= kSizesMax) scalers.clear();
    found = scalers.try_emplace(key, from.width, from.height, size.width, size.height).first;
  }
  found->second.Run(from, to, stride);
}

Letterbox& Converters::LetterboxOf(Size size, const Placement& at) {
  auto& letterboxes = tables_->letterboxes;
  const std::array<int, 6> key = {size.width, size.height, at.left, at.top, at.size.width, at.size.height};
  auto found = letterboxes.find(key);
  if (found == letterboxes.end()) {
    if (letterboxes.size() >= kSizesMax) letterboxes.clear();
    found = letterboxes.try_emplace(key, info_, size).first;
  }
  return found->second;
}

Picture::Picture(SampleOwner sample, std::shared_ptr<Converters> converters)
    : sample_(std::move(sample)),
      converters_(std::move(converters)),
      frame_(converters_->info_, buffer(), GST_MAP_READ) {
  if (!frame_) throw std::runtime_error("a picture cannot be read");
}

void Picture::WriteRgb(View<uint8_t> rgb, Size size, const Placement& at, Ranges black) const {
  CheckSize(size, 1);
  CheckSize(at.size, 1);
  // Each sum is below 2^31: a side is bounded, and so is a place that lies within one.
  const bool lies_within =
      at.left >= 0 && at.left <= size.width - at.size.width && at.top >= 0 && at.top <= size.height - at.size.height;
  if (!lies_within) throw std::invalid_argument("the picture does not lie within its letterbox");
  CheckLength(rgb.length, static_cast<size_t>(size.width) * size.height * 3);
  const std::lock_guard lock(converters_->mutex_);
  Letterbox& letterbox = converters_->LetterboxOf(size, at);
  for (int plane = 0; plane < kPlanes; plane++) {
    const int half = plane > 0;
    converters_->Scale(*frame_, plane, {(at.size.width + half) >> half, (at.size.height + half) >> half},
                       letterbox.At(plane, at.left >> half, at.top >> half), letterbox.Stride(plane));
  }
  letterbox.WriteRgb(rgb.data);
  FillRanges(black, rgb.data, rgb.length, 3, 0);
}

void Picture::WritePlanes(View<uint8_t> i420, Size size, Ranges black_y, Ranges black_uv) const {
  CheckSize(size, 2);
  CheckLength(i420.length, PlanesLayout(size).bytes());
  FillPlanes(i420.data, size, black_y, black_uv);
}

void Picture::FillPlanes(uint8_t* i420, Size size, Ranges black_y, Ranges black_uv) const {
  const PlanesLayout layout(size);
  const Size half = {(size.width + 1) / 2, (size.height + 1) / 2};
  uint8_t* u = i420 + layout.bytes_y;
  uint8_t* v = u + layout.bytes_uv;
  {
    const std::lock_guard lock(converters_->mutex_);
    converters_->Scale(*frame_, 0, size, i420, layout.stride_y);
    converters_->Scale(*frame_, 1, half, u, layout.stride_uv);
    converters_->Scale(*frame_, 2, half, v, layout.stride_uv);
  }
  FillRanges(black_y, i420, layout.bytes_y, 1, 0);
  FillRanges(black_uv, u, layout.bytes_uv, 1, 128);
  FillRanges(black_uv, v, layout.bytes_uv, 1, 128);
}

void Picture::WriteGrey(View<uint8_t> grey, Size size, Ranges black) const {
  CheckSize(size, 1);
  CheckLength(grey.length, static_cast<size_t>(size.width) * size.height);
  {
    const std::lock_guard lock(converters_->mutex_);
    converters_->Scale(*frame_, 0, size, grey.data, size.width);
  }
  FillRanges(black, grey.data, grey.length, 1, 0);
}

Still Picture::MakeStill(Size size, Ranges black_y, Ranges black_uv) const {
  CheckSize(size, 2);
  const bool is_bare = black_y.length == 0 && black_uv.length == 0;
  if (is_bare && size.width == info().width && size.height == info().height)
    return {EncodeJpeg(buffer(), converters_->caps_.get()), pts()};
  const GstVideoInfo plain = PlainI420(size);
  const BufferOwner planes(gst_buffer_new_allocate(nullptr, plain.size, nullptr));
  {
    const MappedBuffer map(planes.get(), GST_MAP_WRITE);
    if (!map) throw std::runtime_error("no memory for a still");
    CheckLength(map.size(), PlanesLayout(size).bytes());
    FillPlanes(map.data(), size, black_y, black_uv);
  }
  GST_BUFFER_PTS(planes.get()) = pts();
  const CapsOwner caps(gst_video_info_to_caps(&plain));
  return {EncodeJpeg(planes.get(), caps.get()), pts()};
}

}  // namespace vigie

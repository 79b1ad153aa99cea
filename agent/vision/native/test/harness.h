/** What the tests of the elements share: a harness around one element, and pictures. */
#pragma once

#include <gst/check/gstharness.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "../gst/owners.h"

namespace vigie {

/** Element between a source and, if it has one, a sink of the test. */
class Harness {
 public:
  Harness(const char* factory, const char* source_pad) {
    harness_ = gst_harness_new_with_padnames(factory, "sink", source_pad);
  }
  ~Harness() { gst_harness_teardown(harness_); }
  Harness(const Harness&) = delete;
  Harness& operator=(const Harness&) = delete;

  GstHarness* get() const { return harness_; }
  GstElement* element() const { return harness_->element; }

 private:
  GstHarness* harness_;
};

struct Format {
  GstVideoFormat format;
  int width, height;
  /** Bytes that each row has more than it needs, a multiple of 4. */
  int padding = 0;
};

inline GstVideoInfo InfoOf(const Format& format) {
  GstVideoInfo info;
  gst_video_info_set_format(&info, format.format, format.width, format.height);
  return info;
}

inline CapsOwner CapsOf(const GstVideoInfo& info) {
  return CapsOwner(gst_video_info_to_caps(&info));
}

/** Level of a sample of the test picture `seed`: each seed gives another one. */
inline uint8_t LevelOf(int seed, int component, int x, int y) {
  return static_cast<uint8_t>(16 + (37 * seed + 61 * component + 7 * x + 13 * y + x * y % 11) % 220);
}

/** A buffer with the test picture of a seed, whose time stamp is the seed in ms. */
inline BufferOwner PictureOf(const Format& format, int seed) {
  const GstVideoInfo info = InfoOf(format);
  gsize offsets[GST_VIDEO_MAX_PLANES] = {};
  gint strides[GST_VIDEO_MAX_PLANES] = {};
  gsize size = 0;
  const guint planes = GST_VIDEO_INFO_N_PLANES(&info);
  for (guint plane = 0; plane < planes; plane++) {
    const int rows = plane == 0 ? GST_ROUND_UP_2(format.height) : (format.height + 1) / 2;
    strides[plane] = GST_VIDEO_INFO_PLANE_STRIDE(&info, plane) + format.padding;
    offsets[plane] = size;
    size += static_cast<gsize>(strides[plane]) * rows;
  }
  BufferOwner buffer(gst_buffer_new_allocate(nullptr, size, nullptr));
  gst_buffer_memset(buffer.get(), 0, 255, size);
  gst_buffer_add_video_meta_full(buffer.get(), GST_VIDEO_FRAME_FLAG_NONE, format.format, format.width, format.height,
                                 planes, offsets, strides);
  MappedFrame frame(info, buffer.get(), GST_MAP_WRITE);
  for (int component = 0; component < 3; component++) {
    auto* data = static_cast<uint8_t*>(GST_VIDEO_FRAME_COMP_DATA(frame.get(), component));
    for (int y = 0; y < GST_VIDEO_FRAME_COMP_HEIGHT(frame.get(), component); y++)
      for (int x = 0; x < GST_VIDEO_FRAME_COMP_WIDTH(frame.get(), component); x++)
        data[y * GST_VIDEO_FRAME_COMP_STRIDE(frame.get(), component) +
             x * GST_VIDEO_FRAME_COMP_PSTRIDE(frame.get(), component)] = LevelOf(seed, component, x, y);
  }
  GST_BUFFER_PTS(buffer.get()) = seed * GST_MSECOND;
  return buffer;
}

/** Message of the exception that a call throws; empty if it throws none. */
template <class Call>
std::string ErrorOf(Call call) {
  try {
    call();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

#define ASSERT_ERROR(call, text) g_assert_nonnull(strstr(ErrorOf([&] { call; }).c_str(), text))

}  // namespace vigie

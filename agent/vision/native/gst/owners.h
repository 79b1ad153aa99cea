/**
 * Owners of GStreamer's and GLib's objects. Each releases its object when it goes out of scope, also when an
 * exception passes.
 */
#pragma once

#include <gst/gst.h>
#include <gst/video/video.h>

#include <memory>

namespace vigie {

/** Releases an object of any of these types. Most of the functions are inline in a header, so none is a parameter. */
struct Release {
  void operator()(GstElement* element) const { gst_object_unref(element); }
  void operator()(GstPad* pad) const { gst_object_unref(pad); }
  void operator()(GstBus* bus) const { gst_object_unref(bus); }
  void operator()(GstSample* sample) const { gst_sample_unref(sample); }
  void operator()(GstBuffer* buffer) const { gst_buffer_unref(buffer); }
  void operator()(GstCaps* caps) const { gst_caps_unref(caps); }
  void operator()(GstMessage* message) const { gst_message_unref(message); }
  void operator()(GstVideoConverter* converter) const { gst_video_converter_free(converter); }
  void operator()(GRegex* regex) const { g_regex_unref(regex); }
};

using ElementOwner = std::unique_ptr<GstElement, Release>;
using PadOwner = std::unique_ptr<GstPad, Release>;
using BusOwner = std::unique_ptr<GstBus, Release>;
using SampleOwner = std::unique_ptr<GstSample, Release>;
using BufferOwner = std::unique_ptr<GstBuffer, Release>;
using CapsOwner = std::unique_ptr<GstCaps, Release>;
using MessageOwner = std::unique_ptr<GstMessage, Release>;
using ConverterOwner = std::unique_ptr<GstVideoConverter, Release>;
using RegexOwner = std::unique_ptr<GRegex, Release>;

/** Bytes of a buffer, as long as this exists. */
class MappedBuffer {
 public:
  MappedBuffer(GstBuffer* buffer, GstMapFlags flags) : buffer_(buffer) {
    is_mapped_ = gst_buffer_map(buffer, &map_, flags) == TRUE;
  }
  ~MappedBuffer() {
    if (is_mapped_) gst_buffer_unmap(buffer_, &map_);
  }
  MappedBuffer(const MappedBuffer&) = delete;
  MappedBuffer& operator=(const MappedBuffer&) = delete;

  explicit operator bool() const { return is_mapped_; }
  uint8_t* data() const { return map_.data; }
  size_t size() const { return map_.size; }

 private:
  GstBuffer* buffer_;
  GstMapInfo map_ = {};
  bool is_mapped_;
};

/** Planes of a picture, as long as this exists. Keeps a reference to the buffer. */
class MappedFrame {
 public:
  MappedFrame(const GstVideoInfo& info, GstBuffer* buffer, GstMapFlags flags) {
    is_mapped_ = gst_video_frame_map(&frame_, &info, buffer, flags) == TRUE;
  }
  ~MappedFrame() {
    if (is_mapped_) gst_video_frame_unmap(&frame_);
  }
  MappedFrame(const MappedFrame&) = delete;
  MappedFrame& operator=(const MappedFrame&) = delete;

  explicit operator bool() const { return is_mapped_; }
  const GstVideoFrame& operator*() const { return frame_; }
  GstVideoFrame* get() { return &frame_; }

 private:
  GstVideoFrame frame_ = {};
  bool is_mapped_;
};

}  // namespace vigie

#include "jpeg.h"

#include <stdexcept>
#include <string>

namespace vigie {
namespace {

/** Keeps the encoder's result. More than one would belong to no picture. */
GstFlowReturn KeepResult(GstPad* pad, GstObject*, GstBuffer* buffer) {
  auto* result = static_cast<BufferOwner*>(gst_pad_get_element_private(pad));
  BufferOwner owned(buffer);
  if (*result) return GST_FLOW_ERROR;
  *result = std::move(owned);
  return GST_FLOW_OK;
}

gboolean DropEvent(GstPad*, GstObject*, GstEvent* event) {
  gst_event_unref(event);
  return TRUE;
}

/** Returns the first error on the bus, or `otherwise`. */
std::string ErrorOn(GstBus* bus, const char* otherwise) {
  const MessageOwner message(gst_bus_pop_filtered(bus, GST_MESSAGE_ERROR));
  if (!message) return otherwise;
  GError* error = nullptr;
  gst_message_parse_error(message.get(), &error, nullptr);
  std::string text = error->message;
  g_error_free(error);
  return text;
}

/** `jpegenc` between two pads, started. */
class Encoder {
 public:
  Encoder()
      : bus_(gst_bus_new()),
        element_(gst_element_factory_make("jpegenc", nullptr)),
        in_(GST_PAD(gst_object_ref_sink(gst_pad_new("picture", GST_PAD_SRC)))),
        out_(GST_PAD(gst_object_ref_sink(gst_pad_new("jpeg", GST_PAD_SINK)))) {
    if (!element_) throw std::runtime_error("GStreamer has no jpegenc");
    gst_object_ref_sink(element_.get());
    gst_element_set_bus(element_.get(), bus_.get());
    gst_pad_set_element_private(out_.get(), &result_);
    gst_pad_set_chain_function(out_.get(), KeepResult);
    gst_pad_set_event_function(out_.get(), DropEvent);
    const PadOwner sink(gst_element_get_static_pad(element_.get(), "sink"));
    const PadOwner source(gst_element_get_static_pad(element_.get(), "src"));
    // The two pads belong to no element, so there is no common parent to check.
    gst_pad_link_full(in_.get(), sink.get(), GST_PAD_LINK_CHECK_NOTHING);
    gst_pad_link_full(source.get(), out_.get(), GST_PAD_LINK_CHECK_NOTHING);
    gst_pad_set_active(in_.get(), TRUE);
    gst_pad_set_active(out_.get(), TRUE);
    if (gst_element_set_state(element_.get(), GST_STATE_PLAYING) == GST_STATE_CHANGE_FAILURE)
      Stop("jpegenc does not start");
  }

  ~Encoder() {
    if (element_) {
      gst_element_set_state(element_.get(), GST_STATE_NULL);
      // Messages on the bus own the element, which owns the bus.
      gst_element_set_bus(element_.get(), nullptr);
    }
    gst_pad_set_active(in_.get(), FALSE);
    gst_pad_set_active(out_.get(), FALSE);
  }
  Encoder(const Encoder&) = delete;
  Encoder& operator=(const Encoder&) = delete;

  BufferOwner Encode(GstBuffer* picture, GstCaps* caps) {
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    gst_pad_push_event(in_.get(), gst_event_new_stream_start("still"));
    if (!gst_pad_push_event(in_.get(), gst_event_new_caps(caps))) Stop("jpegenc refuses the format");
    gst_pad_push_event(in_.get(), gst_event_new_segment(&segment));
    const GstFlowReturn flow = gst_pad_push(in_.get(), gst_buffer_ref(picture));
    if (flow != GST_FLOW_OK) Stop(gst_flow_get_name(flow));
    if (!result_) Stop("jpegenc gave nothing");
    if (GST_BUFFER_PTS(result_.get()) != GST_BUFFER_PTS(picture)) Stop("jpegenc gave another picture");
    return std::move(result_);
  }

 private:
  [[noreturn]] void Stop(const char* reason) const { throw std::runtime_error(ErrorOn(bus_.get(), reason)); }

  const BusOwner bus_;
  const ElementOwner element_;
  const PadOwner in_, out_;
  BufferOwner result_;
};

}  // namespace

BufferOwner EncodeJpeg(GstBuffer* picture, GstCaps* caps) {
  return Encoder().Encode(picture, caps);
}

}  // namespace vigie

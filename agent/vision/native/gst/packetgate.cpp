#include "packetgate.h"

#define GST_USE_UNSTABLE_API
#include <gst/codecparsers/gsth264parser.h>
#include <gst/codecparsers/gsth265parser.h>

#include <algorithm>
#include <array>
#include <deque>
#include <mutex>

#include "owners.h"

namespace vigie {
namespace {

/** Number of key frames that say how far apart they come. */
constexpr guint kIntervals = 3;
/** A stream has B-frames if one of so many packets is out of order: several groups. */
constexpr guint64 kOrderedPackets = 500;

/** Finds packets with which decoding can begin. */
class KeyFinder {
 public:
  /**
   * Reports whether the first slice of a packet is of an IDR (H.264) or IRAP (H.265) picture. The flags of
   * the buffer do not tell: depayloaders take parameter sets for key frames as well. A damaged packet is
   * none.
   */
  bool IsKey(GstBuffer* packet, bool is_h265) const {
    const MappedBuffer map(packet, GST_MAP_READ);
    if (!map) return false;
    // Both stop at the first unit that is not one: `at` grows with each.
    return is_h265 ? IsH265Key(map) : IsH264Key(map);
  }

 private:
  bool IsH264Key(const MappedBuffer& map) const {
    GstH264NalUnit nal;
    for (guint at = 0; at < map.size(); at = nal.offset) {
      if (gst_h264_parser_identify_nalu_unchecked(h264_.get(), map.data(), at, map.size(), &nal) != GST_H264_PARSER_OK)
        return false;
      if (nal.type >= GST_H264_NAL_SLICE && nal.type <= GST_H264_NAL_SLICE_IDR)
        return nal.type == GST_H264_NAL_SLICE_IDR;
    }
    return false;
  }

  bool IsH265Key(const MappedBuffer& map) const {
    GstH265NalUnit nal;
    for (guint at = 0; at < map.size(); at = nal.offset) {
      if (gst_h265_parser_identify_nalu_unchecked(h265_.get(), map.data(), at, map.size(), &nal) != GST_H265_PARSER_OK)
        return false;
      if (nal.type <= GST_H265_NAL_SLICE_CRA_NUT) return nal.type >= GST_H265_NAL_SLICE_BLA_W_LP;
    }
    return false;
  }

  const std::unique_ptr<GstH264NalParser, decltype(&gst_h264_nal_parser_free)> h264_{gst_h264_nal_parser_new(),
                                                                                     gst_h264_nal_parser_free};
  const std::unique_ptr<GstH265Parser, decltype(&gst_h265_parser_free)> h265_{gst_h265_parser_new(),
                                                                              gst_h265_parser_free};
};

/** What the gate knows and keeps. Its mutex guards all: properties come from another thread than packets. */
class Gate {
 public:
  explicit Gate(GstPad* source) : source_(source) { Begin(); }

  GstFlowReturn Take(BufferOwner packet) {
    std::unique_lock lock(mutex_);
    const GstClockTime pts = GST_BUFFER_PTS(packet.get());
    const gsize bytes = gst_buffer_get_size(packet.get());
    const bool is_key = keys_.IsKey(packet.get(), is_h265_);
    NoteTime(pts, is_key);
    const char* reason = MisfitAt(pts);
    if (is_resting_ && kept_bytes_ + bytes > kKeptBytesMax) reason = "more than 12 MiB in two seconds";
    reason_ = reason;
    if (is_resting_ && (reason || !is_quiet_)) {
      const GstFlowReturn flow = Wake(lock);
      if (flow != GST_FLOW_OK) return flow;
    }
    if (is_resting_) return Keep(lock, std::move(packet), is_key);
    if (is_quiet_ && is_key && !reason) is_resting_ = true;
    return Pass(lock, std::move(packet));
  }

  /** Passes on what is kept, before an event that holds for later packets alone. */
  void Precede() {
    std::unique_lock lock(mutex_);
    Wake(lock);
  }

  void Begin() {
    const std::lock_guard lock(mutex_);
    DropKept();
    key_pts_ = latest_pts_ = GST_CLOCK_TIME_NONE;
    interval_count_ = 0;
    packets_ = disordered_at_ = 0;
  }

  void SetCodec(bool is_h265) {
    const std::lock_guard lock(mutex_);
    is_h265_ = is_h265;
  }

  void SetQuiet(bool is_quiet) {
    const std::lock_guard lock(mutex_);
    is_quiet_ = is_quiet;
  }

  struct Status {
    bool is_quiet, is_resting;
    /** Null where it rests, or may with the next key frame. */
    const char* reason;
    guint64 undecoded;
  };
  Status status() {
    const std::lock_guard lock(mutex_);
    return {is_quiet_, is_resting_, reason_, undecoded_};
  }

 private:
  /** Returns why the stream, as far as a packet of this time, does not fit; or null. */
  const char* MisfitAt(GstClockTime pts) const {
    if (!GST_CLOCK_TIME_IS_VALID(pts)) return "a packet without a time stamp";
    if (disordered_at_ && packets_ - disordered_at_ < kOrderedPackets) return "B-frames";
    if (interval_count_ < kIntervals) return "too few key frames yet";
    const auto is_far = [](GstClockTime interval) { return interval > kIntervalMax; };
    const bool far = pts > key_pts_ + kIntervalMax || std::any_of(intervals_.begin(), intervals_.end(), is_far);
    return far ? "key frames more than 2 s apart" : nullptr;
  }

  void NoteTime(GstClockTime pts, bool is_key) {
    packets_++;
    if (!GST_CLOCK_TIME_IS_VALID(pts)) return;
    if (GST_CLOCK_TIME_IS_VALID(latest_pts_) && pts < latest_pts_) {
      disordered_at_ = packets_;
    } else {
      latest_pts_ = pts;
    }
    if (!is_key) return;
    if (GST_CLOCK_TIME_IS_VALID(key_pts_)) {
      intervals_[interval_count_ % kIntervals] = pts > key_pts_ ? pts - key_pts_ : GST_CLOCK_TIME_NONE;
      // From kIntervals to twice as many: it need not grow for ever.
      if (++interval_count_ == 2 * kIntervals) interval_count_ = kIntervals;
    }
    key_pts_ = pts;
  }

  /** Passes a packet on; the lock is open meanwhile. */
  GstFlowReturn Pass(std::unique_lock<std::mutex>& lock, BufferOwner packet) {
    lock.unlock();
    const GstFlowReturn flow = gst_pad_push(source_, packet.release());
    lock.lock();
    return flow;
  }

  BufferOwner TakeFirst() {
    BufferOwner packet = std::move(kept_.front());
    kept_.pop_front();
    kept_bytes_ -= gst_buffer_get_size(packet.get());
    return packet;
  }

  void DropFirst() {
    TakeFirst();
    undecoded_++;
  }

  void DropKept() {
    while (!kept_.empty()) DropFirst();
    kept_keys_.clear();
    is_resting_ = false;
  }

  /** Passes all that is kept, and rests no longer. */
  GstFlowReturn Wake(std::unique_lock<std::mutex>& lock) {
    GstFlowReturn flow = GST_FLOW_OK;
    while (flow == GST_FLOW_OK && !kept_.empty()) flow = Pass(lock, TakeFirst());
    DropKept();
    return flow;
  }

  /** Keeps a packet, and passes key frames that are old enough; what came before them is dropped. */
  GstFlowReturn Keep(std::unique_lock<std::mutex>& lock, BufferOwner packet, bool is_key) {
    GstFlowReturn flow = GST_FLOW_OK;
    const GstClockTime now = GST_BUFFER_PTS(packet.get());
    kept_bytes_ += gst_buffer_get_size(packet.get());
    if (is_key) kept_keys_.push_back(packet.get());
    kept_.push_back(std::move(packet));
    while (flow == GST_FLOW_OK && !kept_keys_.empty()) {
      const GstBuffer* oldest = kept_keys_.front();
      if (now < GST_BUFFER_PTS(oldest) + kMargin) break;
      kept_keys_.pop_front();
      while (kept_.front().get() != oldest) DropFirst();
      flow = Pass(lock, TakeFirst());
    }
    return flow;
  }

  GstPad* const source_;
  const KeyFinder keys_;
  std::mutex mutex_;
  bool is_quiet_ = false;
  bool is_resting_ = false;
  bool is_h265_ = false;
  const char* reason_ = nullptr;
  /** Of the whole life of the element. */
  guint64 undecoded_ = 0;
  /** Packets since the key frame that was passed last, and the key frames among them. */
  std::deque<BufferOwner> kept_;
  guint64 kept_bytes_ = 0;
  std::deque<const GstBuffer*> kept_keys_;
  GstClockTime key_pts_, latest_pts_;
  std::array<GstClockTime, kIntervals> intervals_;
  guint interval_count_;
  guint64 packets_, disordered_at_;
};

struct PacketGate {
  GstElement parent;
  Gate* gate;
};
struct PacketGateClass {
  GstElementClass parent;
};

G_DEFINE_TYPE(PacketGate, packet_gate, GST_TYPE_ELEMENT)

enum { kQuiet = 1, kResting, kReason, kUndecoded };

Gate& GateOf(gpointer element) {
  return *static_cast<PacketGate*>(element)->gate;
}

GstFlowReturn TakePacket(GstPad*, GstObject* element, GstBuffer* packet) {
  return GateOf(element).Take(BufferOwner(packet));
}

gboolean TakeEvent(GstPad* pad, GstObject* element, GstEvent* event) {
  Gate& gate = GateOf(element);
  switch (GST_EVENT_TYPE(event)) {
    case GST_EVENT_CAPS: {
      GstCaps* caps = nullptr;
      gst_event_parse_caps(event, &caps);
      gate.Precede();
      gate.SetCodec(gst_structure_has_name(gst_caps_get_structure(caps, 0), "video/x-h265"));
      break;
    }
    case GST_EVENT_SEGMENT:
      gate.Precede();
      break;
    case GST_EVENT_FLUSH_STOP:
    case GST_EVENT_EOS:
      gate.Begin();
      break;
    default:
      break;
  }
  return gst_pad_event_default(pad, element, event);
}

GstStateChangeReturn ChangeState(GstElement* element, GstStateChange transition) {
  const GstStateChangeReturn done = GST_ELEMENT_CLASS(packet_gate_parent_class)->change_state(element, transition);
  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY) GateOf(element).Begin();
  return done;
}

void SetProperty(GObject* object, guint, const GValue* value, GParamSpec*) {
  GateOf(object).SetQuiet(g_value_get_boolean(value));
}

void GetProperty(GObject* object, guint id, GValue* value, GParamSpec*) {
  const Gate::Status status = GateOf(object).status();
  if (id == kQuiet) g_value_set_boolean(value, status.is_quiet);
  if (id == kResting) g_value_set_boolean(value, status.is_resting);
  if (id == kReason) g_value_set_static_string(value, status.reason ? status.reason : "");
  if (id == kUndecoded) g_value_set_uint64(value, status.undecoded);
}

void Finalize(GObject* object) {
  delete &GateOf(object);
  G_OBJECT_CLASS(packet_gate_parent_class)->finalize(object);
}

#define PACKETS                                          \
  "video/x-h264,stream-format=byte-stream,alignment=au;" \
  "video/x-h265,stream-format=byte-stream,alignment=au"
GstStaticPadTemplate sink_template =
    GST_STATIC_PAD_TEMPLATE("sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS(PACKETS));
GstStaticPadTemplate source_template =
    GST_STATIC_PAD_TEMPLATE("src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS(PACKETS));

void packet_gate_class_init(PacketGateClass* type) {
  GObjectClass* object = G_OBJECT_CLASS(type);
  GstElementClass* element = GST_ELEMENT_CLASS(type);
  object->set_property = SetProperty;
  object->get_property = GetProperty;
  object->finalize = Finalize;
  element->change_state = ChangeState;
  const auto readable = static_cast<GParamFlags>(G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  const auto writable = static_cast<GParamFlags>(G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS);
  const auto install = [object](guint id, GParamSpec* spec) { g_object_class_install_property(object, id, spec); };
  install(kQuiet, g_param_spec_boolean("quiet", "Quiet", "Only key frames are wanted", FALSE, writable));
  install(kResting, g_param_spec_boolean("resting", "Resting", "Only key frames pass", FALSE, readable));
  install(kReason, g_param_spec_string("reason", "Reason", "Why it cannot rest, or empty", "", readable));
  install(kUndecoded, g_param_spec_uint64("undecoded", "Undecoded", "Packets dropped", 0, G_MAXUINT64, 0, readable));
  gst_element_class_add_static_pad_template(element, &sink_template);
  gst_element_class_add_static_pad_template(element, &source_template);
  gst_element_class_set_static_metadata(element, "Packet gate", "Filter/Video",
                                        "Passes key frames only while a street is quiet", "Vigie");
}

void packet_gate_init(PacketGate* element) {
  GstPad* sink = gst_pad_new_from_static_template(&sink_template, "sink");
  GstPad* source = gst_pad_new_from_static_template(&source_template, "src");
  element->gate = new Gate(source);
  gst_pad_set_chain_function(sink, TakePacket);
  gst_pad_set_event_function(sink, TakeEvent);
  GST_PAD_SET_PROXY_CAPS(sink);
  GST_PAD_SET_PROXY_ALLOCATION(sink);
  gst_element_add_pad(GST_ELEMENT(element), sink);
  gst_element_add_pad(GST_ELEMENT(element), source);
}

}  // namespace

gboolean RegisterPacketGate(GstPlugin* plugin) {
  return gst_element_register(plugin, "packetgate", GST_RANK_NONE, packet_gate_get_type());
}

}  // namespace vigie

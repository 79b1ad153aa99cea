/** Tests the element packetgate with streams that are drawn at random, whole and damaged. */
#include "../gst/packetgate.h"

#include <algorithm>
#include <cstdlib>
#include <random>

#include "../gst/plugin.h"
#include "harness.h"

namespace vigie {
namespace {

constexpr const char* kCaps[] = {"video/x-h264,stream-format=byte-stream,alignment=au",
                                 "video/x-h265,stream-format=byte-stream,alignment=au"};
constexpr GstClockTime kFrame = GST_SECOND / 10;

/** First byte of a NAL unit whose slice is of a key frame, and of another frame, by codec (H.264, H.265). */
constexpr uint8_t kKey[] = {0x65, 19 << 1};
constexpr uint8_t kDelta[] = {0x41, 1 << 1};

struct Packet {
  GstClockTime pts;
  bool is_key;
  std::vector<uint8_t> bytes;
};

/** One slice behind parameter sets, as cameras send them before key frames. */
Packet PacketOf(int codec, GstClockTime pts, bool is_key, size_t size = 64) {
  std::vector<uint8_t> bytes = {0, 0, 0, 1, static_cast<uint8_t>(codec ? 33 << 1 : 0x67), 1, 2, 3};
  const uint8_t slice = is_key ? kKey[codec] : kDelta[codec];
  bytes.insert(bytes.end(), {0, 0, 1, slice, 1});
  bytes.resize(bytes.size() + size, 0x5a);
  return {pts, is_key, bytes};
}

/** A gate whose output the test reads. */
class GateUnderTest : public Harness {
 public:
  explicit GateUnderTest(int codec) : Harness("packetgate", "src") {
    gst_harness_set_src_caps_str(get(), kCaps[codec]);
  }

  GstFlowReturn Push(const Packet& packet) {
    GstBuffer* buffer = gst_buffer_new_memdup(packet.bytes.data(), packet.bytes.size());
    GST_BUFFER_PTS(buffer) = packet.pts;
    return gst_harness_push(get(), buffer);
  }

  void SetQuiet(bool is_quiet) { g_object_set(element(), "quiet", is_quiet, nullptr); }

  bool IsResting() {
    gboolean resting = FALSE;
    g_object_get(element(), "resting", &resting, nullptr);
    return resting;
  }

  guint64 undecoded() {
    guint64 undecoded = 0;
    g_object_get(element(), "undecoded", &undecoded, nullptr);
    return undecoded;
  }

  std::string reason() {
    char* text = nullptr;
    g_object_get(element(), "reason", &text, nullptr);
    std::string reason = text;
    g_free(text);
    return reason;
  }

  std::vector<GstClockTime> Passed() {
    std::vector<GstClockTime> times;
    for (BufferOwner buffer; buffer.reset(gst_harness_try_pull(get())), buffer;)
      times.push_back(GST_BUFFER_PTS(buffer.get()));
    return times;
  }

  /** Pushes a packet each kFrame up to a time, a key frame each second. Returns the time after them. */
  GstClockTime PushUntil(int codec, GstClockTime from, GstClockTime to) {
    for (; from < to; from += kFrame) Push(PacketOf(codec, from, from % GST_SECOND == 0));
    return from;
  }
};

void AssertReason(GateUnderTest& gate, const char* expected) {
  const std::string reason = gate.reason();
  g_assert_cmpstr(reason.c_str(), ==, expected);
}

void RestsAndWakes() {
  for (const int codec : {0, 1}) {
    GateUnderTest gate(codec);
    GstClockTime at = gate.PushUntil(codec, 0, 4 * GST_SECOND);
    g_assert_cmpuint(gate.Passed().size(), ==, 40);
    AssertReason(gate, "");
    gate.SetQuiet(true);
    at = gate.PushUntil(codec, at, 8 * GST_SECOND + 5 * kFrame);
    g_assert_true(gate.IsResting());
    // The key frame at which it began to rest, then each when it was a second old.
    const std::vector<GstClockTime> keys = {4 * GST_SECOND, 5 * GST_SECOND, 6 * GST_SECOND, 7 * GST_SECOND};
    g_assert_true(gate.Passed() == keys);
    gate.SetQuiet(false);
    gate.Push(PacketOf(codec, at, false));
    const std::vector<GstClockTime> rest = gate.Passed();
    g_assert_cmpuint(rest.front(), ==, 7 * GST_SECOND + kFrame);
    g_assert_cmpuint(rest.back(), ==, at);
    g_assert_cmpuint(rest.size(), ==, 15);
    g_assert_cmpuint(gate.undecoded(), ==, 27);
    g_assert_false(gate.IsResting());
  }
}

void Misfits() {
  GateUnderTest gate(0);
  gate.SetQuiet(true);
  gate.PushUntil(0, 0, 3 * GST_SECOND);
  AssertReason(gate, "too few key frames yet");
  GstClockTime at = gate.PushUntil(0, 3 * GST_SECOND, 6 * GST_SECOND);
  g_assert_true(gate.IsResting());
  gate.Push(PacketOf(0, at - 3 * kFrame, false));
  AssertReason(gate, "B-frames");
  g_assert_false(gate.IsResting());
  gate.Push(PacketOf(0, GST_CLOCK_TIME_NONE, false));
  AssertReason(gate, "a packet without a time stamp");
  GateUnderTest rare(0);
  for (GstClockTime pts = 0; pts < 12 * GST_SECOND; pts += kFrame)
    rare.Push(PacketOf(0, pts, pts % (3 * GST_SECOND) == 0));
  AssertReason(rare, "key frames more than 2 s apart");
  // What it keeps is bounded.
  GateUnderTest large(0);
  large.SetQuiet(true);
  large.PushUntil(0, 0, 5 * GST_SECOND);
  g_assert_true(large.IsResting());
  for (int i = 1; i < 4; i++) large.Push(PacketOf(0, 5 * GST_SECOND + i * kFrame, false, kKeptBytesMax / 3));
  AssertReason(large, "more than 12 MiB in two seconds");
  g_assert_false(large.IsResting());
}

/** An event that holds for later packets alone does not overtake those that are kept. */
void CapsThatChange() {
  GateUnderTest gate(0);
  gate.SetQuiet(true);
  gate.PushUntil(0, 0, 5 * GST_SECOND + 5 * kFrame);
  g_assert_true(gate.IsResting());
  gate.Passed();
  gst_harness_set_src_caps_str(gate.get(), kCaps[1]);
  g_assert_false(gate.IsResting());
  g_assert_cmpuint(gate.Passed().back(), ==, 5 * GST_SECOND + 4 * kFrame);
  gate.Push(PacketOf(1, 6 * GST_SECOND, true));
  g_assert_true(gate.IsResting());
}

void Ends() {
  for (const char* end : {"eos", "flush", "state"}) {
    GateUnderTest gate(0);
    gate.SetQuiet(true);
    gate.PushUntil(0, 0, 5 * GST_SECOND + 5 * kFrame);
    gate.Passed();
    const guint64 before = gate.undecoded();
    if (*end == 'e') gst_harness_push_event(gate.get(), gst_event_new_eos());
    if (*end == 'f') {
      gst_harness_push_event(gate.get(), gst_event_new_flush_start());
      gst_harness_push_event(gate.get(), gst_event_new_flush_stop(TRUE));
    }
    if (*end == 's') gst_element_set_state(gate.element(), GST_STATE_READY);
    g_assert_false(gate.IsResting());
    g_assert_cmpuint(gate.undecoded(), ==, before + 14);
    g_assert_cmpuint(gate.Passed().size(), ==, 0);
  }
}

/** What the next element answers is the answer to the packet. */
void FlowOfTheNext() {
  GateUnderTest gate(0);
  gst_pad_set_active(gate.get()->sinkpad, FALSE);
  g_assert_cmpint(gate.Push(PacketOf(0, 0, true)), ==, GST_FLOW_FLUSHING);
}

/** Bytes in which start codes are frequent. */
std::vector<uint8_t> Drawn(std::mt19937& random, size_t length) {
  std::vector<uint8_t> bytes(length);
  for (uint8_t& byte : bytes) {
    const unsigned kind = random() % 4;
    byte = static_cast<uint8_t>(kind < 2 ? random() % 2 : random());
  }
  return bytes;
}

/**
 * Streams with damaged packets, gaps, times that jump, and changes of `quiet` at any moment. Each packet
 * passes once or is counted, and the times that pass are in the order in which they came.
 */
void DrawnStream(unsigned seed) {
  std::mt19937 random(seed);
  const int codec = random() % 2;
  GateUnderTest gate(codec);
  const unsigned damaged_in = 1 + random() % 40;
  guint64 pushed = 0, passed = 0;
  GstClockTime pts = 0, last = 0;
  bool is_ordered = true;
  for (int i = 0; i < 400; i++) {
    Packet packet = PacketOf(codec, pts, random() % 10 == 0, random() % 200);
    if (random() % damaged_in == 0) packet.bytes = Drawn(random, 1 + random() % 300);
    if (random() % 200 == 0) packet.pts = GST_CLOCK_TIME_NONE;
    if (random() % 300 == 0) packet.pts = (static_cast<GstClockTime>(random()) << 32) | random();
    is_ordered = is_ordered && packet.pts == pts;
    if (random() % 30 == 0) gate.SetQuiet(random() % 3 != 0);
    if (random() % 400 == 0) gst_harness_set_src_caps_str(gate.get(), kCaps[codec]);
    g_assert_cmpint(gate.Push(packet), ==, GST_FLOW_OK);
    pushed++;
    for (const GstClockTime time : gate.Passed()) {
      passed++;
      if (is_ordered) g_assert_cmpuint(time, >=, last);
      last = time;
    }
    pts += kFrame + random() % (kFrame / 4);
  }
  gst_harness_push_event(gate.get(), gst_event_new_eos());
  g_assert_cmpuint(passed + gate.Passed().size() + gate.undecoded(), ==, pushed);
}

void DrawnStreams() {
  const char* seconds = std::getenv("VIGIE_FUZZ_SECONDS");
  const gint64 until = g_get_monotonic_time() + (seconds ? std::atoll(seconds) : 0) * G_USEC_PER_SEC;
  unsigned seed = 0;
  do DrawnStream(seed++);
  while (seed < 300 || g_get_monotonic_time() < until);
  g_test_message("%u streams of 400 packets", seed);
}

}  // namespace
}  // namespace vigie

int main(int argc, char** argv) {
  gst_init(&argc, &argv);
  g_test_init(&argc, &argv, nullptr);
  vigie::RegisterElements();
  g_test_add_func("/gate/rests and wakes", vigie::RestsAndWakes);
  g_test_add_func("/gate/misfits", vigie::Misfits);
  g_test_add_func("/gate/caps that change", vigie::CapsThatChange);
  g_test_add_func("/gate/ends", vigie::Ends);
  g_test_add_func("/gate/flow of the next", vigie::FlowOfTheNext);
  g_test_add_func("/gate/drawn streams", vigie::DrawnStreams);
  return g_test_run();
}

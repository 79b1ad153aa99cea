/**
 * The element `packetgate`: stands between a depayloader and a decoder and keeps compressed pictures from
 * being decoded.
 *
 * While `quiet` is false everything passes at once. While it is true only key frames pass, each when it is
 * kMargin old. So whoever sets it back gets what came in that time: the packets since the key frame that was
 * passed last then follow, in order and with their own time stamps. The decoder has that key frame, so
 * nothing is decoded twice or without its reference. What is dropped is counted in `undecoded`.
 *
 * It rests only where `quiet` is asked for, at a key frame, on a stream that fits; `reason` says why it does
 * not.
 *
 * INVARIANTS: time stamps that pass never go back because of it. What it keeps is dropped at each end of an
 * opening (flush, end of stream, READY), and the next opening begins in full.
 */
#pragma once

#include <gst/gst.h>

namespace vigie {

/** Greatest distance of key frames. Two seconds are a usual setting; the rest is jitter. A look is due as often. */
constexpr GstClockTime kIntervalMax = 2200 * GST_MSECOND;
/** The second stream's delay behind the first: .1 s for a picture at ten a second, the rest for its encoder.
 */
constexpr GstClockTime kMargin = GST_SECOND;
/** Greatest sum of what is kept: kIntervalMax and kMargin at 30 Mbit/s. It is allocated as packets come. */
constexpr guint64 kKeptBytesMax = 12 << 20;

/** Registers the element. */
gboolean RegisterPacketGate(GstPlugin* plugin);

}  // namespace vigie

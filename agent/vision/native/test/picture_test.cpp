/** Tests the element picturesink and what is made of its pictures. */
#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>

#include "../gst/picturesink.h"
#include "../gst/plugin.h"
#include "../gst/requests.h"
#include "harness.h"

namespace vigie {
namespace {

using Bytes = std::vector<uint8_t>;
using PictureRef = std::shared_ptr<const Picture>;

constexpr Ranges kNoRanges = {nullptr, 0};
constexpr GstVideoFormat kFormats[] = {GST_VIDEO_FORMAT_I420, GST_VIDEO_FORMAT_YV12, GST_VIDEO_FORMAT_NV12,
                                       GST_VIDEO_FORMAT_NV21};

View<uint8_t> ViewOf(Bytes& bytes) {
  return {bytes.data(), bytes.size()};
}

Ranges RangesOf(const std::vector<int32_t>& ranges) {
  return {ranges.data(), ranges.size()};
}

Bytes GreyOf(const PictureRef& picture, Size size, Ranges black = kNoRanges) {
  Bytes grey(static_cast<size_t>(size.width) * size.height);
  picture->WriteGrey(ViewOf(grey), size, black);
  return grey;
}

Bytes RgbOf(const PictureRef& picture, Size size, const Placement& at, Ranges black = kNoRanges) {
  Bytes rgb(static_cast<size_t>(size.width) * size.height * 3);
  picture->WriteRgb(ViewOf(rgb), size, at, black);
  return rgb;
}

Bytes PlanesOf(const PictureRef& picture, Size size, Ranges black_y = kNoRanges, Ranges black_uv = kNoRanges) {
  GstVideoInfo info;
  gst_video_info_set_format(&info, GST_VIDEO_FORMAT_I420, size.width, size.height);
  // What no picture fills is the same in all.
  Bytes planes(info.size, 7);
  picture->WritePlanes(ViewOf(planes), size, black_y, black_uv);
  return planes;
}

Bytes StillOf(const PictureRef& picture, Size size) {
  const Still still = picture->MakeStill(size, kNoRanges, kNoRanges);
  g_assert_cmpuint(still.pts, ==, picture->pts());
  g_assert_cmpuint(GST_BUFFER_PTS(still.jpeg.get()), ==, picture->pts());
  const MappedBuffer map(still.jpeg.get(), GST_MAP_READ);
  return Bytes(map.data(), map.data() + map.size());
}

/** A sink that takes pictures from the test. */
class Sink : public Harness {
 public:
  Sink() : Harness("picturesink", nullptr) { g_object_set(element(), "sync", FALSE, nullptr); }

  void SetCaps(const GstVideoInfo& info) { gst_harness_set_src_caps(get(), CapsOf(info).release()); }

  GstFlowReturn Push(const Format& format, int seed) {
    return gst_harness_push(get(), PictureOf(format, seed).release());
  }

  PictureRef PictureFor(const Format& format, int seed) {
    SetCaps(InfoOf(format));
    g_assert_cmpint(Push(format, seed), ==, GST_FLOW_OK);
    PictureRef picture = Take();
    g_assert_nonnull(picture.get());
    return picture;
  }

  PictureRef Take(GstClockTime limit = 0) { return TakePicture(element(), limit); }
};

void FormatsAndPadding() {
  for (const Size size : {Size{64, 48}, Size{65, 49}, Size{66, 47}, Size{5, 4}, Size{4, 7}}) {
    Sink sink;
    Bytes planes, rgb, grey;
    for (const GstVideoFormat format : kFormats) {
      for (const int padding : {0, 4, 60}) {
        const PictureRef picture = sink.PictureFor({format, size.width, size.height, padding}, 3);
        const Bytes own_planes = PlanesOf(picture, size);
        const Bytes own_rgb = RgbOf(picture, {96, 80}, {8, 8, {70, 60}});
        const Bytes own_grey = GreyOf(picture, {13, 11});
        if (planes.empty()) planes = own_planes, rgb = own_rgb, grey = own_grey;
        g_assert_true(own_planes == planes);
        g_assert_true(own_rgb == rgb);
        g_assert_true(own_grey == grey);
        // At its own size it is the decoder's, sample by sample.
        const Bytes same = GreyOf(picture, size);
        for (int y = 0; y < size.height; y++)
          for (int x = 0; x < size.width; x++)
            g_assert_cmpint(same[static_cast<size_t>(y) * size.width + x], ==, LevelOf(3, 0, x, y));
      }
    }
  }
}

void EachSizeToEachSize() {
  Sink sink;
  for (const Size from : {Size{4, 4}, Size{7, 5}, Size{64, 48}, Size{128, 33}}) {
    const PictureRef picture = sink.PictureFor({GST_VIDEO_FORMAT_NV12, from.width, from.height}, 1);
    for (const int width : {2, 3, 4, 7, 14, 32, 63, 64, 65, 200})
      for (const int height : {2, 3, 5, 10, 24, 48, 49, 131}) {
        const Size size = {width, height};
        PlanesOf(picture, size);
        GreyOf(picture, size);
        RgbOf(picture, size, {0, 0, size});
        StillOf(picture, size);
      }
  }
}

void RefusedFormats() {
  for (const GstVideoFormat format : {GST_VIDEO_FORMAT_I420_10LE, GST_VIDEO_FORMAT_P010_10LE, GST_VIDEO_FORMAT_Y444,
                                      GST_VIDEO_FORMAT_RGB, GST_VIDEO_FORMAT_GRAY8, GST_VIDEO_FORMAT_A420}) {
    Sink sink;
    const GstVideoInfo info = InfoOf({format, 64, 48});
    sink.SetCaps(info);
    gst_harness_push(sink.get(), gst_buffer_new_allocate(nullptr, info.size, nullptr));
    ASSERT_ERROR(sink.Take(), "8 bits in 4:2:0");
    g_assert_null(sink.Take().get());
  }
  Sink sink;
  sink.SetCaps(InfoOf({GST_VIDEO_FORMAT_I420, 2, 2}));
  gst_harness_push(sink.get(), gst_buffer_new_allocate(nullptr, 100, nullptr));
  ASSERT_ERROR(sink.Take(), "2x2: 4 to 16384");
  // A buffer that is shorter than its caps say.
  Sink other;
  other.SetCaps(InfoOf({GST_VIDEO_FORMAT_I420, 64, 48}));
  gst_harness_push(other.get(), gst_buffer_new_allocate(nullptr, 100, nullptr));
  ASSERT_ERROR(other.Take(), "cannot be read");
  // Data that are no picture at all, and a stream of results without a picture.
  Sink third;
  gst_harness_set_src_caps_str(third.get(), "application/octet-stream");
  gst_harness_push(third.get(), gst_buffer_new_allocate(nullptr, 100, nullptr));
  ASSERT_ERROR(third.Take(), "unknown format");
  gst_harness_push(third.get(), gst_buffer_new_allocate(nullptr, 100, nullptr));
  g_assert_true(TakeInferred(third.element(), 0).has_value());
}

void InterlacedAndWide() {
  const Format format = {GST_VIDEO_FORMAT_I420, 64, 48};
  Sink sink;
  GstVideoInfo info = InfoOf(format);
  GST_VIDEO_INFO_INTERLACE_MODE(&info) = GST_VIDEO_INTERLACE_MODE_INTERLEAVED;
  info.par_n = 64;
  info.par_d = 45;
  sink.SetCaps(info);
  sink.Push(format, 2);
  const PictureRef picture = sink.Take();
  g_assert_cmpint(picture->info().par_n, ==, 64);
  g_assert_cmpint(picture->info().par_d, ==, 45);
  Sink plain;
  g_assert_true(GreyOf(picture, {91, 48}) == GreyOf(plain.PictureFor(format, 2), {91, 48}));
  // Fields that come one by one are half a picture each.
  Sink fields;
  GST_VIDEO_INFO_INTERLACE_MODE(&info) = GST_VIDEO_INTERLACE_MODE_ALTERNATE;
  CapsOwner caps(gst_video_info_to_caps(&info));
  gst_harness_set_src_caps(fields.get(), caps.release());
  fields.Push(format, 2);
  ASSERT_ERROR(fields.Take(), "complete ones");
}

void CapsThatChange() {
  Sink sink;
  std::vector<PictureRef> pictures;
  const Format formats[] = {{GST_VIDEO_FORMAT_I420, 64, 48},
                            {GST_VIDEO_FORMAT_NV12, 33, 21},
                            {GST_VIDEO_FORMAT_NV21, 640, 480},
                            {GST_VIDEO_FORMAT_I420, 64, 48}};
  for (int seed = 0; seed < 40; seed++) pictures.push_back(sink.PictureFor(formats[seed / 3 % 4], seed));
  for (int seed = 0; seed < 40; seed++) {
    // Made long after the caps were others: it is of its own size.
    const Format& format = formats[seed / 3 % 4];
    g_assert_cmpint(pictures[seed]->info().width, ==, format.width);
    g_assert_cmpint(GreyOf(pictures[seed], {format.width, format.height})[5], ==, LevelOf(seed, 0, 5, 0));
  }
}

void BlackRanges() {
  Sink sink;
  const PictureRef picture = sink.PictureFor({GST_VIDEO_FORMAT_I420, 64, 48}, 1);
  const Bytes bare = GreyOf(picture, {64, 48});
  // First and last sample, all, nothing, the wrong way round, beyond both ends, half a pair.
  const std::vector<int32_t> edges[] = {{0, 1},  {64 * 48 - 1, 64 * 48}, {0, 64 * 48},         {5, 5}, {9, 3},
                                        {-7, 2}, {64 * 48 - 2, 1 << 30}, {G_MININT, G_MAXINT}, {3}};
  for (const auto& edge : edges) {
    Bytes expected = bare;
    if (edge.size() == 2)
      for (int i = std::max(edge[0], 0); i < std::min(edge[1], 64 * 48); i++) expected[i] = 0;
    g_assert_true(GreyOf(picture, {64, 48}, RangesOf(edge)) == expected);
    RgbOf(picture, {64, 48}, {0, 0, {64, 48}}, RangesOf(edge));
    PlanesOf(picture, {64, 48}, RangesOf(edge), RangesOf(edge));
    picture->MakeStill({64, 48}, RangesOf(edge), RangesOf(edge));
  }
  const std::vector<int32_t> all = {0, G_MAXINT};
  const Bytes black = PlanesOf(picture, {64, 48}, RangesOf(all), RangesOf(all));
  g_assert_cmpint(*std::max_element(black.begin(), black.begin() + 64 * 48), ==, 0);
  g_assert_true(std::all_of(black.begin() + 64 * 48, black.end(), [](uint8_t level) { return level == 128; }));
}

void WrongSizes() {
  Sink sink;
  const PictureRef picture = sink.PictureFor({GST_VIDEO_FORMAT_I420, 64, 48}, 1);
  for (const int left : {-1, 1, G_MAXINT, G_MININT})
    ASSERT_ERROR(RgbOf(picture, {32, 32}, {left, 0, {32, 32}}), "does not lie within");
  for (const int top : {-1, 1, G_MAXINT, G_MININT})
    ASSERT_ERROR(RgbOf(picture, {32, 32}, {0, top, {32, 32}}), "does not lie within");
  ASSERT_ERROR(RgbOf(picture, {32, 32}, {0, 0, {33, 32}}), "does not lie within");
  ASSERT_ERROR(RgbOf(picture, {32, 32}, {0, 0, {0, 32}}), "0x32: 1 to 16384");
  Bytes bytes(10);
  ASSERT_ERROR(picture->WriteGrey(ViewOf(bytes), {4, 4}, kNoRanges), "10 bytes, and the picture 16");
  ASSERT_ERROR(picture->WriteRgb(ViewOf(bytes), {4, 4}, {0, 0, {4, 4}}, kNoRanges), "and the picture 48");
  ASSERT_ERROR(picture->WritePlanes(ViewOf(bytes), {4, 4}, kNoRanges, kNoRanges), "and the picture 32");
  for (const Size size : {Size{0, 4}, Size{4, -1}, Size{kSideMax + 1, 4}, Size{G_MAXINT, G_MAXINT}}) {
    ASSERT_ERROR(picture->WriteGrey(ViewOf(bytes), size, kNoRanges), "pixels a side");
    ASSERT_ERROR(picture->MakeStill(size, kNoRanges, kNoRanges), "pixels a side");
  }
  // More sizes than are kept.
  for (int width = 2; width < 100; width++) RgbOf(picture, {width, 8}, {0, 0, {width, 8}});
}

/** A letterbox of any width has rows without padding. */
void OddLetterboxes() {
  Sink sink;
  const PictureRef picture = sink.PictureFor({GST_VIDEO_FORMAT_I420, 64, 48}, 1);
  for (const int width : {30, 31, 33, 34}) {
    const Bytes rgb = RgbOf(picture, {width, 20}, {0, 0, {24, 20}});
    const Bytes reference = RgbOf(picture, {32, 20}, {0, 0, {24, 20}});
    for (int y = 0; y < 20; y++)
      g_assert_cmpint(std::memcmp(&rgb[static_cast<size_t>(y) * width * 3], &reference[y * 32 * 3], 22 * 3), ==, 0);
  }
}

void EndFlushAndStates() {
  const Format format = {GST_VIDEO_FORMAT_I420, 64, 48};
  Sink sink;
  sink.PictureFor(format, 1);
  gst_harness_push_event(sink.get(), gst_event_new_eos());
  g_assert_null(sink.Take(GST_CLOCK_TIME_NONE).get());
  // A flush takes what waits, and the stream goes on.
  Sink flushed;
  flushed.SetCaps(InfoOf(format));
  flushed.Push(format, 1);
  gst_harness_push_event(flushed.get(), gst_event_new_flush_start());
  gst_harness_push_event(flushed.get(), gst_event_new_flush_stop(TRUE));
  g_assert_null(flushed.Take().get());
  GstSegment segment;
  gst_segment_init(&segment, GST_FORMAT_TIME);
  gst_harness_push_event(flushed.get(), gst_event_new_segment(&segment));
  flushed.Push(format, 2);
  g_assert_cmpuint(flushed.Take()->pts(), ==, 2 * GST_MSECOND);
  // Only NULL ends a wait, from each state; a picture outlives it.
  for (const GstState state : {GST_STATE_PAUSED, GST_STATE_READY, GST_STATE_NULL}) {
    Sink stopped;
    const PictureRef kept = stopped.PictureFor(format, 5);
    std::atomic<bool> is_over = false;
    std::thread waiting([&] {
      g_assert_null(stopped.Take(GST_CLOCK_TIME_NONE).get());
      is_over = true;
    });
    g_usleep(20'000);
    gst_element_set_state(stopped.element(), state);
    if (state != GST_STATE_NULL) {
      g_usleep(20'000);
      g_assert_false(is_over);
      gst_element_set_state(stopped.element(), GST_STATE_PLAYING);
      gst_element_set_state(stopped.element(), GST_STATE_NULL);
    }
    waiting.join();
    g_assert_cmpint(GreyOf(kept, {64, 48})[0], ==, LevelOf(5, 0, 0, 0));
  }
}

/** Stills, pictures and grey ones in four threads, of pictures that are released meanwhile. */
void FourThreads() {
  const Format format = {GST_VIDEO_FORMAT_NV12, 160, 120};
  Sink sink;
  std::vector<PictureRef> pictures;
  std::vector<Bytes> stills, boxes;
  for (int seed = 0; seed < 8; seed++) {
    pictures.push_back(sink.PictureFor(format, seed));
    stills.push_back(StillOf(pictures[seed], {160, 120}));
    boxes.push_back(RgbOf(pictures[seed], {96, 96}, {0, 12, {96, 72}}));
    for (int other = 0; other < seed; other++) g_assert_true(stills[other] != stills[seed]);
  }
  std::vector<std::thread> threads;
  for (int number = 0; number < 4; number++)
    threads.emplace_back([&, number, own = pictures] {
      for (int round = 0; round < 24; round++) {
        const int seed = (5 * round + number) % 8;
        g_assert_true(StillOf(own[seed], {160, 120}) == stills[seed]);
        g_assert_true(RgbOf(own[seed], {96, 96}, {0, 12, {96, 72}}) == boxes[seed]);
        GreyOf(own[seed], {20 + round, 20});
      }
    });
  pictures.clear();
  for (std::thread& thread : threads) thread.join();
}

/** Pictures are taken by several threads while they come: each once. */
void TakenByFour() {
  const Format format = {GST_VIDEO_FORMAT_I420, 32, 32};
  Sink sink;
  sink.SetCaps(InfoOf(format));
  std::atomic<int> taken = 0, sum = 0;
  std::vector<std::thread> threads;
  for (int number = 0; number < 4; number++)
    threads.emplace_back([&, number] {
      while (const PictureRef picture = sink.Take(number == 0 ? GST_MSECOND * 50 : GST_CLOCK_TIME_NONE)) {
        taken++;
        sum += static_cast<int>(picture->pts() / GST_MSECOND);
      }
    });
  for (int seed = 1; seed <= 100; seed++) sink.Push(format, seed);
  gst_harness_push_event(sink.get(), gst_event_new_eos());
  for (std::thread& thread : threads) thread.join();
  g_assert_cmpint(taken, ==, 100);
  g_assert_cmpint(sum, ==, 5050);
}

void FoundByNumber() {
  guint ids[2] = {};
  {
    Sink one, other;
    g_object_get(one.element(), "id", &ids[0], nullptr);
    g_object_get(other.element(), "id", &ids[1], nullptr);
    g_assert_cmpuint(ids[0], !=, ids[1]);
    g_assert_true(FindPictureSink(ids[0]).get() == one.element());
    g_assert_true(FindPictureSink(ids[1]).get() == other.element());
    g_assert_null(FindPictureSink(0).get());
    ASSERT_ERROR(RestrictRequests(one.element(), {"a", "b", "c"}), "before the pipeline is opened");
  }
  for (const guint id : ids) g_assert_null(FindPictureSink(id).get());
}

void RequestsOfAPipeline() {
  const ElementOwner pipeline(
      gst_parse_launch("rtspsrc name=source location=rtsp://127.0.0.1:1/a ! fakesink picturesink name=sink", nullptr));
  const ElementOwner sink(gst_bin_get_by_name(GST_BIN(pipeline.get()), "sink"));
  ASSERT_ERROR(RestrictRequests(sink.get(), {"(", "b", "c"}), "not a regular expression: (");
  for (int round = 0; round < 3; round++)
    g_assert_true(ErrorOf([&] { RestrictRequests(sink.get(), {"rtsp://a/.*", "t", "b"}); }).empty());
  const ElementOwner other(gst_parse_launch("videotestsrc name=source ! picturesink name=sink", nullptr));
  const ElementOwner bare(gst_bin_get_by_name(GST_BIN(other.get()), "sink"));
  ASSERT_ERROR(RestrictRequests(bare.get(), {"a", "b", "c"}), "no rtspsrc");
}

}  // namespace
}  // namespace vigie

int main(int argc, char** argv) {
  gst_init(&argc, &argv);
  g_test_init(&argc, &argv, nullptr);
  vigie::RegisterElements();
  g_test_add_func("/picture/formats and padding", vigie::FormatsAndPadding);
  g_test_add_func("/picture/each size to each size", vigie::EachSizeToEachSize);
  g_test_add_func("/picture/refused formats", vigie::RefusedFormats);
  g_test_add_func("/picture/interlaced and wide", vigie::InterlacedAndWide);
  g_test_add_func("/picture/caps that change", vigie::CapsThatChange);
  g_test_add_func("/picture/black ranges", vigie::BlackRanges);
  g_test_add_func("/picture/wrong sizes", vigie::WrongSizes);
  g_test_add_func("/picture/odd letterboxes", vigie::OddLetterboxes);
  g_test_add_func("/sink/end, flush and states", vigie::EndFlushAndStates);
  g_test_add_func("/sink/four threads", vigie::FourThreads);
  g_test_add_func("/sink/taken by four", vigie::TakenByFour);
  g_test_add_func("/sink/found by number", vigie::FoundByNumber);
  g_test_add_func("/requests/of a pipeline", vigie::RequestsOfAPipeline);
  return g_test_run();
}

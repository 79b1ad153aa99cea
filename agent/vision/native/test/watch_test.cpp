/** Tests which pictures of a sink are wanted, and what motion is seen in them. */
#include <atomic>
#include <cstring>
#include <limits>
#include <thread>

#include "../gst/picturesink.h"
#include "../gst/plugin.h"
#include "harness.h"

namespace vigie {
namespace {

constexpr Format kFormat = {GST_VIDEO_FORMAT_I420, 64, 48};
constexpr int kColumns = 16, kCells = kColumns * 12;
constexpr double kNever = std::numeric_limits<double>::infinity();

/** Wants no picture but for unknown motion. */
Terms Nothing() {
  return {GST_CLOCK_TIME_NONE, kNever, GST_CLOCK_TIME_NONE, false, {}};
}

Terms Everything() {
  Terms terms = Nothing();
  terms.from_ms = -kNever;
  return terms;
}

/** A grey street in which a bright square may stand, for a sink with one scene. */
class Street : public Harness {
 public:
  Street() : Harness("picturesink", nullptr) {
    g_object_set(element(), "sync", FALSE, nullptr);
    gst_harness_set_src_caps(get(), CapsOf(InfoOf(kFormat)).release());
  }

  /** Shows a picture; a square of 16 px lies at `left`, none below 0. */
  void Show(int ms, int left, int level = 200, guint64 order = GST_BUFFER_OFFSET_NONE) {
    BufferOwner buffer = PictureOf(kFormat, 0);
    {
      MappedFrame frame(InfoOf(kFormat), buffer.get(), GST_MAP_WRITE);
      auto* luma = static_cast<uint8_t*>(GST_VIDEO_FRAME_PLANE_DATA(frame.get(), 0));
      const int stride = GST_VIDEO_FRAME_PLANE_STRIDE(frame.get(), 0);
      for (int y = 0; y < kFormat.height; y++) {
        std::memset(luma + y * stride, 90, kFormat.width);
        if (left >= 0 && y >= 16 && y < 32) std::memset(luma + y * stride + left, level, 16);
      }
    }
    GST_BUFFER_PTS(buffer.get()) = ms * GST_MSECOND;
    GST_BUFFER_OFFSET(buffer.get()) = order;
    g_assert_cmpint(gst_harness_push(get(), buffer.release()), ==, GST_FLOW_OK);
  }

  Look Take(const Terms& terms = Everything()) { return TakeWanted(element(), terms, 0); }

  /** Begins the scene with the picture of a time, watched everywhere; black cells are not read. */
  Motion Begin(int ms, std::vector<uint8_t> is_black = std::vector<uint8_t>(kCells), double slow_every_ms = 0) {
    Show(ms, -1);
    const Look look = Take(Nothing());
    g_assert_nonnull(look.picture.get());
    g_assert_true(look.seen.empty());
    return BeginScene(element(),
                      {{kFormat.width, kFormat.height},
                       {},
                       {kColumns, 4, std::move(is_black)},
                       std::vector<uint8_t>(kCells, 1),
                       slow_every_ms,
                       1000.0 + ms},
                      *look.picture);
  }

  /** Motion in the next picture. */
  Motion MotionAt(int ms, int left, int level = 200, const Terms& terms = Everything()) {
    Show(ms, left, level);
    const Look look = Take(terms);
    g_assert_nonnull(look.picture.get());
    return look.seen.back().motion;
  }

  guint64 replaced() {
    guint64 replaced = 0;
    g_object_get(element(), "replaced", &replaced, nullptr);
    return replaced;
  }
};

void WaitsForItsTime() {
  Street street;
  g_assert_true(street.Begin(0).is_any);
  for (int ms = 100; ms <= 1000; ms += 100) street.Show(ms, -1);
  Terms terms = Nothing();
  terms.from_ms = 1700;
  const Look look = street.Take(terms);
  g_assert_cmpuint(look.picture->pts(), ==, 700 * GST_MSECOND);
  g_assert_cmpuint(look.seen.size(), ==, 7);
  g_assert_cmpuint(look.seen.front().pts, ==, 100 * GST_MSECOND);
  g_assert_false(look.seen.back().motion.is_any);
  // The nearest picture to a mark, the earlier of two.
  terms = Nothing();
  terms.mark = 850 * GST_MSECOND;
  g_assert_cmpuint(street.Take(terms).picture->pts(), ==, 800 * GST_MSECOND);
  // Those that were looked at come with the next one, or at the end of the stream, and never twice.
  g_assert_null(street.Take(Nothing()).picture.get());
  gst_harness_push_event(street.get(), gst_event_new_eos());
  const Look end = TakeWanted(street.element(), Nothing(), GST_CLOCK_TIME_NONE);
  g_assert_null(end.picture.get());
  g_assert_cmpuint(end.seen.size(), ==, 2);
  g_assert_true(TakeWanted(street.element(), Nothing(), GST_CLOCK_TIME_NONE).seen.empty());
}

void WakesForMotion() {
  Street street;
  street.Begin(0);
  Terms on_motion = Nothing();
  on_motion.on_motion = true;
  street.Show(100, -1);
  street.Show(1200, 8);
  Look look = street.Take(on_motion);
  g_assert_cmpuint(look.picture->pts(), ==, 1200 * GST_MSECOND);
  g_assert_true(look.seen.back().motion.is_unknown);
  // In a known box it is motion, and known.
  Terms known = Nothing();
  known.known.push_back({0, 0.2, 1, 0.8});
  street.Show(2400, 24);
  g_assert_null(street.Take(known).picture.get());
  known.on_motion = true;
  street.Show(2500, 28);
  look = street.Take(known);
  g_assert_cmpuint(look.seen.size(), ==, 2);
  for (const Seen& seen : look.seen) g_assert_true(seen.motion.is_any && !seen.motion.is_unknown);
  // Cells that moved a moment ago do not begin to move; a second later they do.
  g_assert_false(street.MotionAt(2600, 24).is_unknown);
  g_assert_true(street.MotionAt(3700, 28).is_unknown);
}

void MasksAndLight() {
  Street masked;
  masked.Begin(0, std::vector<uint8_t>(kCells, 1));
  g_assert_false(masked.MotionAt(1200, 8).is_any);
  // The square grows brighter by less than an edge that a person would see, then by more.
  Street street;
  street.Begin(0);
  street.MotionAt(100, 8, 100);
  for (int ms = 200; ms < 2000; ms += 100) street.MotionAt(ms, 8, 100);
  g_assert_false(street.MotionAt(2000, 8, 105).is_any);
  g_assert_true(street.MotionAt(2100, 8, 130).is_any);
}

void SlowMotionAddsUp() {
  for (const double slow_every_ms : {0.0, 1000.0}) {
    Street street;
    street.Begin(0, std::vector<uint8_t>(kCells), slow_every_ms);
    bool has_moved = false;
    for (int n = 1; n < 40; n++) {
      const bool is_any = street.MotionAt(n * 100, 8, 90 + (n < 20 ? 0 : n - 20)).is_any;
      if (n < 20) g_assert_false(is_any);
      has_moved |= is_any;
    }
    g_assert_true(has_moved == (slow_every_ms > 0));
  }
}

void TimesAndNumbers() {
  Street street;
  street.Begin(0);
  Terms spaced = Everything();
  spaced.spacing = 50 * GST_MSECOND;
  street.Show(40, -1, 0, 0);
  g_assert_null(street.Take(spaced).picture.get());
  street.Show(60, -1, 0, 1);
  g_assert_cmpuint(street.Take(spaced).picture->pts(), ==, 60 * GST_MSECOND);
  // Times that run backwards, and none.
  street.Show(30, -1, 0, 2);
  BufferOwner timeless = PictureOf(kFormat, 0);
  GST_BUFFER_PTS(timeless.get()) = GST_CLOCK_TIME_NONE;
  GST_BUFFER_OFFSET(timeless.get()) = 3;
  gst_harness_push(street.get(), timeless.release());
  g_assert_null(street.Take().picture.get());
  g_assert_cmpuint(street.replaced(), ==, 0);
  street.Show(200, -1, 0, 7);
  g_assert_nonnull(street.Take().picture.get());
  g_assert_cmpuint(street.replaced(), ==, 3);
  // Pictures without a number replace none, and say nothing of those around them.
  street.Show(300, -1);
  street.Show(400, -1, 0, 100);
  g_assert_nonnull(street.Take().picture.get());
  g_assert_nonnull(street.Take().picture.get());
  g_assert_cmpuint(street.replaced(), ==, 3);
}

void OpeningsAndShapes() {
  Street street;
  street.Begin(0);
  street.Show(100, -1);
  // Another shape is wanted whatever the terms, behind the ones before it.
  const Format wide = {GST_VIDEO_FORMAT_NV12, 96, 48};
  gst_harness_set_src_caps(street.get(), CapsOf(InfoOf(wide)).release());
  gst_harness_push(street.get(), PictureOf(wide, 200).release());
  Look look = street.Take(Nothing());
  g_assert_cmpint(look.picture->info().width, ==, 96);
  g_assert_cmpuint(look.seen.size(), ==, 1);
  // A scene that does not fit is refused, and leaves none.
  const auto begin = [&](CellGrid grid, size_t watched) {
    return BeginScene(street.element(), {{48, 24}, {}, std::move(grid), std::vector<uint8_t>(watched), 0, 0},
                      *look.picture);
  };
  const std::vector<uint8_t> cells(12 * 6);
  ASSERT_ERROR(begin({12, 4, cells}, 5), "each cell is watched or not");
  ASSERT_ERROR(begin({0, 4, cells}, 72), "complete rows");
  ASSERT_ERROR(begin({7, 4, cells}, 72), "complete rows");
  ASSERT_ERROR(begin({12, 5, cells}, 72), "do not lie within");
  ASSERT_ERROR(begin({12, std::numeric_limits<int>::max(), cells}, 72), "do not lie within");
  gst_harness_push(street.get(), PictureOf(wide, 250).release());
  g_assert_true(street.Take(Nothing()).seen.empty());
  g_assert_true(begin({12, 4, cells}, 72).is_any);
  gst_harness_push(street.get(), PictureOf(wide, 300).release());
  g_assert_null(street.Take(Nothing()).picture.get());
  // A new opening begins with a picture that is wanted, whatever its time.
  gst_element_set_state(street.element(), GST_STATE_NULL);
  gst_element_set_state(street.element(), GST_STATE_PLAYING);
  GstSegment segment;
  gst_segment_init(&segment, GST_FORMAT_TIME);
  gst_harness_push_event(street.get(), gst_event_new_stream_start("again"));
  gst_harness_push_event(street.get(), gst_event_new_caps(CapsOf(InfoOf(kFormat)).get()));
  gst_harness_push_event(street.get(), gst_event_new_segment(&segment));
  street.Show(50, -1);
  look = street.Take(Nothing());
  g_assert_cmpuint(look.picture->pts(), ==, 50 * GST_MSECOND);
  g_assert_true(look.seen.empty());
}

/** Each picture is looked at once, whoever takes it. */
void TakenByFour() {
  Street street;
  street.Begin(0);
  std::atomic<size_t> seen = 0, taken = 0;
  std::vector<std::thread> threads;
  for (int number = 0; number < 4; number++)
    threads.emplace_back([&] {
      Terms terms = Nothing();
      for (;; terms.from_ms += 30) {
        if (terms.from_ms == kNever) terms.from_ms = 0;
        const Look look = TakeWanted(street.element(), terms, GST_CLOCK_TIME_NONE);
        seen += look.seen.size();
        if (!look.picture) return;
        taken++;
      }
    });
  for (int n = 1; n <= 200; n++) street.Show(10 * n, n % 7 == 0 ? 8 : -1);
  gst_harness_push_event(street.get(), gst_event_new_eos());
  for (std::thread& thread : threads) thread.join();
  g_assert_cmpuint(taken, <=, seen);
  // A later picture that another thread took first makes an earlier one too old.
  g_assert_cmpuint(seen, <=, 200);
  g_assert_cmpuint(seen, >, 0);
}

}  // namespace
}  // namespace vigie

int main(int argc, char** argv) {
  gst_init(&argc, &argv);
  g_test_init(&argc, &argv, nullptr);
  vigie::RegisterElements();
  g_test_add_func("/watch/waits for its time", vigie::WaitsForItsTime);
  g_test_add_func("/watch/wakes for motion", vigie::WakesForMotion);
  g_test_add_func("/watch/masks and light", vigie::MasksAndLight);
  g_test_add_func("/watch/slow motion adds up", vigie::SlowMotionAddsUp);
  g_test_add_func("/watch/times and numbers", vigie::TimesAndNumbers);
  g_test_add_func("/watch/openings and shapes", vigie::OpeningsAndShapes);
  g_test_add_func("/watch/taken by four", vigie::TakenByFour);
  return g_test_run();
}

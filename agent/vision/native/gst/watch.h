/** Looks at each picture of a sink for motion, and tells which one the application must see. */
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "motion.h"
#include "picture.h"

namespace vigie {

struct Motion {
  /** Motion anywhere. */
  bool is_any;
  /** Motion in a watched cell that was still, outside of all known boxes. */
  bool is_unknown;
};

/** What is seen of pictures of one shape. */
struct Scene {
  /** Size of the grey picture in which cells are read. */
  Size size;
  /** Pixels of it that are black. */
  std::vector<int32_t> black;
  /** Without cells no motion is seen, and every picture is wanted. */
  CellGrid grid;
  /** 1 for each cell at or near a place that a rule watches. */
  std::vector<uint8_t> is_watched;
  /** Interval in ms at which a picture is also compared with the one before that; 0 for never. */
  double slow_every_ms;
  /** Media time of its first picture. */
  double first_ms;
};

/** Conditions under which a picture is wanted; motion of an unknown object is one in any case. */
struct Terms {
  /** Shortest time after the picture before; nearer ones are left out. GST_CLOCK_TIME_NONE for none. */
  GstClockTime spacing;
  /** Media time in ms. */
  double from_ms;
  /** Time stamp to which the picture must be nearer than the next one; GST_CLOCK_TIME_NONE for none. */
  GstClockTime mark;
  bool on_motion;
  /** Boxes of known objects: left, top, right, bottom, as ratios of width and height. */
  std::vector<std::array<double, 4>> known;
};

/** Picture that was looked at. */
struct Seen {
  GstClockTime pts;
  Motion motion;
};

/** All methods may be called in several threads. */
class Watch {
 public:
  /** Begins a new opening, whose time stamps are unrelated. The next picture is wanted. */
  void Reopen();

  /**
   * Sets the scene of the picture that was wanted last, and looks at it. Its past is unknown, which counts as
   * motion.
   * @throws std::invalid_argument if numbers of the scene do not fit each other
   */
  Motion Begin(Scene scene, const Picture& picture);

  /** Takes the next picture. Returns true if it is wanted, or of another shape than the scene's. */
  bool Wants(const Picture& picture, const Terms& terms);

  /** Returns the pictures looked at since the last call, the wanted one last. */
  std::vector<Seen> TakeSeen();

  /** Number of pictures that were replaced by newer ones before anyone took them. */
  uint64_t dropped();

 private:
  Motion Look(const Picture& picture, const Terms& terms, double at_ms);
  void CountDropped(guint64 order);

  std::mutex mutex_;
  std::optional<Scene> scene_;
  /** Size as coded and pixel aspect ratio of the scene's pictures, and time stamp of the first one. */
  std::array<int, 4> shape_ = {};
  GstClockTime first_pts_ = 0;
  std::vector<uint8_t> grey_;
  std::optional<CellChanges> quick_, slow_;
  /** Media time of the last change, by cell. */
  std::vector<double> changed_ms_;
  double slow_ms_ = 0;
  std::optional<GstClockTime> last_pts_;
  std::vector<Seen> seen_;
  std::optional<guint64> next_order_ = 0;
  uint64_t dropped_ = 0;
};

}  // namespace vigie

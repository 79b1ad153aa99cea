#include "watch.h"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <utility>

namespace vigie {
namespace {

/** Time without a change after which one is a beginning, in ms; shorter is the stride of a person who walks by. */
constexpr double kStillMs = 1000;
/** Greatest number of pictures that are remembered while none is wanted: a minute of 15 a second. */
constexpr size_t kSeenMax = 900;

std::array<int, 4> ShapeOf(const Picture& picture) {
  const GstVideoInfo& info = picture.info();
  return {info.width, info.height, info.par_n, info.par_d};
}

}  // namespace

void Watch::Reopen() {
  const std::lock_guard lock(mutex_);
  scene_.reset();
  last_pts_.reset();
  seen_.clear();
  next_order_ = 0;
}

Motion Watch::Begin(Scene scene, const Picture& picture) {
  const std::lock_guard lock(mutex_);
  const size_t cells = scene.grid.is_black.size();
  if (scene.is_watched.size() != cells) throw std::invalid_argument("each cell is watched or not");
  scene_.reset();
  quick_.reset();
  slow_.reset();
  if (cells > 0) {
    quick_.emplace(scene.grid);
    if (scene.slow_every_ms > 0) slow_.emplace(scene.grid);
  }
  changed_ms_.assign(cells, -std::numeric_limits<double>::infinity());
  slow_ms_ = -std::numeric_limits<double>::infinity();
  grey_.resize(cells > 0 ? static_cast<size_t>(scene.size.width) * scene.size.height : 0);
  shape_ = ShapeOf(picture);
  first_pts_ = picture.pts();
  const double at_ms = scene.first_ms;
  scene_ = std::move(scene);
  try {
    return Look(picture, {}, at_ms);
  } catch (...) {
    scene_.reset();
    throw;
  }
}

bool Watch::Wants(const Picture& picture, const Terms& terms) {
  const std::lock_guard lock(mutex_);
  CountDropped(picture.order());
  const GstClockTime pts = picture.pts();
  if (!GST_CLOCK_TIME_IS_VALID(pts)) return false;
  const GstClockTime spacing = GST_CLOCK_TIME_IS_VALID(terms.spacing) ? terms.spacing : 0;
  if (last_pts_ && (pts < *last_pts_ || pts - *last_pts_ < spacing)) return false;
  const GstClockTime gap = last_pts_ ? pts - *last_pts_ : 0;
  last_pts_ = pts;
  if (!scene_ || shape_ != ShapeOf(picture)) {
    scene_.reset();
    return true;
  }
  const double at_ms = scene_->first_ms + static_cast<double>(pts - first_pts_) / 1e6;
  const Motion motion = Look(picture, terms, at_ms);
  seen_.push_back({pts, motion});
  return !quick_ || motion.is_unknown || (motion.is_any && terms.on_motion) || at_ms >= terms.from_ms ||
         (GST_CLOCK_TIME_IS_VALID(terms.mark) && pts + gap / 2 >= terms.mark) || seen_.size() >= kSeenMax;
}

Motion Watch::Look(const Picture& picture, const Terms& terms, double at_ms) {
  if (!quick_) return {};
  const auto [width, height] = scene_->size;
  picture.WriteGrey({grey_.data(), grey_.size()}, scene_->size, {scene_->black.data(), scene_->black.size()});
  const CellSource source = {{grey_.data(), grey_.size()}, 0, static_cast<size_t>(width), 1, false};
  quick_->Read(source);
  Motion motion = {quick_->Compare(), false};
  const auto is_known = [&](size_t cell) {
    const double x = quick_->CentreX(cell) / width, y = quick_->CentreY(cell) / height;
    return std::any_of(terms.known.begin(), terms.known.end(), [&](const std::array<double, 4>& box) {
      return x >= box[0] && x <= box[2] && y >= box[1] && y <= box[3];
    });
  };
  for (size_t cell = 0; cell < quick_->size(); cell++) {
    if (!quick_->HasChanged(cell)) continue;
    const bool was_still = at_ms - changed_ms_[cell] >= kStillMs;
    changed_ms_[cell] = at_ms;
    if (was_still && !motion.is_unknown && scene_->is_watched[cell] && quick_->HasChangedWithNeighbour(cell))
      motion.is_unknown = !is_known(cell);
  }
  quick_->Keep();
  if (slow_ && at_ms - slow_ms_ >= scene_->slow_every_ms) {
    slow_ms_ = at_ms;
    slow_->Read(source);
    motion.is_any |= slow_->Compare();
    slow_->Keep();
  }
  return motion;
}

/** In key-frame mode pictures have no number, and none is replaced. */
void Watch::CountDropped(guint64 order) {
  const bool has_number = order != GST_BUFFER_OFFSET_NONE;
  if (has_number && next_order_ && order > *next_order_) dropped_ += order - *next_order_;
  next_order_ = has_number ? std::optional(order + 1) : std::nullopt;
}

std::vector<Seen> Watch::TakeSeen() {
  const std::lock_guard lock(mutex_);
  return std::exchange(seen_, {});
}

uint64_t Watch::dropped() {
  const std::lock_guard lock(mutex_);
  return dropped_;
}

}  // namespace vigie

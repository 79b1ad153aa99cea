#include "motion.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace vigie {
namespace {

/**
 * Minimum difference in levels: the contrast at which a person begins to see an edge (3 %, Weber). A grey
 * coat on grey stone differs by 10.
 */
constexpr double kLevelsMin = 8;
/**
 * Level from which the full minimum applies, a quarter of the scale, and the lowest minimum. In the dark the
 * same contrast is fewer levels, so the minimum falls in proportion to the level. Its lower bound is the
 * difference of two means of eight pixels after a codec's rounding.
 */
constexpr double kFullFrom = 64;
constexpr double kLevelsDarkMin = 3;
/**
 * Multiple of the noise from which a difference is motion. In a still place, nine of ten pictures differ by
 * no more than the noise.
 */
constexpr double kNoiseTimes = 2.5;
/**
 * Maximum noise, in levels. Low bit rates leave a place for a second and then correct it by that much; more
 * is endless motion.
 */
constexpr double kNoiseMax = 8;
/** Step per picture by which the 90th percentile is followed upwards; a ninth of it downwards. */
constexpr double kNoiseStep = 0.36;
/** One cell in eight tells by how much the complete picture has become brighter. */
constexpr size_t kShiftEvery = 8;

/** Levels from which a cell has changed, by its level before and its noise without motion. */
double ChangeFrom(double level, double noise) {
  const double least = std::min(kLevelsMin, kLevelsMin * level / kFullFrom);
  return std::max({kLevelsDarkMin, least, kNoiseTimes * noise});
}

/** Noise of a cell that has differed by this number of levels. */
double NoiseAfter(double noise, double by) {
  return by > noise ? std::min(kNoiseMax, noise + kNoiseStep) : std::max(0.0, noise - kNoiseStep / 9);
}

}  // namespace

CellChanges::CellChanges(CellGrid grid)
    : grid_(std::move(grid)), now_(size()), reference_(size()), noise_(size(), 1), changed_(size()) {
  if (grid_.columns <= 0 || grid_.side <= 0 || size() == 0 || size() % columns() != 0)
    throw std::invalid_argument("these are no complete rows of cells");
  shifts_.reserve(size() / kShiftEvery + 1);
}

void CellChanges::Read(const CellSource& source) {
  const int side = grid_.side;
  const int step = source.is_sparse ? 2 : 1;
  const double scale = 1.0 / std::ceil(static_cast<double>(side) * side / step);
  const size_t width = columns() * side, height = size() / columns() * side;
  const size_t last = source.first + (height - 1) * source.stride + (width - 1) * source.pixel_step;
  if (last >= source.bytes.length) throw std::invalid_argument("the cells do not lie within the picture");
  for (size_t cell = 0; cell < size(); cell++) {
    if (grid_.is_black[cell]) continue;
    const size_t top = cell / columns() * side;
    const size_t left = cell % columns() * side;
    const uint8_t* row = source.bytes.data + source.first + top * source.stride + left * source.pixel_step;
    unsigned sum = 0;
    for (int y = 0; y < side; y++, row += source.stride)
      for (int x = source.is_sparse ? y & 1 : 0; x < side; x += step) sum += row[x * source.pixel_step];
    now_[cell] = static_cast<float>(sum * scale);
  }
}

bool CellChanges::Compare() {
  if (!has_reference_) return true;
  bool has_moved = false;
  const double shift = Shift();
  for (size_t cell = 0; cell < size(); cell++) {
    changed_[cell] = 0;
    if (grid_.is_black[cell]) continue;
    const double by = std::abs(static_cast<double>(now_[cell]) - static_cast<double>(reference_[cell]) - shift);
    const double noise = noise_[cell];
    noise_[cell] = static_cast<float>(NoiseAfter(noise, by));
    changed_[cell] = by >= ChangeFrom(reference_[cell], noise);
    has_moved |= HasChangedWithNeighbour(cell);
  }
  return has_moved;
}

/** Median over the cells that are read. */
double CellChanges::Shift() {
  shifts_.clear();
  for (size_t cell = 0; cell < size(); cell += kShiftEvery)
    if (!grid_.is_black[cell])
      shifts_.push_back(static_cast<float>(static_cast<double>(now_[cell]) - static_cast<double>(reference_[cell])));
  if (shifts_.empty()) return 0;
  const auto middle = shifts_.begin() + static_cast<std::ptrdiff_t>(shifts_.size() / 2);
  std::nth_element(shifts_.begin(), middle, shifts_.end());
  return *middle;
}

bool CellChanges::HasChangedWithNeighbour(size_t cell) const {
  if (!changed_[cell]) return false;
  return (cell % columns() != 0 && changed_[cell - 1]) || (cell >= columns() && changed_[cell - columns()]);
}

}  // namespace vigie

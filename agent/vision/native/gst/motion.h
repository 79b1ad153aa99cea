/** Motion in a picture, by cells of pixels (docs/design/015-load.md). */
#pragma once

#include <cstdint>
#include <vector>

#include "view.h"

namespace vigie {

/** Bytes of a picture in which cells are read: from the first one on, one byte a pixel. */
struct CellSource {
  View<const uint8_t> bytes;
  size_t first;
  size_t stride;
  size_t pixel_step;
  /** Reads every second pixel, as on a chessboard: neighbours in an enlarged picture are nearly equal. */
  bool is_sparse;
};

/** Cells of a picture, in rows. Those of a black part are never read. */
struct CellGrid {
  int columns;
  int side;
  std::vector<uint8_t> is_black;
};

/**
 * Change of each cell since a reference. A cell has changed if it differs by more than its own noise
 * explains. Low bit rates and trees in the wind raise that noise; occasional passers-by do not. A change of
 * the complete picture's brightness is subtracted.
 */
class CellChanges {
 public:
  /** @throws std::invalid_argument if these are no complete rows of cells */
  explicit CellChanges(CellGrid grid);

  size_t size() const { return grid_.is_black.size(); }
  size_t columns() const { return static_cast<size_t>(grid_.columns); }
  /** Centre of a cell, in pixels from the left and the top. */
  double CentreX(size_t cell) const { return (static_cast<double>(cell % columns()) + 0.5) * grid_.side; }
  double CentreY(size_t cell) const { return (static_cast<double>(cell / columns()) + 0.5) * grid_.side; }

  /** Reads the mean of each cell. @throws std::invalid_argument if the cells do not lie within the bytes */
  void Read(const CellSource& source);
  /**
   * Compares what was read last with the reference, and adapts the noise. Returns true if a cell has changed
   * with one beside or above it, or if there is no reference.
   */
  bool Compare();
  /** Takes what was read last as the reference. */
  void Keep() {
    reference_ = now_;
    has_reference_ = true;
  }

  /** True if the last comparison found the cell changed. */
  bool HasChanged(size_t cell) const { return changed_[cell] != 0; }
  /** True if the one before or above it has changed too; a single one is a flicker. */
  bool HasChangedWithNeighbour(size_t cell) const;

 private:
  double Shift();

  const CellGrid grid_;
  std::vector<float> now_, reference_, noise_, shifts_;
  std::vector<uint8_t> changed_;
  bool has_reference_ = false;
};

}  // namespace vigie

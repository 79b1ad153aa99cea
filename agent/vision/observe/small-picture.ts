/**
 * Small picture in which static regions are searched: means of square cells of the detector's input, in three planes.
 * Averaging makes sensor and codec noise small compared with the contrast of a bag. The detector's input is used
 * because it exists anyway.
 *
 * LIMITS: at most `cellsMax` cells whatever the input's size, so the cost of a frame is bounded.
 */
import { type Placement, placementOf } from '../../contract/letterbox.ts';
import { isMasked } from '../../contract/masked.ts';
import type { Frame } from '../../contract/picture.ts';
import { isInside, type Polygon } from '../../contract/plane.ts';

/**
 * Maximum number of cells. The smallest object that a dumping rule takes by default (0.0005 of the frame) then covers
 * six cells, enough for an inside and an outline.
 */
const CELLS_MAX = 12_000;
/** Margin around a zone, in cells: the ground beside an object at the zone's border. */
const MARGIN_CELLS = 4;

type Shape = Pick<Frame, 'source' | 'input' | 'masked'>;

/** Grid of the cells over the picture, without the letterbox's borders. */
export interface Grid {
  readonly columns: number;
  readonly rows: number;
  /** Side of a cell in pixels of the detector's input. */
  readonly cellPx: number;
  readonly placement: Placement;
  /** Pixels of the source frame per cell. */
  readonly sourcePxPerCell: readonly [number, number];
  /** Ratio of the frame that one cell covers. */
  readonly cellNorm: number;
  /** Indices of the cells in use, ascending: in or beside a zone, and not touched by a mask. */
  readonly usedCells: Int32Array;
}

export class SmallPicture {
  readonly grid: Grid;
  /** Means of the cells in use, 0..255. */
  readonly red: Float32Array;
  readonly green: Float32Array;
  readonly blue: Float32Array;
  /** Index in `rgb` of the first byte of each cell in use. */
  readonly #offsets: Int32Array;
  readonly #stride: number;

  constructor(shape: Shape, zones: readonly Polygon[], cellsMax = CELLS_MAX) {
    this.grid = gridOf(shape, zones, cellsMax);
    const { columns, rows, cellPx, placement, usedCells } = this.grid;
    const cells = columns * rows;
    this.red = new Float32Array(cells);
    this.green = new Float32Array(cells);
    this.blue = new Float32Array(cells);
    this.#stride = shape.input.widthPx * 3;
    this.#offsets = usedCells.map((cell) => {
      const x = placement.leftPx + (cell % columns) * cellPx;
      const y = placement.topPx + Math.floor(cell / columns) * cellPx;
      return y * this.#stride + x * 3;
    });
  }

  /** Reads the means of a frame of the initial size. */
  read({ rgb }: Frame): void {
    const { cellPx, usedCells } = this.grid;
    const { red, green, blue } = this;
    const offsets = this.#offsets;
    const stride = this.#stride;
    const rowBytes = cellPx * 3;
    // Every second pixel, as on a chessboard; neighbours in a scaled picture are nearly equal.
    const scale = 1 / Math.ceil((cellPx * cellPx) / 2);
    for (let k = 0; k < usedCells.length; k += 1) {
      let r = 0;
      let g = 0;
      let b = 0;
      let row = offsets[k] as number;
      for (let y = 0; y < cellPx; y += 1, row += stride) {
        const end = row + rowBytes;
        for (let at = (y & 1) === 0 ? row : row + 3; at < end; at += 6) {
          r += rgb[at] as number;
          g += rgb[at + 1] as number;
          b += rgb[at + 2] as number;
        }
      }
      const cell = usedCells[k] as number;
      red[cell] = r * scale;
      green[cell] = g * scale;
      blue[cell] = b * scale;
    }
  }
}

function gridOf(shape: Shape, zones: readonly Polygon[], cellsMax: number): Grid {
  const { source, input } = shape;
  const placement = placementOf(source, input);
  const cellPx = Math.max(1, Math.ceil(Math.sqrt((placement.widthPx * placement.heightPx) / cellsMax)));
  const columns = Math.floor(placement.widthPx / cellPx);
  const rows = Math.floor(placement.heightPx / cellPx);
  const wide = placement.widthPx / cellPx;
  const high = placement.heightPx / cellPx;
  const inZone = (x: number, y: number): boolean =>
    zones.some((polygon) => isInside(polygon, [x / wide, y / high]));
  const usedCells: number[] = [];
  const offsets = [-MARGIN_CELLS, 0, MARGIN_CELLS];
  for (let y = 0; y < rows; y += 1) {
    for (let x = 0; x < columns; x += 1) {
      const near = offsets.some((dy) => offsets.some((dx) => inZone(x + 0.5 + dx, y + 0.5 + dy)));
      const [left, top] = [placement.leftPx + x * cellPx, placement.topPx + y * cellPx];
      if (near && !isMasked(shape, left, top, cellPx, cellPx)) usedCells.push(y * columns + x);
    }
  }
  return {
    columns,
    rows,
    cellPx,
    placement,
    sourcePxPerCell: [source.widthPx / wide, source.heightPx / high],
    cellNorm: 1 / (wide * high),
    usedCells: Int32Array.from(usedCells),
  };
}

/**
 * Optimal assignment by shortest augmenting paths with dual variables: R. Jonker and A. Volgenant, "A shortest
 * augmenting path algorithm for dense and sparse linear assignment problems", Computing 38, 1987, without its start
 * heuristics. O(short² · long): a street scene has tens of rows, not thousands.
 */

/** Working memory for up to `side` rows and columns. */
class Room {
  readonly side: number;
  readonly cost: Float64Array;
  readonly rowDual: Float64Array;
  readonly columnDual: Float64Array;
  readonly distance: Float64Array;
  readonly columnBefore: Int32Array;
  readonly settled: Uint8Array;
  /** Column → row, and row → column. */
  readonly ownerOf: Int32Array;
  readonly columnOf: Int32Array;

  constructor(side: number) {
    this.side = side;
    this.cost = new Float64Array(side * side);
    this.rowDual = new Float64Array(side);
    this.columnDual = new Float64Array(side);
    this.distance = new Float64Array(side);
    this.columnBefore = new Int32Array(side);
    this.settled = new Uint8Array(side);
    this.ownerOf = new Int32Array(side);
    this.columnOf = new Int32Array(side);
  }
}

/** Shared by all calls and replaced by a larger one on demand: a frame takes five matchings. */
let room = new Room(32);

/**
 * Returns the matching of rows with columns whose sum of weights is largest: for each row its column, or −1. The result
 * is valid until the next call.
 *
 * `weights` is row-major, rows × columns, finite and ≥ 0; a pair of weight 0 is never matched.
 */
export function heaviestMatching(weights: Float64Array, rows: number, columns: number): Int32Array {
  const turned = rows > columns;
  const short = turned ? columns : rows;
  const long = turned ? rows : columns;
  if (room.side < long) room = new Room(2 * long);
  const { cost, ownerOf } = room;
  const columnOf = room.columnOf.subarray(0, rows).fill(-1);
  for (let s = 0; s < short; s += 1) {
    for (let l = 0; l < long; l += 1) {
      cost[s * long + l] = -(weights[turned ? l * columns + s : s * columns + l] as number);
    }
  }
  assignCheapest(room, short, long);
  for (let l = 0; l < long; l += 1) {
    const s = ownerOf[l] as number;
    if (s < 0 || cost[s * long + l] === 0) continue;
    if (turned) columnOf[l] = s;
    else columnOf[s] = l;
  }
  return columnOf;
}

/** Gives each of `rows` ≤ `columns` rows its own column at the least total cost: `ownerOf`, column → row or −1. */
function assignCheapest(
  { cost, rowDual, columnDual, ownerOf, distance, columnBefore, settled }: Room,
  rows: number,
  columns: number,
): void {
  rowDual.fill(0, 0, rows);
  columnDual.fill(0, 0, columns);
  ownerOf.fill(-1, 0, columns);
  for (let root = 0; root < rows; root += 1) {
    distance.fill(Number.POSITIVE_INFINITY, 0, columns);
    settled.fill(0, 0, columns);
    let row = root;
    let column = -1;
    let reached = 0;
    do {
      const from = column;
      let least = Number.POSITIVE_INFINITY;
      const base = reached - (rowDual[row] as number);
      for (let c = 0; c < columns; c += 1) {
        if (settled[c] === 1) continue;
        const pathCost = base + (cost[row * columns + c] as number) - (columnDual[c] as number);
        if (pathCost < (distance[c] as number)) {
          distance[c] = pathCost;
          columnBefore[c] = from;
        }
        if ((distance[c] as number) < least) {
          least = distance[c] as number;
          column = c;
        }
      }
      settled[column] = 1;
      reached = least;
      row = ownerOf[column] as number;
    } while (row >= 0);

    rowDual[root] = (rowDual[root] as number) + reached;
    for (let c = 0; c < columns; c += 1) {
      if (settled[c] === 0 || c === column) continue;
      const slack = reached - (distance[c] as number);
      const owner = ownerOf[c] as number;
      rowDual[owner] = (rowDual[owner] as number) + slack;
      columnDual[c] = (columnDual[c] as number) - slack;
    }
    while (column >= 0) {
      const before = columnBefore[column] as number;
      ownerOf[column] = before < 0 ? root : (ownerOf[before] as number);
      column = before;
    }
  }
}

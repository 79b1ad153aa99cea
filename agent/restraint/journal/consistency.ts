/**
 * Proves that a tree of `from` leaves is the beginning of a tree of `to` leaves (RFC 6962, section 2.1.2). The proof is
 * made from the tiles and checked without them (RFC 9162, section 2.1.4.2).
 */
import { completeRoot, nodeHash, TILE_WIDTH, type Tile } from './tree.ts';

const TILE_HEIGHT = 8;

/** Returns the hashes of the tile at this place, of at least the requested width. */
export type ReadTile = (level: number, index: number, width: number) => Tile['hashes'];

/** Returns the proof for a tree of `to` leaves whose tiles `read` returns; 0 ≤ `from` ≤ `to`. */
export function proveConsistency(from: number, to: number, read: ReadTile): Buffer[] {
  if (from === 0 || from === to) return [];
  return prove(from, 0, to, true, (start, end) => rootOf(start, end, to, read));
}

/** SUBPROOF of the RFC for the leaves from `start` to `end`. */
function prove(
  from: number,
  start: number,
  end: number,
  isComplete: boolean,
  root: (start: number, end: number) => Buffer,
): Buffer[] {
  if (from === end) return isComplete ? [] : [root(start, end)];
  const middle = start + splitOf(end - start);
  return from <= middle
    ? [...prove(from, start, middle, isComplete, root), root(middle, end)]
    : [...prove(from, middle, end, false, root), root(start, middle)];
}

/** Returns the largest power of two below `count`. */
function splitOf(count: number): number {
  let split = 1;
  while (split * 2 < count) split *= 2;
  return split;
}

function rootOf(start: number, end: number, size: number, read: ReadTile): Buffer {
  const count = end - start;
  const height = Math.log2(count);
  if (!Number.isInteger(height)) {
    const middle = start + splitOf(count);
    return nodeHash(rootOf(start, middle, size, read), rootOf(middle, end, size, read));
  }
  // A complete subtree lies in one tile.
  const level = Math.floor(height / TILE_HEIGHT);
  const width = 2 ** (height % TILE_HEIGHT);
  const first = start / TILE_WIDTH ** level;
  const index = Math.floor(first / TILE_WIDTH);
  const hashCount = Math.min(TILE_WIDTH, Math.floor(size / TILE_WIDTH ** level) - index * TILE_WIDTH);
  const at = first % TILE_WIDTH;
  return completeRoot(read(level, index, hashCount).slice(at, at + width));
}

interface Head {
  readonly size: number;
  readonly root: Buffer;
}

/** True if `newer` contains all of `older`, unchanged and in the same places. */
export function isConsistent(older: Head, newer: Head, proof: readonly Buffer[]): boolean {
  if (older.size > newer.size) return false;
  if (older.size === newer.size) return proof.length === 0 && older.root.equals(newer.root);
  if (older.size === 0) return proof.length === 0;
  const isPower = Number.isInteger(Math.log2(older.size));
  const path = isPower ? [older.root, ...proof] : [...proof];
  // Sizes beyond 2^31 do not fit the 32-bit operators.
  let [fn, sn] = [BigInt(older.size - 1), BigInt(newer.size - 1)];
  while ((fn & 1n) === 1n) [fn, sn] = [fn >> 1n, sn >> 1n];
  let [fr, sr] = [path[0], path[0]];
  for (const hash of path.slice(1)) {
    if (sn === 0n || fr === undefined || sr === undefined) return false;
    if ((fn & 1n) === 1n || fn === sn) {
      [fr, sr] = [nodeHash(hash, fr), nodeHash(hash, sr)];
      while ((fn & 1n) === 0n && fn !== 0n) [fn, sn] = [fn >> 1n, sn >> 1n];
    } else {
      sr = nodeHash(sr, hash);
    }
    [fn, sn] = [fn >> 1n, sn >> 1n];
  }
  return sn === 0n && fr?.equals(older.root) === true && sr?.equals(newer.root) === true;
}

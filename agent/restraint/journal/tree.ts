/**
 * Merkle tree of RFC 6962, section 2.1, stored as tiles of 256 hashes (c2sp.org/tlog-tiles). A tile of level L holds
 * the roots of complete subtrees of 256^L leaves. Only tiles that are not full are in memory.
 */
import { createHash } from 'node:crypto';

export const TILE_WIDTH = 256;

export interface Tile {
  readonly level: number;
  readonly index: number;
  /** TILE_WIDTH hashes, fewer in a partial tile. */
  readonly hashes: readonly Buffer[];
}

export function sha256(...parts: readonly Uint8Array[]): Buffer {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
}

const LEAF = Buffer.of(0);
const NODE = Buffer.of(1);

export const leafHash = (entry: Uint8Array): Buffer => sha256(LEAF, entry);
export const nodeHash = (left: Buffer, right: Buffer): Buffer => sha256(NODE, left, right);

/** Returns the root of a complete subtree; the number of `hashes` is a power of two. */
export function completeRoot(hashes: readonly Buffer[]): Buffer {
  let row = hashes;
  while (row.length > 1) {
    const above: Buffer[] = [];
    for (let i = 0; i < row.length; i += 2) above.push(nodeHash(row[i] as Buffer, row[i + 1] as Buffer));
    row = above;
  }
  return row[0] as Buffer;
}

export class Tree {
  #size: number;
  /** Content of the partial tile of each level. */
  readonly #edges: Buffer[][];

  constructor(size = 0, edges: readonly (readonly Buffer[])[] = []) {
    this.#size = size;
    this.#edges = edges.map((hashes) => [...hashes]);
  }

  get size(): number {
    return this.#size;
  }

  copy(): Tree {
    return new Tree(this.#size, this.#edges);
  }

  /** Adds a leaf and returns the tiles that are full now. */
  add(leaf: Buffer): Tile[] {
    const full: Tile[] = [];
    this.#size += 1;
    let hash = leaf;
    for (let level = 0; ; level += 1) {
      const edge = this.#edges[level] ?? [];
      this.#edges[level] = edge;
      edge.push(hash);
      if (edge.length < TILE_WIDTH) return full;
      full.push({ level, index: tileCount(this.#size, level) - 1, hashes: edge });
      hash = completeRoot(edge);
      this.#edges[level] = [];
    }
  }

  /** Returns the partial tiles, lowest level first. */
  partialTiles(): Tile[] {
    return this.#edges.flatMap((hashes, level) =>
      hashes.length === 0 ? [] : [{ level, index: tileCount(this.#size, level), hashes }],
    );
  }

  root(): Buffer {
    // Complete subtrees that the leaves form, from the largest to the smallest.
    const subtrees: Buffer[] = [];
    for (const hashes of [...this.#edges].reverse()) {
      let offset = 0;
      for (let width = TILE_WIDTH / 2; width >= 1; width /= 2) {
        if ((hashes.length & width) === 0) continue;
        subtrees.push(completeRoot(hashes.slice(offset, offset + width)));
        offset += width;
      }
    }
    const last = subtrees.pop();
    if (last === undefined) return sha256();
    return subtrees.reduceRight((right, left) => nodeHash(left, right), last);
  }
}

/** Returns the number of full tiles of a level in a tree of `size` leaves. */
function tileCount(size: number, level: number): number {
  return Math.floor(size / TILE_WIDTH ** (level + 1));
}

/** Returns the places of the partial tiles of a tree of `size` leaves, without their hashes. */
export function partialPlaces(size: number): { level: number; index: number; width: number }[] {
  const places: { level: number; index: number; width: number }[] = [];
  for (let level = 0; size >= TILE_WIDTH ** level; level += 1) {
    const width = Math.floor(size / TILE_WIDTH ** level) % TILE_WIDTH;
    places.push({ level, index: tileCount(size, level), width });
  }
  return places;
}

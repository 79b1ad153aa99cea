/** A copy of the fleet's store that is put back in a later wave, as from a backup of yesterday. */

import type { KeyObject } from 'node:crypto';
import { copyFileSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { witnessesOf, writeMerged } from '../rollout/adoption.ts';
import type { Controller } from '../rollout/controller.ts';
import { merge } from '../rollout/merge.ts';
import { type FleetStore, STORE_FILE } from '../store.ts';

/** The disk of the store is lost, and an older copy is put in its place. */
export class StoreLost extends Error {}

export class OldCopy {
  readonly #store: string;
  readonly #copy: string;
  readonly #wave: number | undefined;
  #copied: number | undefined;
  #isOver = false;

  /** `wave`: the copy of before the wave before is put back when this one has its orders; undefined: none is. */
  constructor(dir: string, wave: number | undefined) {
    this.#store = join(dir, STORE_FILE);
    this.#copy = join(dir, 'yesterday.db');
    this.#wave = wave;
  }

  /** To be called before and after orders go out. Throws StoreLost where the wave has come. */
  published(when: 'before' | 'after', wave: number | undefined, store: FleetStore): void {
    if (this.#wave === undefined || wave === undefined || this.#isOver) return;
    if (when === 'before' && wave < this.#wave && wave !== this.#copied) {
      // A wave may be empty in a small fleet: the copy is of before the last one that had orders.
      rmSync(this.#copy, { force: true });
      store.db.prepare('VACUUM INTO ?').run(this.#copy);
      this.#copied = wave;
    }
    if (when === 'before' || wave !== this.#wave || !existsSync(this.#copy)) return;
    this.#isOver = true;
    throw new StoreLost('the store is lost');
  }

  /** The store is closed. */
  putBack(): void {
    for (const end of ['-wal', '-shm']) rmSync(`${this.#store}${end}`, { force: true });
    copyFileSync(this.#copy, this.#store);
  }
}

/** As `fleet rollout adopt`, with nobody to ask. */
export async function takeOver(
  controller: Controller,
  store: FleetStore,
  { key, nowMs }: { readonly key: KeyObject; readonly nowMs: number },
): Promise<void> {
  await controller.connect(new AbortController().signal);
  const { knowledge } = controller;
  const merged = merge(witnessesOf(store, knowledge, nowMs));
  store.transaction(() => writeMerged(merged, { store, knowledge, key, nowMs, given: undefined }));
}

/** Restores an old copy of the fleet's store in a later wave, like a backup of the day before. */

import type { KeyObject } from 'node:crypto';
import { copyFileSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { witnessesOf, writeMerged } from '../rollout/adoption.ts';
import type { Controller } from '../rollout/controller.ts';
import { merge } from '../rollout/merge.ts';
import { type FleetStore, STORE_FILE } from '../store.ts';

/** Signals that the store's disk is lost and an older copy is restored. */
export class StoreLost extends Error {}

export class OldCopy {
  readonly #store: string;
  readonly #copy: string;
  readonly #wave: number | undefined;
  #copied: number | undefined;
  #isOver = false;

  /**
   * Prepares the copy. Once `wave` has its orders, the store is restored to the time before the previous wave;
   * undefined for none.
   */
  constructor(dir: string, wave: number | undefined) {
    this.#store = join(dir, STORE_FILE);
    this.#copy = join(dir, 'yesterday.db');
    this.#wave = wave;
  }

  /** Must be called before and after orders are sent. Throws StoreLost when the wave has come. */
  published(moment: 'before' | 'after', wave: number | undefined, store: FleetStore): void {
    if (this.#wave === undefined || wave === undefined || this.#isOver) return;
    if (moment === 'before' && wave < this.#wave && wave !== this.#copied) {
      // A small fleet may have an empty wave, so the copy precedes the last wave with orders.
      rmSync(this.#copy, { force: true });
      store.db.prepare('VACUUM INTO ?').run(this.#copy);
      this.#copied = wave;
    }
    if (moment === 'before' || wave !== this.#wave || !existsSync(this.#copy)) return;
    this.#isOver = true;
    throw new StoreLost('the store is lost');
  }

  /** Restores the copy; the store must be closed. */
  putBack(): void {
    for (const end of ['-wal', '-shm']) rmSync(`${this.#store}${end}`, { force: true });
    copyFileSync(this.#copy, this.#store);
  }
}

/** Adopts like `fleet rollout adopt`, without a person to ask. */
export async function takeOver(
  controller: Controller,
  store: FleetStore,
  { key, nowMs }: { readonly key: KeyObject; readonly nowMs: number },
): Promise<void> {
  await controller.connect(new AbortController().signal);
  const { knowledge } = controller;
  const merged = merge(witnessesOf(store, knowledge, nowMs));
  store.transaction(() => writeMerged(merged, { store, knowledge, key, nowMs, givenRollout: undefined }));
}

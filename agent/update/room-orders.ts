/**
 * Receives the room's orders, which hold the desired release or configuration of this box. Each order is verified and
 * written to the request spool for root, which verifies it again and alone acts on it.
 *
 * INVARIANTS:
 * - An order is written only if a key of `commands.keys` with the permission has signed it for this box.
 * - An older order of the same key never replaces the stored one.
 * - The file holds the envelope unchanged and is written atomically.
 * LIMITS: one order of each kind; KEYS_MAX keys are distinguished. Refusals are counted, the last is reported, and one
 * a minute is logged.
 */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { rethrowBug } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { RepeatedLine } from '../base/repeated-line.ts';
import { sha256Of } from '../base/sha256.ts';
import { CommandRefused } from '../contract/command.ts';
import { CONFIG_ORDER_FILE, UPDATE_ORDER_FILE } from '../contract/update.ts';
import { writeForRoot } from '../orders/for-root.ts';
import { type OrderKind, type OrderReader, openOrder } from '../orders/room-order.ts';

const FILES: Readonly<Record<OrderKind, string>> = {
  update: UPDATE_ORDER_FILE,
  configure: CONFIG_ORDER_FILE,
};
const KEYS_MAX = 64;
const TOLD_EVERY_MS = 60_000;
const REASON_MAX = 500;

export interface RoomOrderOptions {
  readonly kind: OrderKind;
  readonly reader: OrderReader;
  readonly stateDir: string;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly log: Logger;
}

export class RoomOrder {
  /** Orders written, refused, and received again. */
  readonly counters = { takenCount: 0, refusedCount: 0, knownCount: 0 };
  readonly #options: RoomOrderOptions;
  readonly #line: RepeatedLine;
  /** Newest order of each key, written by this start or found on disk. */
  readonly #newest = new Map<string, { readonly counter: number; readonly sha256: string }>();
  /** Stored order; undefined before the first read. */
  #storedOrder: { readonly counter: number | null; readonly sha256: string } | undefined;
  #refusalReason: string | null = null;

  constructor(options: RoomOrderOptions) {
    this.#options = options;
    this.#line = new RepeatedLine(TOLD_EVERY_MS, options.clock);
  }

  /**
   * Counter of the order that is stored for root; null if there is none, or if it is not valid by the present
   * configuration.
   */
  get order(): number | null {
    return this.#stored().counter;
  }

  /** Reason why the newest received order was refused; null if it was accepted. */
  get refusalReason(): string | null {
    return this.#refusalReason;
  }

  /**
   * Never throws, whatever the payload holds. An empty payload means nothing: the room has cleared the retained
   * message.
   */
  hear(payload: Buffer): void {
    if (payload.length === 0) return;
    try {
      if (this.#take(payload)) this.counters.takenCount += 1;
      else this.counters.knownCount += 1;
      this.#refusalReason = null;
    } catch (error) {
      rethrowBug(error);
      const { message } = error;
      const code = error instanceof CommandRefused ? error.code : 'unavailable';
      this.counters.refusedCount += 1;
      this.#refusalReason = `${code}: ${message}`.slice(0, REASON_MAX);
      const { kind, log } = this.#options;
      this.#line.due((leftOut) =>
        log.warn({ kind, code, reason: message, leftOut }, 'an order of the room is refused'),
      );
    }
  }

  /** Returns false if the order is stored already. Throws CommandRefused. */
  #take(payload: Buffer): boolean {
    const { kind, reader, stateDir, log } = this.#options;
    const { order, keyid, key } = openOrder(kind, payload, reader);
    const { counter, rollout, action } = order;
    const sha256 = sha256Of(payload);
    const before = this.#stored();
    if (before.sha256 === sha256) return false;
    const newest = this.#newest.get(keyid);
    if (
      newest !== undefined &&
      (counter < newest.counter || (counter === newest.counter && sha256 !== newest.sha256))
    )
      throw new CommandRefused(
        'replayed',
        `counter ${counter} is not above ${newest.counter}, the newest of this key`,
      );
    if (newest === undefined && this.#newest.size >= KEYS_MAX)
      throw new CommandRefused('unavailable', `more than ${KEYS_MAX} keys have signed orders for this box`);
    writeForRoot(stateDir, FILES[kind], payload);
    this.#storedOrder = { counter, sha256 };
    this.#newest.set(keyid, this.#storedOrder as { counter: number; sha256: string });
    log.info(
      { kind, rollout, action, counter, key },
      'an order of the room was written to the request spool for root',
    );
    return true;
  }

  #stored(): { readonly counter: number | null; readonly sha256: string } {
    this.#storedOrder ??= this.#read();
    return this.#storedOrder;
  }

  #read(): { readonly counter: number | null; readonly sha256: string } {
    const { kind, reader, stateDir, log } = this.#options;
    const file = join(stateDir, FILES[kind]);
    if (!existsSync(file)) return { counter: null, sha256: '' };
    try {
      const bytes = readFileSync(file);
      const { order, keyid } = openOrder(kind, bytes, reader);
      const content = { counter: order.counter, sha256: sha256Of(bytes) };
      this.#newest.set(keyid, content);
      return content;
    } catch (error) {
      // The key was withdrawn, the box was renamed, or the file is damaged. Root refuses it too, and the next order
      // replaces it.
      log.warn(
        { file, reason: error instanceof Error ? error.message : '' },
        'the file in the request spool for root is not an order',
      );
      return { counter: null, sha256: '' };
    }
  }
}

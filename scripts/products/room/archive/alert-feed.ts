/**
 * Passes stored events on as lines for a person, each with its snapshot if snapshots are saved as files.
 *
 * INVARIANTS:
 * - A snapshot is saved only if its bytes have the hash named by its event.
 * - Each event is passed on once: with its picture, or without it after `PICTURE_WAIT_MS`.
 * LIMITS: 64 events and 64 pictures wait for each other (the oldest is dropped first); 500 saved pictures are kept.
 */
import { createHash } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { VigieEvent } from '../../../../agent/contract/event.ts';
import { snapshotName } from './alert-line.ts';
import type { Arrival } from './message.ts';

/** Event and picture leave the box together; the wait covers a picture that was dropped on the way. In ms. */
const PICTURE_WAIT_MS = 5000;
const WAITING_MAX = 64;
const KEPT_MAX = 500;

/** Receives an event. `picture` is the path of the saved snapshot; `note` is the reason why there is none. */
export type OnEvent = (event: VigieEvent, picture: string | undefined, note: string | undefined) => void;

interface Waiting {
  readonly event: VigieEvent;
  readonly timer: NodeJS.Timeout;
}

export class AlertFeed {
  readonly #dir: string | undefined;
  readonly #onEvent: OnEvent;
  readonly #waiting = new Map<string, Waiting>();
  readonly #pictures = new Map<string, Buffer>();
  readonly #savedFiles: string[] = [];

  /** No `dir`: no picture is saved and no event waits for one. */
  constructor(dir: string | undefined, onEvent: OnEvent) {
    this.#dir = dir;
    this.#onEvent = onEvent;
  }

  take(arrivals: readonly Arrival[]): void {
    for (const arrival of arrivals) {
      if (arrival.kind === 'event' && arrival.event !== undefined) this.#event(arrival.event);
      if (arrival.kind === 'snapshot' && this.#dir !== undefined) this.#picture(arrival.name, arrival.jpeg);
    }
  }

  stop(): void {
    for (const { timer } of this.#waiting.values()) clearTimeout(timer);
    this.#waiting.clear();
    this.#pictures.clear();
  }

  #event(event: VigieEvent): void {
    const { snapshot, absent } = event.data.evidence;
    if (snapshot === undefined || this.#dir === undefined) {
      this.#onEvent(event, undefined, absent);
      return;
    }
    const timer = setTimeout(() => this.#giveUp(event.id), PICTURE_WAIT_MS);
    this.#waiting.set(event.id, { event, timer });
    this.#join(event.id, this.#dir);
    const oldest = this.#waiting.keys().next().value;
    if (this.#waiting.size > WAITING_MAX && oldest !== undefined) this.#giveUp(oldest);
  }

  #picture(id: string, payload: Buffer): void {
    this.#pictures.set(id, payload);
    const oldest = this.#pictures.keys().next().value;
    if (this.#pictures.size > WAITING_MAX && oldest !== undefined) this.#pictures.delete(oldest);
    if (this.#dir !== undefined) this.#join(id, this.#dir);
  }

  #join(id: string, dir: string): void {
    const waiting = this.#waiting.get(id);
    const bytes = this.#pictures.get(id);
    if (waiting === undefined || bytes === undefined) return;
    this.#waiting.delete(id);
    this.#pictures.delete(id);
    clearTimeout(waiting.timer);
    const { event } = waiting;
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    if (sha256 !== event.data.evidence.snapshot?.sha256) {
      this.#onEvent(event, undefined, 'the snapshot that came is not the one that the event names');
      return;
    }
    const path = join(dir, snapshotName(event));
    try {
      this.#save(path, bytes);
    } catch (error) {
      // A full disk must not stop the archive.
      this.#onEvent(event, undefined, `not saved: ${error instanceof Error ? error.message : String(error)}`);
      return;
    }
    this.#onEvent(event, path, undefined);
  }

  #giveUp(id: string): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    this.#waiting.delete(id);
    clearTimeout(waiting.timer);
    this.#onEvent(waiting.event, undefined, `the snapshot did not arrive within ${PICTURE_WAIT_MS / 1000} s`);
  }

  #save(path: string, bytes: Buffer): void {
    writeFileSync(path, bytes);
    this.#savedFiles.push(path);
    const oldest = this.#savedFiles.length > KEPT_MAX ? this.#savedFiles.shift() : undefined;
    if (oldest !== undefined) rmSync(oldest, { force: true });
  }
}

/**
 * What stays somewhere, as notes of the outbox, one a rule: a restart ends no dwell, and an alert that was due comes.
 *
 * INVARIANTS: notes hold places and times, no pixel and no number of a track. LIMITS: written every five seconds at
 * most, and only where something has begun or ended, or a minute has passed; 64 dwells a rule, the oldest first.
 */
import { Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { jsonOf } from '../base/json.ts';
import type { Logger } from '../base/log.ts';
import type { Moment } from '../base/media-time.ts';
import { DWELLS_MAX, type Dwell, KeptDwell } from '../contract/dwell.ts';
import type { Notes, Outbox } from '../contract/outbox.ts';

const DWELL = 'dwell/';
const Kept = Type.Array(KeptDwell, { maxItems: DWELLS_MAX });

/** A commit costs some 10 KB on a card that bears about 10 TB: this often, for years. */
const WRITE_EVERY_MS = 5000;
/** So that what stood when the power went is not taken for older than it is. */
const REFRESH_EVERY_MS = 60_000;
/** Most stops are over by then; what has lasted for less is not worth a write. */
const KEPT_AFTER_MS = 5000;

/** What stays under a rule, and how long it takes to be told. */
export interface RuleDwells {
  readonly rule: string;
  readonly afterMs: number;
  readonly dwells: readonly Dwell[];
}

export class DwellNotes {
  readonly #remember: (notes: Notes) => void;
  readonly #log: Logger;
  /** By rule: when each of the dwells that are written began; and when that was written. */
  readonly #written = new Map<string, { readonly begun: string; readonly atMs: number }>();
  #lookedMs = Number.NEGATIVE_INFINITY;

  constructor(remember: (notes: Notes) => void, log: Logger) {
    this.#remember = remember;
    this.#log = log;
  }

  /** Of an earlier life, in media time, by rule. */
  recover(outbox: Pick<Outbox, 'notes'>, now: Moment): ReadonlyMap<string, readonly Dwell[]> {
    const found = new Map<string, readonly Dwell[]>();
    for (const { key, text } of outbox.notes(DWELL)) {
      const content = jsonOf(text);
      const rule = key.slice(DWELL.length);
      this.#written.set(rule, { begun: text, atMs: Number.NEGATIVE_INFINITY });
      if (!Value.Check(Kept, content)) {
        this.#log.warn({ key }, 'a note of what stays cannot be read; its time begins anew');
        continue;
      }
      // A clock that was set back makes nothing younger than now.
      const mediaMs = (wallMs: number): number => now.atMs - Math.max(0, now.wallMs - wallMs);
      found.set(
        rule,
        content.map(({ sinceWallMs, seenWallMs, ...place }) => ({
          ...place,
          sinceMs: mediaMs(sinceWallMs),
          seenMs: mediaMs(seenWallMs),
        })),
      );
    }
    return found;
  }

  /** It is time to write again at a media time. */
  isDue(atMs: number): boolean {
    return atMs - this.#lookedMs >= WRITE_EVERY_MS;
  }

  /** How things are at a media time; durable on return. */
  write(all: readonly RuleDwells[], atMs: number, wallAtMs: (atMs: number) => number): void {
    this.#lookedMs = atMs;
    const notes = Object.fromEntries(all.flatMap((one) => this.#noteOf(one, atMs, wallAtMs)));
    if (Object.keys(notes).length > 0) this.#remember(notes);
  }

  #noteOf(
    { rule, afterMs, dwells }: RuleDwells,
    atMs: number,
    wallAtMs: (atMs: number) => number,
  ): [string, string | null][] {
    const keptAfterMs = Math.min(KEPT_AFTER_MS, afterMs / 2);
    const kept = dwells
      .filter(({ sinceMs }) => atMs - sinceMs >= keptAfterMs)
      .sort((a, b) => a.sinceMs - b.sinceMs)
      .slice(0, DWELLS_MAX);
    const begun = kept.map(({ sinceMs }) => Math.round(sinceMs)).join();
    const before = this.#written.get(rule);
    const fresh = before !== undefined && atMs - before.atMs < REFRESH_EVERY_MS;
    if ((before?.begun ?? '') === begun && (fresh || kept.length === 0)) return [];
    this.#written.set(rule, { begun, atMs });
    const records = kept.map(
      ({ sinceMs, seenMs, ...place }): KeptDwell => ({
        ...place,
        sinceWallMs: wallAtMs(sinceMs),
        seenWallMs: wallAtMs(seenMs),
      }),
    );
    return [[DWELL + rule, kept.length === 0 ? null : JSON.stringify(records)]];
  }
}

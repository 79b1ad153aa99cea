/**
 * Stores current dwells as notes of the outbox, one per rule, so that a restart ends no dwell and a due alert is still
 * raised.
 *
 * INVARIANTS: notes contain places and times, no pixels and no track numbers.
 *
 * LIMITS: written at most every five seconds, and only after a start or end, or after a minute. 64 dwells per rule,
 * oldest first.
 */
import { Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { jsonOf } from '../base/json.ts';
import type { Logger } from '../base/log.ts';
import type { Moment } from '../base/media-time.ts';
import { DWELLS_MAX, type Dwell, KeptDwell } from '../contract/dwell.ts';
import type { Notes, Outbox } from '../contract/outbox.ts';

const DWELL = 'dwell/';
const KeptDwells = Type.Array(KeptDwell, { maxItems: DWELLS_MAX });

/**
 * Minimum interval in ms. A commit costs about 10 KB of writes on a card that endures about 10 TB, which permits this
 * interval for years.
 */
const WRITE_EVERY_MS = 5000;
/**
 * Interval of refreshing an unchanged note in ms, so that after a power cut a dwell does not appear older than it is.
 */
const REFRESH_EVERY_MS = 60_000;
/** Minimum duration of a stored dwell in ms. Most stops are over by then, and shorter ones are not worth a write. */
const KEPT_AFTER_MS = 5000;

/** Dwells of a rule, and the time after which the rule raises an alert. */
export interface RuleDwells {
  readonly rule: string;
  readonly afterMs: number;
  readonly dwells: readonly Dwell[];
}

export class DwellNotes {
  readonly #remember: (notes: Notes) => void;
  readonly #log: Logger;
  /** Start of each written dwell, and the time of writing, by rule. */
  readonly #written = new Map<string, { readonly starts: string; readonly atMs: number }>();
  #checkedMs = Number.NEGATIVE_INFINITY;

  constructor(remember: (notes: Notes) => void, log: Logger) {
    this.#remember = remember;
    this.#log = log;
  }

  /** Returns the dwells of an earlier run in media time, by rule. */
  recover(outbox: Pick<Outbox, 'notes'>, now: Moment): ReadonlyMap<string, readonly Dwell[]> {
    const dwellsByRule = new Map<string, readonly Dwell[]>();
    for (const { key, text } of outbox.notes(DWELL)) {
      const content = jsonOf(text);
      const rule = key.slice(DWELL.length);
      this.#written.set(rule, { starts: text, atMs: Number.NEGATIVE_INFINITY });
      if (!Value.Check(KeptDwells, content)) {
        this.#log.warn({ key }, 'a stored dwell time cannot be read; it restarts from zero');
        continue;
      }
      // If the clock was set back, no dwell begins later than now.
      const mediaMs = (wallMs: number): number => now.atMs - Math.max(0, now.wallMs - wallMs);
      dwellsByRule.set(
        rule,
        content.map(({ sinceWallMs, seenWallMs, ...place }) => ({
          ...place,
          sinceMs: mediaMs(sinceWallMs),
          seenMs: mediaMs(seenWallMs),
        })),
      );
    }
    return dwellsByRule;
  }

  /** Reports whether the next write is due at a media time. */
  isDue(atMs: number): boolean {
    return atMs - this.#checkedMs >= WRITE_EVERY_MS;
  }

  /** Writes the dwells at a media time; durable on return. */
  write(all: readonly RuleDwells[], atMs: number, wallAtMs: (atMs: number) => number): void {
    this.#checkedMs = atMs;
    const notes = Object.fromEntries(all.flatMap((one) => this.#noteOf(one, atMs, wallAtMs)));
    if (Object.keys(notes).length > 0) this.#remember(notes);
  }

  #noteOf(
    { rule, afterMs, dwells }: RuleDwells,
    atMs: number,
    wallAtMs: (atMs: number) => number,
  ): [string, string | null][] {
    const keptAfterMs = Math.min(KEPT_AFTER_MS, afterMs / 2);
    const keptDwells = dwells
      .filter(({ sinceMs }) => atMs - sinceMs >= keptAfterMs)
      .sort((a, b) => a.sinceMs - b.sinceMs)
      .slice(0, DWELLS_MAX);
    const starts = keptDwells.map(({ sinceMs }) => Math.round(sinceMs)).join();
    const before = this.#written.get(rule);
    const isRecent = before !== undefined && atMs - before.atMs < REFRESH_EVERY_MS;
    if ((before?.starts ?? '') === starts && (isRecent || keptDwells.length === 0)) return [];
    this.#written.set(rule, { starts, atMs });
    const records = keptDwells.map(
      ({ sinceMs, seenMs, ...place }): KeptDwell => ({
        ...place,
        sinceWallMs: wallAtMs(sinceMs),
        seenWallMs: wallAtMs(seenMs),
      }),
    );
    return [[DWELL + rule, keptDwells.length === 0 ? null : JSON.stringify(records)]];
  }
}

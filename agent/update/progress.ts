/**
 * Copies root's history of releases and configurations into the journal, and reports failures to the room.
 *
 * INVARIANTS:
 * - Each line of root's history is in the journal exactly once, across crashes and restored files, because the journal
 *   itself holds the newest (restraint/journal/restraint-state.ts).
 * - A failure is sent at least once: it is reported durably before it is entered, so a crash in between repeats the
 *   report.
 * - A history that does not continue the journal's state gets an entry of its own.
 * LIMITS: ENTRIES_MAX at once; none while the journal cannot be written.
 */
import type { MomentCondition } from '../contract/condition.ts';
import type { JournalEntry, RolloutsKnown } from '../contract/journal.ts';
import { releaseName } from '../contract/release.ts';
import type { ChangeRecord, ChangeTarget } from '../contract/update.ts';

/** Number of entries that one checkpoint may cover. The next call takes the rest. */
const ENTRIES_MAX = 32;

type Entry = Extract<JournalEntry, { type: 'rollout' }>;

export interface ProgressOptions {
  readonly journal: {
    readonly writable: boolean;
    readonly recordedState: { readonly rollouts: RolloutsKnown | null } | undefined;
    enter(entry: JournalEntry): void;
  };
  readonly flow: { happened(kind: MomentCondition, cause: Readonly<Record<string, unknown>>): void };
}

export class Progress {
  readonly #options: ProgressOptions;
  /** Newest line entered by this start, which may not be on disk yet. */
  #entered: RolloutsKnown | undefined;
  #entries = 0;

  constructor(options: ProgressOptions) {
    this.#options = options;
  }

  get entries(): number {
    return this.#entries;
  }

  /** Must be called often, with the present content of root's history. */
  check(history: readonly ChangeRecord[]): void {
    const { journal, flow } = this.#options;
    const { recordedState } = journal;
    if (recordedState === undefined || !journal.writable || history.length === 0) return;
    const before = this.#entered ?? recordedState.rollouts ?? { n: 0, noted: '' };
    for (const entry of newSince(history.map(entryOf), before).slice(0, ENTRIES_MAX)) {
      const { what: subject, n, noted, phase, rollout, reason } = entry;
      if (phase === 'rolled-back' || phase === 'failed')
        flow.happened('update-failed', {
          what: subject,
          rollout: rollout ?? 'local',
          phase,
          reason: reason ?? phase,
        });
      journal.enter(entry);
      this.#entered = { n, noted };
      this.#entries += 1;
    }
  }
}

/** Returns the new entries in order. If they do not continue the known state, an entry that states so comes first. */
function newSince(entries: readonly Entry[], reported: RolloutsKnown): readonly Entry[] {
  const [first] = entries;
  const last = entries.at(-1);
  if (first === undefined || last === undefined) return [];
  const same = entries.find(({ n }) => n === reported.n);
  const wentBack = last.n < reported.n || (same !== undefined && same.noted !== reported.noted);
  if (!wentBack) {
    const later = entries.filter(({ n }) => n > reported.n);
    const [next] = later;
    if (next === undefined || next.n === reported.n + 1) return later;
    const reason = `lines ${reported.n + 1} to ${next.n - 1} of root’s history are not there any more`;
    return [toldAs('history-incomplete', next, { n: next.n - 1, noted: next.noted }, reason), ...later];
  }
  // In a restored copy only the lines written since the newest known one are new.
  const later = entries.filter(({ noted }) => noted > reported.noted);
  const base = entries.findLast((entry) => !later.includes(entry));
  const from = base ?? { n: Math.max(0, first.n - 1), noted: reported.noted };
  const reason = `root’s numbers went from ${reported.n} back to ${last.n}: its files were restored or recreated`;
  return [toldAs('history-went-back', last, from, reason), ...later];
}

function toldAs(phase: string, { what: subject }: Entry, { n, noted }: RolloutsKnown, reason: string): Entry {
  return { type: 'rollout', what: subject, n, noted, rollout: null, phase, from: null, to: null, reason };
}

function entryOf({ n, at, what: subject, rollout, phase, from, to, reason }: ChangeRecord): Entry {
  const name = (target: ChangeTarget | null): string | null => {
    if (target === null) return null;
    return subject === 'configuration' ? target.name : releaseName(target.number, target.name);
  };
  return {
    type: 'rollout',
    what: subject,
    n,
    noted: at,
    rollout,
    phase,
    reason,
    from: name(from),
    to: name(to),
  };
}

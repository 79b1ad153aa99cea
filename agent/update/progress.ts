/**
 * Takes what root has done with the room's orders into the journal, and tells the room of what failed.
 *
 * INVARIANTS: each line of root's history and each state of a configuration is in the journal once, whatever dies and is put
 * back: the journal itself knows the newest (restraint/journal/known.ts). A failure is told before it is entered, durably: a
 * crash in between tells it twice, never not. A history that does not continue what the journal knows is an entry of its own.
 * LIMITS: ENTRIES_MAX at once; nothing while the journal cannot be written. Of a configuration only the newest state is
 * there: the numbers of the entries show what went by while the agent was down.
 */
import type { JournalEntry, RolloutsKnown } from '../contract/journal.ts';
import { releaseName } from '../contract/release.ts';
import type { ConfigOrderStatus, UpdateRecord } from '../contract/update.ts';

/** As many as may stand under one checkpoint; the rest comes with the next look. */
const ENTRIES_MAX = 32;

type Entry = Extract<JournalEntry, { type: 'rollout' }>;
type What = Entry['what'];

export interface ProgressOptions {
  readonly journal: {
    readonly writable: boolean;
    readonly known: { readonly rollouts: RolloutsKnown } | undefined;
    enter(entry: JournalEntry): void;
  };
  readonly flow: { happened(kind: 'update-failed', cause: Readonly<Record<string, unknown>>): void };
}

export class Progress {
  readonly #options: ProgressOptions;
  /** What was entered by this start, which may still wait for the disk. */
  readonly #entered: Partial<Record<What, { n: number; noted: string }>> = {};
  #entries = 0;

  constructor(options: ProgressOptions) {
    this.#options = options;
  }

  get entries(): number {
    return this.#entries;
  }

  /** To be called with what root's files hold now, and often. */
  look(history: readonly UpdateRecord[], config: ConfigOrderStatus | undefined): void {
    this.#take('release', history.map(entryOfRelease));
    // Before the first order there is nothing to tell.
    if (config !== undefined && config.n > 0) this.#take('configuration', [entryOfConfig(config)]);
  }

  #take(what: What, entries: readonly Entry[]): void {
    const { journal, flow } = this.#options;
    const { known } = journal;
    if (known === undefined || !journal.writable || entries.length === 0) return;
    const before = this.#entered[what] ?? known.rollouts[what] ?? { n: 0, noted: '' };
    for (const entry of newSince(entries, before).slice(0, ENTRIES_MAX)) {
      const { n, noted, phase, rollout, reason } = entry;
      if (phase === 'rolled-back' || phase === 'failed')
        flow.happened('update-failed', { what, rollout: rollout ?? 'local', phase, reason: reason ?? phase });
      journal.enter(entry);
      this.#entered[what] = { n, noted };
      this.#entries += 1;
    }
  }
}

/** In order, with an entry ahead that tells where they do not continue what is known. */
function newSince(entries: readonly Entry[], known: { n: number; noted: string }): readonly Entry[] {
  const [first] = entries;
  const last = entries.at(-1);
  if (first === undefined || last === undefined) return [];
  const { what } = first;
  // Of a configuration only the number says which state it is.
  const same = what === 'release' ? entries.find(({ n }) => n === known.n) : undefined;
  const wentBack = last.n < known.n || (same !== undefined && same.noted !== known.noted);
  if (!wentBack) {
    const later = entries.filter(({ n }) => n > known.n);
    const [next] = later;
    // A configuration has its newest state alone.
    if (what === 'configuration' || next === undefined || next.n === known.n + 1) return later;
    const reason = `lines ${known.n + 1} to ${next.n - 1} of root’s history are not there any more`;
    return [toldAs('history-incomplete', what, { n: next.n - 1, noted: next.noted }, reason), ...later];
  }
  // Of a copy that was put back nothing is new; what was written since the newest that is known, is.
  const later = what === 'configuration' ? entries : entries.filter(({ noted }) => noted > known.noted);
  const base = entries.findLast((entry) => !later.includes(entry));
  const from = base ?? { n: Math.max(0, first.n - 1), noted: known.noted };
  const reason = `root’s numbers went from ${known.n} back to ${last.n}: its files were put back, or begun anew`;
  return [toldAs('history-went-back', what, from, reason), ...later];
}

function toldAs(
  phase: string,
  what: What,
  { n, noted }: { n: number; noted: string },
  reason: string,
): Entry {
  return { type: 'rollout', what, n, noted, rollout: null, phase, from: null, to: null, reason };
}

function entryOfRelease({ n, at, rollout, phase, from, to, reason }: UpdateRecord): Entry {
  const name = (release: UpdateRecord['from']): string | null =>
    release && releaseName(release.seq, release.version);
  return {
    ...{ type: 'rollout', what: 'release', n, noted: at, rollout, phase, reason },
    ...{ from: name(from), to: name(to) },
  };
}

function entryOfConfig({ n, at, rollout, phase, former, sha256, reason }: ConfigOrderStatus): Entry {
  return {
    ...{ type: 'rollout', what: 'configuration', n, noted: at, rollout, phase, reason },
    ...{ from: former, to: sha256 },
  };
}

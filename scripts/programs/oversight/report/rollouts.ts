/** What root has done with the room's orders, in plain words. */
import type { JournalContent } from '../../../../agent/contract/journal.ts';
import type { CHANGE_KINDS } from '../../../../agent/contract/update.ts';

const HASH_CHARS = 12;

/** By phase; further ones are told as they stand. */
const TOLD: Readonly<Record<string, (to: string, from: string) => string>> = {
  waiting: (to) => `${to} was ordered, and waits for its time`,
  staged: (to) => `${to} was fetched and checked, and lies ready`,
  switching: (to, from) => `the change from ${from} to ${to} began`,
  probation: (to) => `${to} runs, on probation`,
  'awaits-resume': (to) => `${to} is in place, and is tried when the box looks again`,
  confirmed: (to) => `${to} has proved itself and stays`,
  'rolled-back': (to, from) => `${to} was taken back, and ${from} runs again`,
  failed: (to) => `${to} was given up; nothing was changed`,
};

interface Words {
  readonly named: (name: string) => string;
  readonly unnamed: string;
}

/** What each kind of change is of. */
const WORDS: Readonly<Record<(typeof CHANGE_KINDS)[number], Words>> = {
  release: { named: (name) => `the release ${name}`, unnamed: 'a release that is not named' },
  configuration: {
    named: (name) => `the configuration ${name.slice(0, HASH_CHARS)}…`,
    unnamed: 'a configuration that is not named',
  },
  root: {
    named: (name) => `root’s program ${name}`,
    unnamed: 'root’s program of a release that is not named',
  },
};

/** A journal may be of a newer version: a kind that is not known here is told by its name. */
function wordsOf(what: string): Words {
  const known: Readonly<Record<string, Words>> = WORDS;
  const words = Object.hasOwn(known, what) ? known[what] : undefined;
  return words ?? { named: (name) => `${what} ${name}`, unnamed: `${what} that is not named` };
}

/** Undefined for another kind of entry. */
export function rolloutText(content: JournalContent): string | undefined {
  if (content.type !== 'rollout') return undefined;
  const { what, rollout, phase, from, to, reason } = content;
  const words = wordsOf(what);
  const named = (name: string | null): string => (name === null ? words.unnamed : words.named(name));
  const why = reason === null ? '' : `: ${reason}`;
  const by = rollout === null ? '' : ` (rollout ${rollout})`;
  // What is said of root's own record of it.
  if (phase.startsWith('history-')) return `the record of changes that root keeps is not whole${why}`;
  const told = TOLD[phase]?.(named(to), named(from)) ?? `${named(to)}: ${phase}`;
  return `${told}${by}${why}`;
}

/** Describes in plain words how root has carried out the room's orders. */
import type { JournalContent } from '../../../../agent/contract/journal.ts';
import type { CHANGE_KINDS } from '../../../../agent/contract/update.ts';

const HASH_CHARS = 12;

/** Sentences by phase; other phases are shown unchanged. */
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

/** Names of each kind of change. */
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

/**
 * Returns the names for a kind. A journal of a newer version may contain an unknown kind, which is shown by its name.
 */
function wordsOf(what: string): Words {
  const known: Readonly<Record<string, Words>> = WORDS;
  const words = Object.hasOwn(known, what) ? known[what] : undefined;
  return words ?? { named: (name) => `${what} ${name}`, unnamed: `${what} that is not named` };
}

/** Returns undefined for another type of entry. */
export function rolloutText(content: JournalContent): string | undefined {
  if (content.type !== 'rollout') return undefined;
  const { what, rollout, phase, from, to, reason } = content;
  const words = wordsOf(what);
  const named = (name: string | null): string => (name === null ? words.unnamed : words.named(name));
  const why = reason === null ? '' : `: ${reason}`;
  const by = rollout === null ? '' : ` (rollout ${rollout})`;
  // The entry concerns root's own history of changes.
  if (phase.startsWith('history-')) return `the record of changes that root keeps is not whole${why}`;
  const told = TOLD[phase]?.(named(to), named(from)) ?? `${named(to)}: ${phase}`;
  return `${told}${by}${why}`;
}

/** Describes in plain words how root has carried out the room's orders. */
import type { JournalContent } from '../../../../agent/contract/journal.ts';
import type { CHANGE_KINDS } from '../../../../agent/contract/update.ts';

const HASH_CHARS = 12;

/** Sentences by phase; other phases are shown unchanged. */
const PHASE_TEXTS: Readonly<Record<string, (to: string, from: string) => string>> = {
  waiting: (to) => `${to} was ordered, and waits for its time`,
  staged: (to) => `${to} was fetched and checked, and is ready`,
  switching: (to, from) => `the change from ${from} to ${to} began`,
  probation: (to) => `${to} runs, on probation`,
  'awaits-resume': (to) => `${to} is in place, and is tried when the box resumes`,
  confirmed: (to) => `${to} has proved itself and stays`,
  'rolled-back': (to, from) => `${to} was rolled back, and ${from} runs again`,
  failed: (to) => `${to} failed; nothing was changed`,
};

interface Words {
  readonly nameText: (name: string) => string;
  readonly unnamed: string;
}

/** Names of each kind of change. */
const WORDS: Readonly<Record<(typeof CHANGE_KINDS)[number], Words>> = {
  release: { nameText: (name) => `the release ${name}`, unnamed: 'a release that is not named' },
  configuration: {
    nameText: (name) => `the configuration ${name.slice(0, HASH_CHARS)}…`,
    unnamed: 'a configuration that is not named',
  },
  root: {
    nameText: (name) => `root’s program ${name}`,
    unnamed: 'root’s program of a release that is not named',
  },
};

/**
 * Returns the names for a kind. A journal of a newer version may contain an unknown kind, which is shown by its name.
 */
function wordsOf(kind: string): Words {
  const wordsByKind: Readonly<Record<string, Words>> = WORDS;
  const words = Object.hasOwn(wordsByKind, kind) ? wordsByKind[kind] : undefined;
  return words ?? { nameText: (name) => `${kind} ${name}`, unnamed: `${kind} that is not named` };
}

/** Returns undefined for another type of entry. */
export function rolloutText(content: JournalContent): string | undefined {
  if (content.type !== 'rollout') return undefined;
  const { what: subject, rollout, phase, from, to, reason } = content;
  const words = wordsOf(subject);
  const nameOf = (name: string | null): string => (name === null ? words.unnamed : words.nameText(name));
  const reasonText = reason === null ? '' : `: ${reason}`;
  const by = rollout === null ? '' : ` (rollout ${rollout})`;
  // The entry concerns root's own history of changes.
  if (phase.startsWith('history-')) return `root’s own list of changes is not intact${reasonText}`;
  const text = PHASE_TEXTS[phase]?.(nameOf(to), nameOf(from)) ?? `${nameOf(to)}: ${phase}`;
  return `${text}${by}${reasonText}`;
}

/** What root has done with the room's orders, in plain words. */
import type { JournalContent } from '../../../contract/journal.ts';

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

/** Undefined for another kind of entry. */
export function rolloutText(content: JournalContent): string | undefined {
  if (content.type !== 'rollout') return undefined;
  const { what, rollout, phase, from, to, reason } = content;
  const isRelease = what === 'release';
  const kind = isRelease ? 'release' : 'configuration';
  const named = (name: string | null): string => {
    if (name === null) return `a ${kind} that is not named`;
    return isRelease ? `the release ${name}` : `the configuration ${name.slice(0, HASH_CHARS)}…`;
  };
  const why = reason === null ? '' : `: ${reason}`;
  const by = rollout === null ? '' : ` (rollout ${rollout})`;
  // What is said of root's own record of it.
  if (phase.startsWith('history-')) return `the record of changes that root keeps is not whole${why}`;
  const told = TOLD[phase]?.(named(to), named(from)) ?? `${named(to)}: ${phase}`;
  return `${told}${by}${why}`;
}

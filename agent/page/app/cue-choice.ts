/** Chooses the cue of a walk test from two states of the box. */
import type { WalkView } from '../../contract/page-link.ts';

type Code = NonNullable<WalkView['last']>['code'];
/** `begin`: a pass begins. `void`: a pass does not count, cannot begin, or the test is over without a result. */
export type Cue = 'begin' | 'seen' | 'missed' | 'void';

const CUES: Readonly<Record<Code, Cue>> = {
  seen: 'seen',
  missed: 'missed',
  blind: 'void',
  'still-standing': 'void',
  off: 'void',
  'given-up': 'void',
  'no-agent': 'void',
};
/** Reasons for which the box refuses to begin a pass. */
const REFUSALS: readonly Code[] = ['still-standing', 'off', 'no-agent'];

/**
 * Returns the cue for the step from one state to the next; undefined if there is none. A pass begins when the box says
 * so, because a tap may reach it late or not at all.
 */
export function cueBetween(before: WalkView | null | undefined, now: WalkView | null): Cue | undefined {
  // The first state after a reload is not news.
  if (now === null || before === undefined || now.phase === 'kept') return undefined;
  if (now.phase === 'watching') return before?.phase === 'watching' ? undefined : 'begin';
  if (now.last === null) return undefined;
  const { code } = now.last;
  const isOver = before?.phase === 'watching' || now.outcomes.length > (before?.outcomes.length ?? 0);
  const isRefused = REFUSALS.includes(code) && before?.last?.code !== code;
  return isOver || isRefused ? CUES[code] : undefined;
}

/** Tells a person when the first alert is to be expected, and while none can come, why. */
import { CONDITIONS, isBlinding, isConditionKind } from '../../../agent/contract/condition.ts';
import type { Config } from '../../../agent/contract/config.ts';
import type { VigieEvent } from '../../../agent/contract/event.ts';

/**
 * Time from the agent's start to the first alert of the demo's own clip, s. People cross the line in its first seconds;
 * the rest is the load of model and decoder. On two busy cores it took 10 s.
 */
const FIRST_ALERT_S = 20;
const REASON_CHARS_MAX = 300;

type Rules = Pick<Config, 'rules'>;

/** Says what brings the first alert. `isOwnClip`: the camera is the demo's clip. */
export function expectationLine({ rules }: Rules, isOwnClip: boolean): string {
  if (isOwnClip) return `First alert in about ${FIRST_ALERT_S} s`;
  const names = rules.map((rule) => `${rule.kind} in ${'zone' in rule ? rule.zone : rule.line}`);
  return `An alert comes when a rule is broken: ${names.join(', ')}`;
}

/** Keeps the conditions in which no alert can come, and says a line when that changes. */
export class Hindrances {
  readonly #episodes = new Set<string>();
  readonly #say: (line: string) => void;

  constructor(say: (line: string) => void) {
    this.#say = say;
  }

  /** Takes an event of the box; events of rules change nothing. */
  take({ data: { episode, severity, phase, rule, cause } }: VigieEvent): void {
    const { kind } = rule;
    if (severity !== 'system' || !isConditionKind(kind)) return;
    const { effect, title } = CONDITIONS[kind];
    if (effect !== 'off' && !isBlinding(kind)) return;
    if (phase === 'end') {
      if (this.#episodes.delete(episode) && this.#episodes.size === 0) this.#say('Alerts can come again.');
      return;
    }
    if (this.#episodes.has(episode)) return;
    this.#episodes.add(episode);
    const reason =
      typeof cause['reason'] === 'string' ? `: ${cause['reason'].slice(0, REASON_CHARS_MAX)}` : '';
    this.#say(`NO ALERT CAN COME: ${title}${reason}`);
  }
}

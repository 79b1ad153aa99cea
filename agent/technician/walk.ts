/**
 * Runs a walk test that a phone controls: keeps the page's view of it and takes the answers.
 *
 * INVARIANTS: one test at a time. Nothing is stored unless the technician confirms it.
 * LIMITS: a test is cancelled if an answer takes longer than ANSWER_WITHIN_MS.
 */
import type { Clock } from '../base/clock.ts';
import { rethrowBug } from '../base/errors.ts';
import type { WalkResult } from '../contract/accuracy.ts';
import type { WalkView } from '../contract/page-link.ts';
import type { RuleConfig } from '../contract/rule-config.ts';
import { type Technician, type WalkAnswer, type WalkEvent, WalkTestOver } from '../contract/walk-test.ts';
import type { Refusal } from './preview.ts';

/** Covers a phone that was put away or whose battery is empty. */
const ANSWER_WITHIN_MS = 900_000;

export interface WalkOptions {
  readonly clock: Clock;
  /** Runs a test. Rejects with WalkTestOver, or with AgentError if the box has no usable picture. */
  walkTest(options: {
    readonly rule: RuleConfig;
    readonly passes: number;
    readonly technician: Technician;
    readonly signal: AbortSignal;
    isOn(): boolean;
  }): Promise<WalkResult>;
  isOn(rule: RuleConfig): boolean;
}

type Code = NonNullable<WalkView['last']>['code'];

export class Walk {
  readonly #options: WalkOptions;
  #view: WalkView | null = null;
  #stopping = new AbortController();
  #waiting: { readonly mayRepeat: boolean; answer(answer: WalkAnswer): void } | undefined;
  #running: Promise<void> | undefined;

  constructor(options: WalkOptions) {
    this.#options = options;
  }

  /** View of the present or last test; null before the first. */
  get view(): WalkView | null {
    return this.#view;
  }

  start(rule: RuleConfig, passes: number): Refusal | undefined {
    const { isOn } = this.#options;
    if (this.#running !== undefined) return { code: 'walk-runs', reason: 'a walk test runs already' };
    if (!isOn(rule)) return { code: 'off', reason: `rule ${rule.id} is off now by its schedule` };
    this.#stopping = new AbortController();
    this.#view = {
      rule: rule.id,
      passes,
      phase: 'ready',
      outcomes: [],
      passedS: 0,
      windowS: 0,
      last: null,
    };
    this.#running = this.#run(rule, passes).finally(() => {
      this.#running = undefined;
    });
    return undefined;
  }

  answer(answer: WalkAnswer): Refusal | undefined {
    const waiting = this.#waiting;
    if (this.#running === undefined) return { code: 'not-started', reason: 'no walk test runs' };
    if (answer === 'abort') this.#stopping.abort();
    else if (waiting === undefined) return { code: 'not-waiting', reason: 'a pass is being watched' };
    if (answer === 'repeat' && waiting?.mayRepeat !== true) {
      return { code: 'nothing-to-repeat', reason: 'no pass has been done yet' };
    }
    waiting?.answer(answer);
    return undefined;
  }

  /** Cancels the running test. Idempotent. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#waiting?.answer('abort');
    await this.#running;
  }

  async #run(rule: RuleConfig, passes: number): Promise<void> {
    const { walkTest, isOn } = this.#options;
    const { signal } = this.#stopping;
    try {
      await walkTest({ rule, passes, technician: this.#technician, signal, isOn: () => isOn(rule) });
      this.#show({ phase: 'kept' });
    } catch (error) {
      rethrowBug(error);
      const code: Code = error instanceof WalkTestOver ? error.code : 'no-agent';
      this.#show({ phase: 'over', last: { code, seconds: null } });
    }
  }

  get #technician(): Technician {
    return {
      tell: (event) => this.#tell(event),
      ready: (mayRepeat) => this.#ask('ready', mayRepeat),
      keep: () => this.#ask('done', true),
      watching: (passedS, windowS) => this.#show({ passedS: Math.min(passedS, windowS), windowS }),
    };
  }

  async #ask(phase: 'ready' | 'done', mayRepeat: boolean): Promise<WalkAnswer> {
    const { clock } = this.#options;
    this.#show({ phase, passedS: 0 });
    const answered = new AbortController();
    const answer = await new Promise<WalkAnswer>((resolve) => {
      this.#waiting = { mayRepeat, answer: resolve };
      void clock.sleep(ANSWER_WITHIN_MS, answered.signal).then(() => resolve('abort'));
      if (this.#stopping.signal.aborted) resolve('abort');
    });
    this.#waiting = undefined;
    answered.abort();
    if (answer === 'repeat') this.#show({ outcomes: this.#outcomes.slice(0, -1) });
    if (answer === 'go' && phase === 'ready') this.#show({ phase: 'watching', last: null });
    return answer;
  }

  #tell(event: WalkEvent): void {
    const { code } = event;
    const seconds = code === 'seen' ? event.seconds : null;
    const outcomes = code === 'seen' || code === 'missed' ? [...this.#outcomes, code] : this.#outcomes;
    this.#show({ outcomes, last: { code, seconds } });
  }

  get #outcomes(): WalkView['outcomes'] {
    return this.#view?.outcomes ?? [];
  }

  #show(change: Partial<WalkView>): void {
    if (this.#view !== null) this.#view = { ...this.#view, ...change };
  }
}

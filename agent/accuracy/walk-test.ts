/**
 * Walk test: a scene is staged several times in front of the running box, and the alerts that it raises are counted.
 * The test only reads the box's record, so that the box works as usual.
 *
 * INVARIANTS:
 * - An alert raised before a pass began never counts for it.
 * - A pass without frames counts neither way.
 * - Only a complete test is stored.
 *
 * LIMITS: a pass is watched for the time that its rule needs plus `MARGIN_S`.
 */
import type { Clock } from '../base/clock.ts';
import { AgentError } from '../base/errors.ts';
import type { WalkResult } from '../contract/accuracy.ts';
import type { RuleConfig } from '../contract/rule-config.ts';
import { type Technician, type WalkAnswer, type WalkEvent, WalkTestOver } from '../contract/walk-test.ts';
import { sceneS } from './scene.ts';
import type { RecordStore } from './store.ts';

/**
 * Time in s added to the rule's own time. Walking or driving into the picture takes 15 s, and tracks and regions settle
 * in 5 s. An alert waits 3 s for its snapshot. The rest is for a box under load.
 */
export const MARGIN_S = 30;
const POLL_MS = 300;

/** Part of the record that a test needs. */
export type WalkTestStore = Pick<RecordStore, 'box' | 'lastId' | 'raisedSince' | 'keepWalkTest'>;

export interface WalkTestOptions {
  readonly store: WalkTestStore;
  readonly rule: RuleConfig;
  readonly passes: number;
  readonly technician: Technician;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Reports whether the rule is on by its schedule now. */
  isOn(): boolean;
}

type Pass = { readonly outcome: 'seen'; readonly passedS: number } | { readonly outcome: 'missed' | 'blind' };

/** Returns the time limit of one pass, in s. */
export function windowS(rule: RuleConfig): number {
  return Math.ceil(sceneS(rule) + MARGIN_S);
}

export class WalkTest {
  readonly #options: WalkTestOptions;
  readonly #windowS: number;
  readonly #outcomes: ('seen' | 'missed')[] = [];
  #repeated = 0;
  /** Alerts after this row belong to the last pass. While one is active, the next pass may not raise its own. */
  #lastAfterId: number | undefined;
  /** The technician knows that the last incident is still active. */
  #warned = false;

  constructor(options: WalkTestOptions) {
    this.#options = options;
    this.#windowS = windowS(options.rule);
  }

  /**
   * Runs the test and resolves with the stored result. Rejects with AgentError `unavailable` if the box receives no
   * frames or the test was cancelled.
   */
  async run(): Promise<WalkResult> {
    const { store, rule, passes, clock } = this.#options;
    // A test of a blind box would only measure that.
    if (store.box()?.sees !== true)
      throw new AgentError('unavailable', 'the box gets no frames from its camera; `vigie doctor` says why');
    const afterId = store.lastId();
    for (;;) {
      const doneCount = this.#outcomes.length;
      const answer = await this.#ask(doneCount);
      if (answer === 'abort') throw givenUp();
      if (answer === 'repeat') {
        this.#outcomes.pop();
        this.#repeated += 1;
        continue;
      }
      if (doneCount === passes) break;
      this.#assertOn();
      if (!this.#cleared()) continue;
      const pass = await this.#watch();
      if (pass.outcome === 'missed') this.#assertOn();
      this.#options.technician.tell(eventOf(pass));
      if (pass.outcome !== 'blind') this.#outcomes.push(pass.outcome);
    }
    const seenCount = this.#outcomes.filter((outcome) => outcome === 'seen').length;
    const wallMs = clock.wallMs();
    return store.keepWalkTest({
      rule: rule.id,
      wallMs,
      passes,
      seen: seenCount,
      repeated: this.#repeated,
      afterId,
    });
  }

  #ask(doneCount: number): Promise<WalkAnswer> {
    const { passes, technician } = this.#options;
    if (doneCount === passes) return technician.keep();
    return technician.ready(doneCount > 0);
  }

  /** Ends the test if the rule is off. A rule that is off misses everything, which proves nothing about the box. */
  #assertOn(): void {
    const { rule, isOn } = this.#options;
    if (isOn()) return;
    throw new WalkTestOver('off', `rule ${rule.id} is off by its schedule now`);
  }

  /** Reports whether the next pass may start: the last incident has ended, or the technician insists. */
  #cleared(): boolean {
    if (!this.#hasOpenAlert() || this.#warned) return true;
    this.#options.technician.tell({ code: 'still-standing' });
    this.#warned = true;
    return false;
  }

  #hasOpenAlert(): boolean {
    const { store, rule } = this.#options;
    if (this.#lastAfterId === undefined) return false;
    return store.raisedSince(rule.id, this.#lastAfterId).some(({ isOpen }) => isOpen);
  }

  /** Watches one pass, from now to its alert or its time limit. */
  async #watch(): Promise<Pass> {
    const { store, rule, clock, signal, technician } = this.#options;
    const afterId = store.lastId();
    this.#lastAfterId = afterId;
    this.#warned = false;
    const [beganMs, beganWallMs] = [clock.nowMs(), clock.wallMs()];
    for (;;) {
      const passedS = (clock.nowMs() - beganMs) / 1000;
      const raised = store
        .raisedSince(rule.id, afterId)
        // An alert waits up to 3 s for its snapshot, so an earlier one may be recorded only now.
        .find(({ raisedMs }) => raisedMs >= beganWallMs);
      if (raised !== undefined) return { outcome: 'seen', passedS };
      if (store.box()?.sees !== true) return { outcome: 'blind' };
      if (passedS >= this.#windowS) return { outcome: 'missed' };
      technician.watching(passedS, this.#windowS);
      await this.#sleep(clock, signal);
    }
  }

  async #sleep(clock: Clock, signal: AbortSignal): Promise<void> {
    await clock.sleep(POLL_MS, signal);
    if (signal.aborted) throw givenUp();
  }
}

function eventOf(pass: Pass): WalkEvent {
  return pass.outcome === 'seen' ? { code: 'seen', seconds: pass.passedS } : { code: pass.outcome };
}

function givenUp(): WalkTestOver {
  return new WalkTestOver('given-up', 'the walk test was cancelled');
}

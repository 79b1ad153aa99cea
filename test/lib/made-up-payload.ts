/** A payload of the change machine whose disk is a variable. */
import { AgentError } from '../../agent/base/errors.ts';
import { sha256Of } from '../../agent/base/sha256.ts';
import type { LeaveResult, Payload } from '../../scripts/products/root/change/payload.ts';
import {
  AT_REST,
  type Change,
  FIRST_TRIAL,
  type Kind,
  type State,
  sameTarget,
  type Target,
  type Trial,
} from '../../scripts/products/root/change/record.ts';
import type { Installed } from '../../scripts/products/root/change/step.ts';

export const targetNumbered = (number: number): Target => ({ number, name: `0.${number}.0` });
const TRIAL: Trial = { ...FIRST_TRIAL, from: targetNumbered(1), started: ['vigie.service'] };
/** Part of a box that a payload works with. */
export interface PayloadWorld {
  /** Error with which a release is fetched. */
  readonly fetchError: AgentError | undefined;
  /** Resolves when a release is fetched. */
  readonly download: Promise<void>;
  /** Point at which a program may be killed. */
  cutPoint(): void;
}

export class MadeUpPayload implements Payload {
  readonly kind: Kind;
  readonly needsActive: boolean;
  readonly #simulation: PayloadWorld;
  is: Target | 'foreign' = targetNumbered(1);
  /** Targets that have proved themselves, or were there at first. */
  readonly proven = [targetNumbered(1)];
  previous: Target | null = null;
  staged: Target | null = null;
  /** Target with which the agent was started. */
  runs: Target | 'foreign' | null = targetNumbered(1);

  constructor(kind: Kind, simulation: PayloadWorld) {
    this.kind = kind;
    this.needsActive = kind === 'configuration';
    this.#simulation = simulation;
  }

  variables() {
    const { is, proven, previous, staged, runs } = this;
    return { is, proven, previous, staged, runs };
  }

  get current(): Target | null {
    return this.is === 'foreign' ? null : this.is;
  }

  /** Sign of a trial whose record is lost: the file from before it, or the link of the judge. */
  get sign(): Target | null | undefined {
    if (this.kind === 'release' || this.previous === null) return undefined;
    if (this.kind === 'configuration') return null;
    // The judge's link leads elsewhere than `current` only after the switch.
    return sameTarget(this.previous, this.current) ? undefined : this.previous;
  }

  relation(target: Target) {
    const { current } = this;
    if (sameTarget(current, target)) return { is: 'running' as const };
    if (this.kind !== 'configuration' && current !== null && target.number < current.number)
      return { is: 'refused' as const, reason: 'older' };
    return { is: 'new' as const };
  }

  installed({ target, trial }: Change): Installed {
    if (sameTarget(this.current, target)) return 'target';
    return sameTarget(this.current, trial?.from ?? null) ? 'from' : 'other';
  }

  learnt() {
    return {};
  }

  fetch(): Promise<void> {
    this.#simulation.cutPoint();
    const { fetchError, download } = this.#simulation;
    if (fetchError !== undefined) return Promise.reject(fetchError);
    return this.kind === 'configuration' ? Promise.resolve() : download;
  }

  stage({ target }: Change): Promise<void> {
    this.#simulation.cutPoint();
    this.staged = target;
    this.#simulation.cutPoint();
    return Promise.resolve();
  }

  verifyStaged({ target }: Change): Promise<void> {
    if (this.kind === 'configuration') this.staged = target;
    if (sameTarget(this.staged, target)) return Promise.resolve();
    return Promise.reject(new AgentError('corrupt', 'the staged release has disappeared'));
  }

  /** Stages a technician's configuration. */
  stageText(text: string): void {
    this.staged = { number: 0, name: sha256Of(text) };
  }

  trial(): Promise<Trial> {
    return Promise.resolve({ ...TRIAL, from: this.current });
  }

  enter(change: Change): Promise<readonly string[]> {
    const state = this.installed(change);
    if (state === 'other') return Promise.reject(new AgentError('denied', 'someone else has changed it'));
    if (state === 'from') this.previous = this.current;
    this.#simulation.cutPoint();
    this.runs = null;
    this.#simulation.cutPoint();
    if (change.target !== null) this.is = change.target;
    this.#simulation.cutPoint();
    return Promise.resolve(['vigie.service']);
  }

  leave(change: Change, { from }: Trial, booting: boolean): Promise<LeaveResult> {
    const state = this.installed(change);
    const starts = booting ? [] : ['vigie.service'];
    const foreign = { outcome: 'other' as const, reason: 'someone else has changed it', starts };
    if (state === 'other') return Promise.resolve(foreign);
    const previous = from ?? this.previous;
    if (previous === null)
      return Promise.resolve({ outcome: 'nothing', reason: 'nothing to go back to', starts });
    this.#simulation.cutPoint();
    this.is = previous;
    this.#simulation.cutPoint();
    return Promise.resolve({ outcome: 'from', reason: '', starts });
  }

  restarts(): Promise<number> {
    return Promise.resolve(0);
  }

  startsAtAll() {
    return Promise.resolve({ state: 'good' as const });
  }

  proves() {
    return Promise.resolve({ state: 'good' as const });
  }

  confirmed({ target, trial }: Change, { targetSeqMin }: State) {
    if (this.kind !== 'release') return {};
    return { proven: target, previous: trial?.from ?? null, seqMin: targetSeqMin };
  }

  times() {
    return { healthyS: 1, withinS: 2 };
  }

  tidy({ [this.kind]: { phase } }: State): void {
    if (AT_REST.has(phase)) this.staged = null;
    if (AT_REST.has(phase)) this.previous = null;
  }
}

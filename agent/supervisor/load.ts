/**
 * Passes the board's heat to vision, and vision's frame rate to the room. `load-shed` is active while fewer frames are
 * analysed.
 */
import type { Clock } from '../base/clock.ts';
import { type Counters, gauge } from '../base/counters.ts';
import type { Logger } from '../base/log.ts';
import type { FromVision, ToVision } from '../contract/link.ts';

export interface LoadControlOptions {
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly log: Logger;
  /** Number of steps by which the board is too hot, at a monotonic time. */
  heatSteps(nowMs: number): number;
  send(message: ToVision): boolean;
  onShed(active: boolean, cause: { reason?: string; fps?: number }): void;
}

export class LoadControl {
  readonly #options: LoadControlOptions;
  #heatSteps = 0;
  #step = 0;
  #shed = 0;

  constructor(options: LoadControlOptions) {
    this.#options = options;
  }

  /** Present steps down, and how often a step was taken. */
  get counters(): Counters {
    return {
      load_shed_step: gauge(this.#step),
      load_shed_steps_down: this.#shed,
      heat_steps: gauge(this.#heatSteps),
    };
  }

  /** Handles an opened camera, and a change of the analysis rate. */
  receive(message: FromVision): void {
    if (message.kind === 'opened') this.#options.send({ kind: 'heat', steps: this.#heatSteps });
    if (message.kind !== 'pace') return;
    const { step, fps, reason } = message;
    if (step !== this.#step) this.#options.log.warn({ step, fps, reason }, 'analysed frames a second');
    if (step > this.#step) this.#shed += 1;
    this.#step = step;
    this.#options.onShed(step > 0, reason === null ? {} : { reason, fps });
  }

  /** Called about twice a second. */
  tick(): void {
    const { clock, send, heatSteps } = this.#options;
    const steps = heatSteps(clock.nowMs());
    if (steps === this.#heatSteps) return;
    this.#heatSteps = steps;
    send({ kind: 'heat', steps });
  }
}

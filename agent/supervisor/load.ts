/** Heat of the board to vision, and vision's pace to the room: `load-shed` stands while fewer frames are analysed. */
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { FromVision, ToVision } from '../contract/link.ts';
import { temperatureC } from '../health/host.ts';
import { Thermal } from '../health/thermal.ts';

const READ_EVERY_MS = 5000;

export interface LoadControlOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Holds `thermal` and `hwmon`, where that is not /sys/class. */
  readonly sysClass?: string | undefined;
  send(message: ToVision): boolean;
  onShed(active: boolean, cause: { reason?: string; fps?: number }): void;
}

export class LoadControl {
  readonly #options: LoadControlOptions;
  readonly #thermal = new Thermal();
  #dueMs = Number.NEGATIVE_INFINITY;
  #heatSteps = 0;
  #step = 0;
  #shed = 0;

  constructor(options: LoadControlOptions) {
    this.#options = options;
  }

  /** Steps down that hold now, and how often one was taken. */
  get counters(): Record<'load_shed_step' | 'load_shed_steps_down' | 'heat_steps', number> {
    return { load_shed_step: this.#step, load_shed_steps_down: this.#shed, heat_steps: this.#heatSteps };
  }

  take(message: FromVision): void {
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
    const { clock, sysClass, send } = this.#options;
    const nowMs = clock.nowMs();
    if (nowMs < this.#dueMs) return;
    this.#dueMs = nowMs + READ_EVERY_MS;
    const steps = this.#thermal.take(temperatureC(sysClass), nowMs);
    if (steps === this.#heatSteps) return;
    this.#heatSteps = steps;
    send({ kind: 'heat', steps });
  }
}

/**
 * How far a rollout is, as a file for Prometheus's node_exporter (its textfile collector): ops have no port of their own.
 *
 * INVARIANTS: the file is written whole or not at all. It stays when `rollout run` has ended, so that a rollout that has
 * halted stays visible; `vigie_rollout_looked_timestamp_seconds` says how old it is.
 */
import { writeAtomically } from '../../../../agent/base/atomic-file.ts';
import type { Clock } from '../../../../agent/base/clock.ts';
import { messageOf } from '../../../../agent/base/errors.ts';
import { exposition, gauge, type Labels, one } from '../../../../agent/base/exposition.ts';
import { ROLLOUT_STATES } from './states.ts';
import type { RolloutView } from './view.ts';

export function rolloutMetrics(view: RolloutView, nowMs: number): string {
  const { rollout, kind, what, state, wave, waves, stuck, stuckHours } = view;
  const own: Labels = { rollout };
  const ofWaves = (of: (wave: RolloutView['waves'][number]) => number) =>
    waves.map((each) => one(of(each), { ...own, wave: String(each.wave) }));
  const stuckS = stuck === null ? 0 : Math.max(0, (nowMs - Date.parse(stuck.since)) / 1000);
  return exposition([
    gauge(
      'rollout_state',
      'The state of the newest rollout is 1, the others are 0',
      ROLLOUT_STATES.map((name) => one(Number(name === state), { ...own, state: name })),
    ),
    gauge('rollout_info', 'Kind of the newest rollout, and what it brings', [one(1, { ...own, kind, what })]),
    gauge('rollout_wave', 'The present wave; 0 are the canaries', [one(wave, own)]),
    gauge(
      'rollout_boxes',
      'Boxes of each wave by their state',
      waves.flatMap((each) =>
        Object.entries(each.states).map(([name, n]) =>
          one(n, { ...own, wave: String(each.wave), state: name }),
        ),
      ),
    ),
    gauge(
      'rollout_silent_boxes',
      'Boxes that have begun the change and are silent',
      ofWaves(({ silent }) => silent),
    ),
    gauge(
      'rollout_mute_boxes',
      'Boxes that are connected, were sent for, and have said nothing since',
      ofWaves(({ mute }) => mute),
    ),
    gauge('rollout_stuck_seconds', 'How long nothing has changed in a wave that waits for boxes', [
      one(stuckS, own),
    ]),
    gauge('rollout_stuck', 'It waits for boxes for more than an ordinary day: somebody should look', [
      one(Number(stuck?.isAlarm === true), own),
    ]),
    gauge('rollout_stuck_limit_seconds', 'After how long without progress the rollout halts', [
      one(stuckHours * 3600, own),
    ]),
    gauge('rollout_looked_timestamp_seconds', 'When `rollout run` looked at the boxes last', [
      one(Math.floor(nowMs / 1000), own),
    ]),
  ]);
}

/** How often Prometheus asks node_exporter, about. */
const EVERY_MS = 15_000;

export interface RolloutMetricsOptions {
  /** Undefined: fleet.yaml names none, and nothing is written. */
  readonly file: string | undefined;
  readonly clock: Clock;
  readonly warn: (line: string) => void;
}

/**
 * Writes the file. A rollout goes on where it cannot be written, since the age of the metrics is an alarm of its own; the fault is
 * told once, and again after the file could be written meanwhile.
 */
export class RolloutMetricsFile {
  readonly #options: RolloutMetricsOptions;
  #writtenMs = Number.NEGATIVE_INFINITY;
  #fault: string | undefined;

  constructor(options: RolloutMetricsOptions) {
    this.#options = options;
  }

  /** Unless it was written less than 15 s ago. */
  look(view: () => RolloutView | undefined): void {
    if (this.#options.clock.nowMs() - this.#writtenMs >= EVERY_MS) this.write(view);
  }

  write(view: () => RolloutView | undefined): void {
    const { file, clock, warn } = this.#options;
    this.#writtenMs = clock.nowMs();
    const shown = file === undefined ? undefined : view();
    if (file === undefined || shown === undefined) return;
    const text = rolloutMetrics(shown, clock.wallMs());
    let fault: string | undefined;
    try {
      // node_exporter is another user.
      writeAtomically(file, text, 0o644);
    } catch (error) {
      fault = `fleet.yaml: metricsFile: ${file} cannot be written (${messageOf(error)}); make its folder, or leave metricsFile out`;
    }
    if (fault !== undefined && fault !== this.#fault) warn(fault);
    this.#fault = fault;
  }
}

/**
 * Writes the progress of a rollout to a file for Prometheus's node_exporter (its textfile collector), since ops have no
 * port of their own.
 *
 * INVARIANTS: writes are atomic. The file stays after `rollout run` has ended, so that a halted rollout remains
 * visible. `vigie_rollout_looked_timestamp_seconds` gives its age.
 */
import { writeAtomically } from '../../../../agent/base/atomic-file.ts';
import type { Clock } from '../../../../agent/base/clock.ts';
import { messageOf } from '../../../../agent/base/errors.ts';
import { exposition, gauge, type Labels, one } from '../../../../agent/base/exposition.ts';
import { ROLLOUT_STATES } from './states.ts';
import type { RolloutView } from './view.ts';

export function rolloutMetrics(view: RolloutView, nowMs: number): string {
  const { rollout, kind, description, state, wave, waves, stuck, stuckHours } = view;
  const own: Labels = { rollout };
  const ofWaves = (of: (wave: RolloutView['waves'][number]) => number) =>
    waves.map((each) => one(of(each), { ...own, wave: String(each.wave) }));
  const stuckS = stuck === null ? 0 : Math.max(0, (nowMs - Date.parse(stuck.lastChangeAt)) / 1000);
  return exposition([
    gauge(
      'rollout_state',
      'The state of the newest rollout is 1, the others are 0',
      ROLLOUT_STATES.map((name) => one(Number(name === state), { ...own, state: name })),
    ),
    gauge('rollout_info', 'Kind of the newest rollout, and what it brings', [
      one(1, { ...own, kind, what: description }),
    ]),
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
    gauge('rollout_stuck', 'It has waited for boxes for more than an ordinary day: a person should check', [
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

/** Interval between writes, ms: about Prometheus's interval for node_exporter. */
const EVERY_MS = 15_000;

export interface RolloutMetricsOptions {
  /** Undefined if fleet.yaml names no file; no metrics are written then. */
  readonly file: string | undefined;
  readonly clock: Clock;
  readonly warn: (line: string) => void;
}

/**
 * Writes the file. A failure does not stop the rollout, since the age of the metrics has its own alarm. It is reported
 * once, and again after a successful write.
 */
export class RolloutMetricsFile {
  readonly #options: RolloutMetricsOptions;
  #writtenMs = Number.NEGATIVE_INFINITY;
  #lastProblem: string | undefined;

  constructor(options: RolloutMetricsOptions) {
    this.#options = options;
  }

  /** Writes unless the last write was less than 15 s ago. */
  writeIfDue(view: () => RolloutView | undefined): void {
    if (this.#options.clock.nowMs() - this.#writtenMs >= EVERY_MS) this.write(view);
  }

  write(view: () => RolloutView | undefined): void {
    const { file, clock, warn } = this.#options;
    this.#writtenMs = clock.nowMs();
    const rolloutView = file === undefined ? undefined : view();
    if (file === undefined || rolloutView === undefined) return;
    const text = rolloutMetrics(rolloutView, clock.wallMs());
    let problem: string | undefined;
    try {
      // node_exporter runs as another user.
      writeAtomically(file, text, 0o644);
    } catch (error) {
      problem = `fleet.yaml: metricsFile: ${file} cannot be written (${messageOf(error)}); make its folder, or leave metricsFile out`;
    }
    if (problem !== undefined && problem !== this.#lastProblem) warn(problem);
    this.#lastProblem = problem;
  }
}

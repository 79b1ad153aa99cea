/**
 * Measures CPU time and wall time of a frame by stage. A stage's CPU time is that of the JavaScript thread, on which
 * inference runs too. CPU time of the process's other threads (GStreamer, libvips, V8's) is booked on `capture`.
 */
import { Latency, type LatencyCounts } from '../../contract/latency.ts';
import type { Stage } from '../../contract/picture.ts';
import { threadCpuMs } from '../native/process.ts';

export interface Spent {
  cpuMs: number;
  wallMs: number;
}

/**
 * `latency` counts the wall times between one `book` and the next; for `capture`, most of it is waiting for a frame.
 */
export type StageReport = Spent & { readonly latency: LatencyCounts };

export class StageClock {
  readonly stages: Readonly<Record<Stage, Spent>>;
  readonly #latencies: Readonly<Record<Stage, Latency>>;
  #cpuMs: number;
  #wallMs: number;

  constructor() {
    const none = (): Spent => ({ cpuMs: 0, wallMs: 0 });
    this.stages = {
      capture: none(),
      detect: none(),
      track: none(),
      observe: none(),
      redact: none(),
      plate: none(),
      link: none(),
    };
    this.#latencies = {
      capture: new Latency(),
      detect: new Latency(),
      track: new Latency(),
      observe: new Latency(),
      redact: new Latency(),
      plate: new Latency(),
      link: new Latency(),
    };
    this.#cpuMs = threadCpuMs();
    this.#wallMs = performance.now();
  }

  /** Books all time since the last call on `stage`. */
  book(stage: Stage): void {
    const cpuMs = threadCpuMs();
    const wallMs = performance.now();
    const spent = this.stages[stage];
    spent.cpuMs += cpuMs - this.#cpuMs;
    spent.wallMs += wallMs - this.#wallMs;
    this.#latencies[stage].observe(wallMs - this.#wallMs);
    this.#cpuMs = cpuMs;
    this.#wallMs = wallMs;
  }

  /** Returns the totals of the stages, with the other threads' CPU time under `capture`. */
  summary(): Record<Stage, StageReport> {
    const { user, system } = process.cpuUsage();
    const otherThreadsMs = Math.max(0, (user + system) / 1000 - threadCpuMs());
    const report = (stage: Stage, extraMs = 0): StageReport => {
      const { cpuMs, wallMs } = this.stages[stage];
      return { cpuMs: cpuMs + extraMs, wallMs, latency: this.#latencies[stage].counts };
    };
    return {
      capture: report('capture', otherThreadsMs),
      detect: report('detect'),
      track: report('track'),
      observe: report('observe'),
      redact: report('redact'),
      plate: report('plate'),
      link: report('link'),
    };
  }
}

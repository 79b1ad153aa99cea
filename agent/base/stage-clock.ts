/**
 * Where a frame's time goes: time of work and wall time by stage. Work of the JavaScript thread is the
 * time that its event loop did not sleep (performance.eventLoopUtilization; libuv's uv_metrics_idle_time),
 * since Linux brings a running thread's own CPU time up to date at scheduler ticks only, which is too
 * coarse for stages of a millisecond. What the process's other threads spend (GStreamer, libvips) is
 * booked on `capture`, by CPU time: there the ticks do not matter, the sum is over seconds.
 */
import { openSync, readSync } from 'node:fs';
import { Latency, type LatencyCounts } from '../contract/latency.ts';
import type { Stage } from '../contract/picture.ts';

export interface Spent {
  cpuMs: number;
  wallMs: number;
}

/** `latency` counts the wall times between one `book` and the next; of `capture` most is waiting for a frame. */
export type StageReport = Spent & { readonly latency: LatencyCounts };

export class StageClock {
  readonly stages: Readonly<Record<Stage, Spent>>;
  readonly #latencies: Readonly<Record<Stage, Latency>>;
  readonly #schedstat: number;
  readonly #bytes = Buffer.alloc(64);
  #activeMs: number;
  #wallMs: number;

  constructor() {
    const none = (): Spent => ({ cpuMs: 0, wallMs: 0 });
    this.stages = {
      capture: none(),
      detect: none(),
      track: none(),
      observe: none(),
      redact: none(),
      link: none(),
    };
    this.#latencies = {
      capture: new Latency(),
      detect: new Latency(),
      track: new Latency(),
      observe: new Latency(),
      redact: new Latency(),
      link: new Latency(),
    };
    this.#schedstat = openSync('/proc/thread-self/schedstat', 'r');
    this.#activeMs = performance.eventLoopUtilization().active;
    this.#wallMs = performance.now();
  }

  /** Books all time since the last call on `stage`. */
  book(stage: Stage): void {
    const activeMs = performance.eventLoopUtilization().active;
    const wallMs = performance.now();
    const spent = this.stages[stage];
    spent.cpuMs += activeMs - this.#activeMs;
    spent.wallMs += wallMs - this.#wallMs;
    this.#latencies[stage].observe(wallMs - this.#wallMs);
    this.#activeMs = activeMs;
    this.#wallMs = wallMs;
  }

  /** The stages so far, with the other threads' CPU time under `capture`. */
  summary(): Record<Stage, StageReport> {
    const { user, system } = process.cpuUsage();
    const otherThreadsMs = Math.max(0, (user + system) / 1000 - this.#threadCpuMs());
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
      link: report('link'),
    };
  }

  /** First field of schedstat, ns (Linux Documentation/scheduler/sched-stats.rst). */
  #threadCpuMs(): number {
    const length = readSync(this.#schedstat, this.#bytes, 0, this.#bytes.length, 0);
    return Number.parseInt(this.#bytes.toString('latin1', 0, length), 10) / 1e6;
  }
}

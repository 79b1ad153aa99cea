/**
 * Where a frame's time goes: CPU time and wall time by stage. A stage's CPU time is that of the JavaScript thread, on
 * which inference runs too. What the process's other threads spend (GStreamer, libvips) is booked on `capture`.
 *
 * Linux brings the CPU time of a running thread, as /proc shows it, up to date at scheduler ticks only. getrusage(2)
 * does so at once for the thread that calls it (kernel/sched/cputime.c, thread_group_cputime), so it is called first:
 * spans of 1.3 ms are then read as 1.3 ms, and what another process took meanwhile is left out.
 */
import { openSync, readSync } from 'node:fs';
import { Latency, type LatencyCounts } from '../contract/latency.ts';
import type { Stage } from '../contract/picture.ts';

const DIGIT_ZERO = 0x30;

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
    this.#schedstat = openSync('/proc/thread-self/schedstat', 'r');
    this.#cpuMs = this.threadCpuMs();
    this.#wallMs = performance.now();
  }

  /** Books all time since the last call on `stage`. */
  book(stage: Stage): void {
    const cpuMs = this.threadCpuMs();
    const wallMs = performance.now();
    const spent = this.stages[stage];
    spent.cpuMs += cpuMs - this.#cpuMs;
    spent.wallMs += wallMs - this.#wallMs;
    this.#latencies[stage].observe(wallMs - this.#wallMs);
    this.#cpuMs = cpuMs;
    this.#wallMs = wallMs;
  }

  /** The stages so far, with the other threads' CPU time under `capture`. */
  summary(): Record<Stage, StageReport> {
    const { user, system } = process.cpuUsage();
    const otherThreadsMs = Math.max(0, (user + system) / 1000 - this.threadCpuMs());
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

  /** CPU time of the calling thread since it began: the first field of schedstat, ns (Documentation/scheduler/sched-stats.rst). */
  threadCpuMs(): number {
    process.cpuUsage();
    readSync(this.#schedstat, this.#bytes, 0, this.#bytes.length, 0);
    let ns = 0;
    for (let i = 0, digit = 0; ; i += 1, ns = ns * 10 + digit) {
      digit = (this.#bytes[i] as number) - DIGIT_ZERO;
      if (!(digit >= 0 && digit <= 9)) return ns / 1e6;
    }
  }
}

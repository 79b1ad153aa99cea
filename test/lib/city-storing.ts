/** Events of a city that another process stores during a measurement. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { waitUntil } from './room.ts';

const WRITER = fileURLToPath(new URL('./city-writer.js', import.meta.url));

export class CityStoring {
  #batches: { readonly events: number; readonly tookMs: number }[] = [];
  #sinceMs = performance.now();
  readonly #end: () => Promise<void>;

  private constructor(end: () => Promise<void>) {
    this.#end = end;
  }

  /** Offers the given number of events a second; 0 offers as many as are taken. Resolves when the first are stored. */
  static async start(t: Test, address: string, nowMs: number, perS: number): Promise<CityStoring> {
    const child = fork(WRITER, [address, String(nowMs), String(perS)]);
    const exit = once(child, 'exit');
    const storing = new CityStoring(async () => {
      child.send('end');
      const [code] = (await exit) as [number | null];
      t.equal(code, 0, 'the writer exits with 0');
    });
    t.teardown(() => child.kill('SIGKILL'));
    child.on('message', (batch) => {
      storing.#batches.push(batch as { events: number; tookMs: number });
    });
    await waitUntil(t, 'the first events are stored', () => storing.#batches.length > 2, 60_000);
    storing.statistics();
    return storing;
  }

  /** Statistics of the batches stored since the start, or since the last call. */
  statistics(): {
    readonly perS: number;
    readonly highMs: number;
    readonly longestMs: number;
    readonly text: string;
  } {
    const times = this.#batches.map(({ tookMs }) => tookMs).sort((a, b) => a - b);
    const events = this.#batches.reduce((sum, batch) => sum + batch.events, 0);
    const perS = Math.round((events * 1000) / (performance.now() - this.#sinceMs));
    const [middle = 0, high = 0, longestMs = 0] = [0.5, 0.95, 1].map(
      (ratio) => times[Math.min(times.length - 1, Math.floor(times.length * ratio))] ?? 0,
    );
    this.#batches = [];
    this.#sinceMs = performance.now();
    const batch = `p50 ${middle.toFixed(0)}, p95 ${high.toFixed(0)}, longest ${longestMs.toFixed(0)} ms`;
    return { perS, highMs: high, longestMs, text: `${perS} events a second; a batch of 200: ${batch}` };
  }

  /** Resolves when the current batch is stored. */
  end(): Promise<void> {
    return this.#end();
  }
}

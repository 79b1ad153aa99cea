/**
 * A built program that stays loaded in a thread of the test and answers one command line after another. Each call
 * evaluates the program's main module again; the modules below it are shared. A start of node for each call would cost
 * a hundred times as much. One call of a test is a real start, which proves that the program runs as a process.
 */
import { once } from 'node:events';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads';
import { ROOT } from './paths.ts';

export interface Output {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface Call {
  readonly args: readonly string[];
  /** Environment of the program, completely; that of the test where it is missing. */
  readonly env: Readonly<Record<string, string | undefined>> | undefined;
  /** Becomes 1 when the answer is in the port. */
  readonly signal: Int32Array;
}

const WITHIN_MS = 120_000;

export class WarmProgram {
  readonly #main: string;
  readonly #calls = new MessageChannel();
  #worker: Worker | undefined;
  #last: Promise<unknown> = Promise.resolve();

  /** The program of this folder of the checkout, `scripts/products/fleet`; loaded at the first call. */
  constructor(folder: string) {
    this.#main = pathToFileURL(join(ROOT, 'dist', folder, 'main.js')).href;
    this.#calls.port1.unref();
  }

  /** Blocks until the program has ended, as spawnSync does. */
  runSync(args: readonly string[], env?: Call['env']): Output {
    const signal = this.#call(args, env);
    if (Atomics.wait(signal, 0, 0, WITHIN_MS) === 'timed-out') throw new Error(`no end: ${args.join(' ')}`);
    const answer = receiveMessageOnPort(this.#calls.port1) as { message: Output } | undefined;
    if (answer === undefined) throw new Error(`no answer: ${args.join(' ')}`);
    return answer.message;
  }

  /** Resolves when the program has ended; calls wait for each other. */
  run(args: readonly string[], env?: Call['env']): Promise<Output> {
    const outcome = this.#last.then(async () => {
      this.#call(args, env);
      this.#calls.port1.ref();
      const [output] = (await once(this.#calls.port1, 'message')) as [Output];
      this.#calls.port1.unref();
      return output;
    });
    this.#last = outcome.catch(() => undefined);
    return outcome;
  }

  #call(args: readonly string[], env: Call['env']): Int32Array {
    if (this.#worker === undefined) {
      const port = this.#calls.port2;
      const workerData = { main: this.#main, port };
      this.#worker = new Worker(new URL('./warm-calls.js', import.meta.url), {
        workerData,
        transferList: [port],
      });
      this.#worker.unref();
    }
    const signal = new Int32Array(new SharedArrayBuffer(4));
    this.#calls.port1.postMessage({ args, env, signal } satisfies Call);
    return signal;
  }
}

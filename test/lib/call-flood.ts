/** A thread that repeats calls of a console, many at once, so that their answers cost the test's own thread nothing. */
import http from 'node:http';
import { parentPort, Worker, workerData } from 'node:worker_threads';

interface Flood {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly method: 'GET' | 'POST';
  /** Path and body of a call; `{n}` in them is its number. */
  readonly path: string;
  readonly body?: string;
  readonly parallel: number;
  /** Number of calls; without it, until the thread is stopped. */
  readonly calls?: number;
}

/** Starts a flood. `result` resolves with the number of answers by status. */
export function startFlood(flood: Flood): { stop(): void; readonly result: Promise<Record<string, number>> } {
  const worker = new Worker(new URL(import.meta.url), { workerData: flood });
  const result = new Promise<Record<string, number>>((resolve, reject) => {
    worker.on('message', resolve).on('error', reject);
  });
  return { stop: () => worker.postMessage('stop'), result };
}

async function run({ url, headers, method, path, body, parallel, calls = Number.POSITIVE_INFINITY }: Flood) {
  const agent = new http.Agent({ keepAlive: true });
  const statuses: Record<string, number> = {};
  let isStopped = false;
  let callCount = 0;
  parentPort?.once('message', () => {
    isStopped = true;
  });
  const send = (n: number): Promise<number> =>
    new Promise((resolve, reject) => {
      const json = { 'content-type': 'application/json', 'idempotency-key': `flood-${n}` };
      const options = { method, agent, headers: { ...headers, ...(body !== undefined && json) } };
      const request = http.request(url + path.replace('{n}', String(n)), options, (reply) => {
        reply.resume().on('end', () => resolve(reply.statusCode ?? 0));
      });
      request.on('error', reject).end(body);
    });
  const repeat = async (): Promise<void> => {
    while (!isStopped && callCount < calls) {
      callCount += 1;
      const status = await send(callCount);
      statuses[status] = (statuses[status] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: parallel }, repeat));
  agent.destroy();
  parentPort?.postMessage(statuses);
  parentPort?.close();
}

if (parentPort !== null && workerData !== null) await run(workerData as Flood);

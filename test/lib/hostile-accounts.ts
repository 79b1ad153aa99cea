/** A thread in which five accounts of a console do what they can against the others, until it is stopped. */
import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort, Worker, workerData } from 'node:worker_threads';

export const HOSTILE = ['reads', 'notes', 'claims', 'closes', 'exports'] as const;
type Name = (typeof HOSTILE)[number];

interface Attack {
  readonly url: string;
  /** Headers of a session of each account. */
  readonly headers: Readonly<Record<Name, Readonly<Record<string, string>>>>;
}

const PARALLEL = 20;

/** Starts the accounts. `result` resolves with the number of their answers by account and status. */
export function startHostile(attack: Attack): {
  stop(): void;
  readonly result: Promise<Readonly<Record<string, number>>>;
} {
  const worker = new Worker(new URL(import.meta.url), { workerData: { hostile: attack } });
  const result = new Promise<Record<string, number>>((resolve, reject) => {
    worker.on('message', resolve).on('error', reject);
  });
  return { stop: () => worker.postMessage('stop'), result };
}

interface Incident {
  readonly no: number;
  readonly revision: number;
  readonly site: string;
  readonly box: string;
  readonly rule: string | null;
}

async function run({ url, headers }: Attack): Promise<void> {
  const counts: Record<string, number> = {};
  let isStopped = false;
  parentPort?.once('message', () => {
    isStopped = true;
  });
  const call = async (name: Name, path: string, body?: object): Promise<string> => {
    const json = { 'content-type': 'application/json', 'idempotency-key': crypto.randomUUID() };
    try {
      const reply = await fetch(url + path, {
        method: body === undefined ? 'GET' : 'POST',
        headers: { ...headers[name], ...(body && json) },
        ...(body && { body: JSON.stringify(body) }),
      });
      const text = await reply.text();
      const key = `${name} ${reply.status}`;
      counts[key] = (counts[key] ?? 0) + 1;
      return reply.status === 200 ? text : '{}';
    } catch {
      counts[`${name} cut`] = (counts[`${name} cut`] ?? 0) + 1;
      return '{}';
    }
  };
  const open = async (name: Name): Promise<readonly Incident[]> =>
    (JSON.parse(await call(name, '/api/queue')) as { incidents?: Incident[] }).incidents ?? [];
  const each = async (name: Name, act: (incident: Incident) => Promise<unknown>): Promise<void> => {
    const incidents = await open(name);
    for (let i = 0; i < incidents.length && !isStopped; i += PARALLEL)
      await Promise.all(incidents.slice(i, i + PARALLEL).map(act));
  };
  const acts: Readonly<Record<Name, () => Promise<unknown>>> = {
    reads: () => Promise.all(Array.from({ length: PARALLEL }, () => call('reads', '/api/queue'))),
    notes: () =>
      each('notes', ({ no }) => call('notes', `/api/incidents/${no}/note`, { text: 'x'.repeat(1000) })),
    claims: () =>
      each('claims', async ({ no, site, box, rule }) => {
        await call('claims', `/api/incidents/${no}/claim`, {});
        await call('claims', '/api/suppressions', {
          site,
          box,
          ...(rule !== null && { rule }),
          reason: 'no reason',
        });
      }),
    closes: async () => {
      const incidents = (await open('closes')).slice(0, 500).map(({ no, revision }) => ({ no, revision }));
      if (incidents.length > 0)
        await call('closes', '/api/verdicts', { incidents, verdict: 'unclear', withoutLooking: true });
      await each('closes', ({ no, revision }) =>
        call('closes', `/api/incidents/${no}/verdict`, {
          revision,
          verdict: 'unclear',
          withoutLooking: true,
        }),
      );
    },
    exports: async () => {
      const paths = [
        '/api/incidents.csv',
        '/api/incidents.parquet',
        '/api/audit.csv',
        '/api/figures',
        '/api/closed',
      ];
      await Promise.all(paths.map((path) => call('exports', path)));
      await Promise.all(
        Array.from({ length: PARALLEL }, () => call('exports', '/api/login', { name: 'nobody' })),
      );
    },
  };
  const repeat = async (name: Name): Promise<void> => {
    while (!isStopped) {
      await acts[name]();
      await sleep(5);
    }
  };
  await Promise.all(HOSTILE.map(repeat));
  parentPort?.postMessage(counts);
  parentPort?.close();
}

const data = workerData as { hostile?: Attack } | null;
if (parentPort !== null && data?.hostile !== undefined) await run(data.hostile);

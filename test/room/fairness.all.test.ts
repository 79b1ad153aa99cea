/** Tests that the calls of one account delay a colleague's little, on a console of its own with a full queue. */
import type { Test } from 'tap';
import { startFlood } from '../lib/call-flood.ts';
import { ask, enter, from } from '../lib/console.ts';
import { addManyIncidents } from '../lib/console-rows.ts';
import { onEachDatabase } from '../lib/databases.ts';
import { ConsoleProgram } from '../lib/room-program.ts';

const OPEN = 2000;
const PARALLEL = 30;
const ACTS = 1000;
const SAMPLES = 100;
/** Greatest ratio of the colleague's 95th percentile to that of a calm room. */
const RATIO_MAX = 2;
/** Time in ms below which a person notices no delay; a ratio of less says nothing. */
const UNNOTICED_MS = 50;

type Headers = Readonly<Record<string, string>>;

/** Returns the 95th percentile, in ms, of what a colleague waits for one incident's details, its claim and its release. */
async function p95Of(url: string, headers: Headers, first: number): Promise<number> {
  const waits: number[] = [];
  for (let index = 0; index < SAMPLES; index += 1) {
    const incident = `${url}/api/incidents/${first + index}`;
    const beganMs = performance.now();
    await ask(incident, { headers });
    await ask(`${incident}/claim`, { method: 'POST', headers, body: {} });
    await ask(`${incident}/release`, { method: 'POST', headers, body: {} });
    waits.push(performance.now() - beganMs);
  }
  return waits.sort((a, b) => a - b)[Math.floor(SAMPLES * 0.95)] ?? 0;
}

function compare(t: Test, name: string, calmMs: number, busyMs: number): void {
  const line = `${name}: calm ${calmMs.toFixed(1)} ms, busy ${busyMs.toFixed(1)} ms`;
  t.comment(line);
  t.ok(busyMs <= Math.max(UNNOTICED_MS, calmMs * RATIO_MAX), line);
}

onEachDatabase('a busy account delays no colleague', async (t, database) => {
  const db = await database.prepared();
  await addManyIncidents(db, OPEN, { nowMs: Date.now(), stepS: 1 });
  const { url, link } = await ConsoleProgram.start(t, database.address);
  const headersOf = async (user: string) => ({ cookie: await enter(url, user, link), ...from(url) });
  const [headers, colleague] = [await headersOf('operator'), await headersOf('supervisor')];
  await p95Of(url, colleague, 1);
  const calmMs = await p95Of(url, colleague, 101);
  const call = { url, headers, parallel: PARALLEL };
  const reads = startFlood({ ...call, method: 'GET', path: '/api/queue' });
  compare(t, 'reads of the queue', calmMs, await p95Of(url, colleague, 201));
  reads.stop();
  t.match(await reads.result, { 200: Number });
  const body = JSON.stringify({ text: 'x' });
  const path = '/api/incidents/1{n}/note';
  const acts = startFlood({ ...call, method: 'POST', path, body, calls: ACTS });
  compare(t, `${ACTS} acts`, calmMs, await p95Of(url, colleague, 301));
  t.comment(JSON.stringify(await acts.result));
});

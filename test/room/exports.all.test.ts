/** Tests that a large export does not hold up other requests. */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { ask, enter, roomDatabase } from '../lib/console.ts';
import { addManyIncidents } from '../lib/console-rows.ts';
import { DATABASES } from '../lib/databases.ts';
import { ConsoleProgram } from '../lib/room-program.ts';

const INCIDENTS = 100_000;

void t.test('an export of 100,000 incidents holds up no other request', { timeout: 300_000 }, async (t) => {
  const { address } = await DATABASES.sqlite(t);
  const db = await roomDatabase(t, address);
  await addManyIncidents(db, INCIDENTS, { nowMs: Date.now(), stepS: 1 });
  const consoleProgram = await ConsoleProgram.start(t, address);
  const cookie = await enter(consoleProgram.url, 'supervisor', consoleProgram.link);
  for (const path of ['/api/incidents.csv', '/api/incidents.parquet']) {
    const gaps: number[] = [];
    let isOver = false;
    const otherCalls = (async () => {
      while (!isOver) {
        const askedMs = performance.now();
        await ask(`${consoleProgram.url}/api/session`, { headers: { cookie } });
        gaps.push(performance.now() - askedMs);
        await sleep(5);
      }
    })();
    const beganMs = performance.now();
    const answer = await ask(`${consoleProgram.url}${path}`, { headers: { cookie } });
    const tookMs = performance.now() - beganMs;
    isOver = true;
    await otherCalls;
    t.equal(answer.status, 200);
    if (path.endsWith('csv')) t.equal(answer.text.trim().split('\r\n').length, INCIDENTS + 1, 'all of them');
    const longestMs = Math.max(...gaps);
    t.comment(`${path}: ${Math.round(tookMs)} ms; another call waits ${Math.round(longestMs)} ms at most`);
    t.ok(longestMs < tookMs / 4, 'another call is answered between');
  }
});

/**
 * Tests that an alert is reported exactly once whenever the agent dies. Kills are aimed at the wait for its picture,
 * between the note and the queue, and between the queue and the outbox; others are random.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import type { VigieEvent } from '../../agent/contract/event.ts';
import { bundledHelper } from '../lib/bundled.ts';
import { scratch } from '../lib/paths.ts';
import { start } from '../lib/program.ts';
import { randomOf, SEED } from '../lib/random.ts';
import { ALL, FULL } from '../lib/run.ts';

const RANDOM_KILLS = FULL ? 200 : ALL ? 16 : 3;
const AIMED_KILLS = FULL ? 100 : ALL ? 15 : 5;
const POINTS = [
  'before-remember',
  'after-remember',
  'before-picture',
  'before-accept',
  'after-accept',
] as const;
const MORTAL = bundledHelper(new URL('../lib/mortal-flow.js', import.meta.url));

t.setTimeout(FULL ? 3_600_000 : 600_000);

/** Runs the agent once; returns true when it ended normally. */
async function runOnce(
  t: Test,
  file: string,
  boot: string,
  persons: number,
  killAt: string,
  killAfterMs?: number,
): Promise<boolean> {
  const agent = start(t, process.execPath, [MORTAL, file, boot, String(persons), killAt]);
  if (killAfterMs !== undefined) {
    while (!agent.out.includes('lives') && agent.code === undefined) await sleep(5);
    await Promise.race([agent.exit, sleep(killAfterMs)]);
    agent.child.kill('SIGKILL');
  }
  await agent.exit;
  return agent.out.includes('done');
}

void t.test(
  `${RANDOM_KILLS} random and ${AIMED_KILLS} aimed kills lose no start, repeat none, and leave no end without one`,
  async (t) => {
    t.comment(`seed ${SEED} (VIGIE_TEST_SEED)`);
    const random = randomOf(SEED);
    const file = join(scratch(t), 'outbox.db');
    // Two persons for each kill, because a run that is killed late has already reported some.
    const persons = RANDOM_KILLS + AIMED_KILLS;
    let kills = 0;
    for (let i = 0; i < RANDOM_KILLS; i += 1) {
      if (!(await runOnce(t, file, `r${i}`, persons, '-', random() * 600))) kills += 1;
    }
    for (let i = 0; i < AIMED_KILLS; i += 1) {
      const point = POINTS[i % POINTS.length];
      if (!(await runOnce(t, file, `a${i}`, persons, `${point}:${1 + (i % 3)}`))) kills += 1;
    }
    t.ok(kills > (RANDOM_KILLS + AIMED_KILLS) / 2, `${kills} runs were killed`);
    t.ok(await runOnce(t, file, 'last', persons, '-'), 'the last life tells the rest');

    const db = new Database(file, { readonly: true });
    const bodies = db.prepare("SELECT body FROM alert WHERE topic LIKE '%/evt/%' ORDER BY seq").pluck().all();
    const notes = db.prepare('SELECT key FROM note').pluck().all();
    db.close();
    const events = bodies.map((body) => JSON.parse(String(body)) as VigieEvent);
    const starts = new Map<number, string[]>();
    const phasesByEpisode = new Map<string, string[]>();
    for (const { id, data } of events) {
      const { episode, phase, objects } = data;
      phasesByEpisode.set(episode, [...(phasesByEpisode.get(episode) ?? []), phase]);
      const track = objects[0]?.track ?? 0;
      if (phase === 'start') starts.set(track, [...(starts.get(track) ?? []), id]);
    }
    const lostPersons = Array.from({ length: persons }, (_, i) => i + 1).filter(
      (person) => !starts.has(person),
    );
    t.same(lostPersons, [], `a start for each of ${persons} persons`);
    t.same(
      [...starts].filter(([, ids]) => ids.length > 1),
      [],
      'none twice',
    );
    const wrong = [...phasesByEpisode].filter(
      ([, phases]) => phases.filter((phase) => phase !== 'update').join() !== 'start,end',
    );
    t.same(wrong, [], 'each episode starts, then ends, once');
    t.equal(new Set(events.map(({ id }) => id)).size, events.length, 'no id twice');
    t.same(notes, [], 'and no note of an ended incident remains');
  },
);

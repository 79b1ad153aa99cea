/**
 * Tests that an alert is reported exactly once whenever the agent dies, and that dwell times continue.
 *
 * Kills are aimed at the wait for its picture, between the note and the queue, and between the queue and the outbox;
 * others are random. Objects present at the start are reported once, never as an alert.
 */

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import type { VigieEvent } from '../../agent/contract/event.ts';
import { bundledHelper } from '../lib/bundled.ts';
import type { SceneState } from '../lib/mortal-dwells.ts';
import { scratch } from '../lib/paths.ts';
import { start } from '../lib/program.ts';
import { randomOf, SEED } from '../lib/random.ts';
import { ALL, FULL, unlessAll } from '../lib/run.ts';

const RANDOM_KILLS = FULL ? 200 : ALL ? 16 : 0;
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

const DWELLS = bundledHelper(new URL('../lib/mortal-dwells.js', import.meta.url));
const DAY_S = 86_400;
const NOBODY: SceneState = { arrival: null, person: false };

/** A street over several runs of the agent, each of which ends by SIGKILL. */
class Street {
  readonly #file: string;
  #runs = 0;

  constructor(t: Parameters<typeof scratch>[0]) {
    this.#file = join(scratch(t), 'outbox.db');
  }

  /** Runs the agent from these media and wall times; returns the reports of that run. */
  live(mediaS: number, wallS: number, forS: number, scene: Partial<SceneState>): string[] {
    const before = this.#reports().length;
    this.#runs += 1;
    const args = [this.#file, `l${this.#runs}`, mediaS * 1000, 1_800_000_000_000 + wallS * 1000, forS];
    const { signal, stderr } = spawnSync(
      process.execPath,
      [DWELLS, ...args.map(String), JSON.stringify({ ...NOBODY, ...scene })],
      { encoding: 'utf8' },
    );
    if (signal !== 'SIGKILL') throw new Error(`a life ended by itself: ${stderr}`);
    return this.#reports().slice(before);
  }

  #reports(): string[] {
    if (!existsSync(this.#file)) return [];
    const db = new Database(this.#file, { readonly: true });
    const rows = ['alert', 'bulk'].flatMap((lane) =>
      db.prepare(`SELECT body FROM ${lane} WHERE topic LIKE '%/evt/%' ORDER BY seq`).pluck().all(),
    );
    db.close();
    return rows
      .map((body) => JSON.parse(String(body)) as VigieEvent)
      .sort((a, b) => a.time.localeCompare(b.time))
      .filter(({ data }) => data.phase !== 'update')
      .map(({ data: { rule, phase, cause } }) => {
        const seconds = cause['stationaryS'] ?? cause['dwellS'];
        return [rule.kind, phase, ...(phase === 'start' ? [Math.round(Number(seconds))] : [])].join(' ');
      });
  }
}

void t.test(
  'a vehicle that was seen to come is due when its time is over, despite kill or reboot',
  async (t) => {
    const street = new Street(t);
    t.same(street.live(1000, 0, 12, { arrival: 'followed' }), []);
    t.same(street.live(1020, 20, 3, { arrival: 'unseen' }), ['illegal-parking start 20'], 'killed at 12 s');
    t.same(street.live(5, 60, 3, { arrival: 'unseen' }), [], 'a reboot repeats no report');
    t.same(street.live(30, 85, 60, {}), ['illegal-parking end'], 'and it ends');
  },
);

void t.test(
  'a vehicle is due after a reboot, but not if it has left meanwhile',
  { skip: unlessAll },
  async (t) => {
    const street = new Street(t);
    street.live(1000, 0, 15, { arrival: 'followed' });
    t.same(street.live(5, 90, 3, { arrival: 'unseen' }), ['illegal-parking start 90']);
    const other = new Street(t);
    other.live(1000, 0, 15, { arrival: 'followed' });
    t.same(other.live(5, 90, 80, {}), []);
    t.same(other.live(200, 300, 10, { arrival: 'unseen' }), [], 'another one came while no agent ran');
    const late = new Street(t);
    late.live(1000, 0, 15, { arrival: 'followed' });
    t.same(late.live(5, 3600, 10, { arrival: 'unseen' }), [], 'after an hour it may be another');
  },
);

void t.test('a loitering person is due after a reboot as well', { skip: unlessAll }, async (t) => {
  const street = new Street(t);
  t.same(street.live(1000, 0, 12, { person: true }), []);
  t.same(street.live(3, 30, 3, { person: true }), [], 'the break does not count');
  t.same(street.live(3, 30, 20, { person: true }), ['loitering start 20']);
});

void t.test('an object present before is reported once a day and place', { skip: unlessAll }, async (t) => {
  const street = new Street(t);
  const notice = ['present-at-start start 20', 'present-at-start end'];
  t.same(street.live(0, 0, 60, { arrival: 'unseen' }), notice);
  t.same(street.live(100, 100, 60, { arrival: 'unseen' }), [], 'not again after a restart');
  t.same(street.live(0, DAY_S / 2, 60, { arrival: 'unseen' }), [], 'nor half a day later');
  t.same(street.live(0, DAY_S + 60, 60, { arrival: 'unseen' }), notice, 'but on the next day');
});

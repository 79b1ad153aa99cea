/**
 * Tests that dwell times continue through kill -9 and reboot, and that objects present at the start are reported once,
 * never as an alert.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import t from 'tap';
import type { VigieEvent } from '../../agent/contract/event.ts';
import { bundledHelper } from '../lib/bundled.ts';
import type { SceneState } from '../lib/mortal-dwells.ts';
import { scratch } from '../lib/paths.ts';
import { unlessAll } from '../lib/run.ts';

const MORTAL = bundledHelper(new URL('../lib/mortal-dwells.js', import.meta.url));
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
      [MORTAL, ...args.map(String), JSON.stringify({ ...NOBODY, ...scene })],
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
  t.same(street.live(3, 30, 3, { person: true }), ['loitering start 29']);
});

void t.test('an object present before is reported once a day and place, and not as an alert', async (t) => {
  const street = new Street(t);
  const notice = ['present-at-start start 20', 'present-at-start end'];
  t.same(street.live(0, 0, 60, { arrival: 'unseen' }), notice);
  t.same(street.live(100, 100, 60, { arrival: 'unseen' }), [], 'not again after a restart');
  t.same(street.live(0, DAY_S / 2, 60, { arrival: 'unseen' }), [], 'nor half a day later');
  t.same(street.live(0, DAY_S + 60, 60, { arrival: 'unseen' }), notice, 'but on the next day');
});

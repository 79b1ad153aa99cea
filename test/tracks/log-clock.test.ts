/**
 * Tests how the log of tracks ages under clocks that run ahead or behind, step, are not set or cannot be trusted, and
 * that budgets outlive a damaged log.
 */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { scratch } from '../lib/paths.ts';
import { GRANT, movingObject, TrackedBox } from '../lib/tracked-box.ts';

const HOUR_S = 3600;
const DAY_MS = 86_400_000;
const CAR = movingObject(7, [0.1, 0.5], [0.9, 0.5], [1, 9]);
const LATER = movingObject(8, [0.1, 0.5], [0.9, 0.5], [1, 9]);

/** A box whose authorisation allows two days, after it has seen a car. `aheadMs`: lead of its clock from the start on. */
function boxWithCar(t: Parameters<typeof scratch>[0], aheadMs = 0): TrackedBox {
  const box = new TrackedBox(scratch(t), { grant: { ...GRANT, days: 2, spanHours: 48 } });
  box.clock.epochMs += aheadMs;
  box.trusted = aheadMs === 0;
  box.start().live(12, [CAR]);
  return box;
}

/** Each row: what the clock does, then hours that pass, and the number of rows after them. */
const CASES: readonly [name: string, act: (box: TrackedBox) => void, hours: number, rows: number][] = [
  ['trusted, within the days', () => undefined, 47, 1],
  ['trusted, after the days', () => undefined, 49, 0],
  ['ahead', (box) => jump(box, 40), 3, 1],
  ['ahead for the days of uptime', (box) => jump(box, 40), 49, 0],
  ['ahead at a start', (box) => jump(box.restart(), 40), 3, 1],
  ['ahead at a stop, right at the start', (box) => trust(jump(jump(box, 40).restart(), -40)), 3, 1],
  ['ahead, then trusted at the right time', (box) => trust(jump(later(jump(box, 40)), -40)), 3, 1],
  ['behind', (box) => jump(box, -40), 3, 1],
  ['behind for the days of uptime', (box) => jump(box, -40), 49, 0],
  ['behind at a start, for the days of uptime', (box) => jump(box.restart(), -40), 49, 0],
  ['stepping each hour', (box) => hourly(box, 46, () => jump(box, 3)), 0, 1],
  ['stepping each hour for the days of uptime', (box) => hourly(box, 49, () => jump(box, -3)), 0, 0],
  ['unset at a start', (box) => unset(box.restart()), 3, 1],
  ['unset for the days of uptime', (box) => unset(box.restart()), 49, 0],
  ['power cuts, each of which counts an hour', (box) => restarts(box, 40), 0, 1],
  ['power cuts for the days', (box) => restarts(box, 49), 0, 0],
  ['off for a month, then trusted', (box) => trust(jump(box.restart(), 30)), 1, 0],
];

function jump(box: TrackedBox, days: number): TrackedBox {
  box.clock.epochMs += days * DAY_MS;
  box.trusted = false;
  return box;
}

function later(box: TrackedBox): TrackedBox {
  box.sleep(HOUR_S, 60);
  return box;
}

function trust(box: TrackedBox): void {
  box.trusted = true;
}

function unset(box: TrackedBox): void {
  box.synced = false;
  jump(box, -20_000);
}

function hourly(box: TrackedBox, hours: number, act: () => unknown): void {
  for (let hour = 0; hour < hours; hour += 1) {
    act();
    box.sleep(HOUR_S, 600);
  }
}

function restarts(box: TrackedBox, count: number): void {
  box.restart();
  box.trusted = false;
  for (let n = 0; n < count; n += 1) box.kill().sleep(1);
}

t.test('rows expire by trusted time, or by the uptime since then', async (t) => {
  for (const [name, act, hours, rows] of CASES) {
    const box = boxWithCar(t);
    await box.ask({ answer: 'count' });
    act(box);
    box.sleep(hours * HOUR_S, 600);
    t.equal(box.rows, rows, name);
  }
});

t.test('rows from a clock that ran ahead go when the time is known, or after the days', async (t) => {
  const box = boxWithCar(t, 40 * DAY_MS);
  jump(box, -40).live(12, [LATER]);
  await box.ask({ answer: 'count' });
  t.equal(box.rows, 2);
  trust(box);
  box.sleep(2 * HOUR_S, 600);
  t.equal(box.rows, 1);
  t.strictSame(
    (await box.ask()).tracks.map(({ track }) => track),
    [8],
  );
  t.match(
    box.records.find(({ record }) => record === 'purge'),
    { why: 'retention', count: 1 },
  );

  const never = boxWithCar(t, 0);
  never.restart();
  jump(never, 365).live(12, [LATER]);
  never.sleep(49 * HOUR_S, 600);
  t.equal(never.rows, 0, 'of a clock that is never trusted');
});

t.test(
  'an authorisation that ends by an untrusted clock closes the log, which stays for its days',
  async (t) => {
    const closed = async (): Promise<TrackedBox> => {
      const box = boxWithCar(t);
      box.isAuthorisationKnown = false;
      box.mode = 'unauthorised';
      jump(box, 400).rule();
      box.restart().sleep(HOUR_S, 600);
      t.ok(existsSync(box.file));
      await t.rejects(box.ask(), /no valid authorisation/, 'it answers nothing');
      return box;
    };
    const right = await closed();
    right.isAuthorisationKnown = true;
    right.mode = 'active';
    trust(jump(right, -400));
    right.rule();
    t.equal((await right.ask()).tracks.length, 1, 'the clock was wrong');
    const wrong = await closed();
    wrong.sleep(49 * HOUR_S, 600);
    t.notOk(existsSync(wrong.file), 'deleted after the days of uptime');
    const endedBox = await closed();
    trust(endedBox);
    endedBox.sleep(1);
    t.notOk(existsSync(endedBox.file), 'deleted once the clock is trusted');
  },
);

t.test('budgets live as long as the authorisation, and hold no number of a case', async (t) => {
  const grant = { ...GRANT, budget: { case: 3, keyDay: 4, day: 100 } };
  const box = new TrackedBox(scratch(t), { grant }).start();
  const count = (number: string, key?: string) =>
    box.ask({ answer: 'count' }, { number, ...(key && { key }) });
  for (const number of ['2026/1', '2026/1', '2026/1', '2026/2']) await count(number);
  await t.rejects(count('2026/1', 'other'), /budget of case 2026\/1 is spent/);
  await t.rejects(count('2026/3'), /budget of the key judge-desk in 24 hours/);
  const bytes = readdirSync(box.stateDir).map((name) => readFileSync(join(box.stateDir, name), 'latin1'));
  t.notMatch(bytes.join(''), /2026\/[12]/);

  box.log.stop();
  writeFileSync(box.file, 'rubbish');
  box.kill();
  await t.rejects(count('2026/1', 'other'), /budget of case/, 'a damaged log does not renew them');
  jump(box, 3);
  await t.rejects(count('2026/3'), /budget of the key/, 'nor does a clock that is set forward');

  box.log.stop();
  rmSync(join(box.stateDir, 'track-budgets.db'));
  box.kill();
  await t.rejects(count('2026/4', 'other'), /2026-77 is lost, so its budgets count as used up/);
  writeFileSync(join(box.stateDir, 'track-budgets.db'), 'rubbish'.repeat(1000));
  box.kill();
  await t.rejects(count('2026/4', 'other'), /is lost/, 'nor does a damaged record');
  box.order = '2026-78';
  box.rule();
  t.equal((await count('2026/1')).left.case, 2, 'a new authorisation begins them');
});

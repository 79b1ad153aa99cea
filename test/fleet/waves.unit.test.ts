/**
 * Unit tests of the wave machine with any reports and commands in any order, and of the assignment of boxes to waves.
 */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import type { UpdateReport } from '../../agent/contract/update.ts';
import { chooseBoxes } from '../../scripts/products/fleet/rollout/choose.ts';
import { rolloutIn } from '../../scripts/products/fleet/rollout/kinds.ts';
import { Knowledge } from '../../scripts/products/fleet/rollout/knowledge.ts';
import { RolloutMetricsFile } from '../../scripts/products/fleet/rollout/metrics.ts';
import { planOf } from '../../scripts/products/fleet/rollout/plan.ts';
import { progressOf } from '../../scripts/products/fleet/rollout/progress.ts';
import {
  type Action,
  type BoxState,
  OPEN,
  OVER,
  type Progress,
  type Rollout,
  type Step,
} from '../../scripts/products/fleet/rollout/states.ts';
import { assignWaves } from '../../scripts/products/fleet/rollout/stratify.ts';
import type { RolloutView } from '../../scripts/products/fleet/rollout/view.ts';
import { step } from '../../scripts/products/fleet/rollout/waves.ts';
import { targetsOf } from '../../scripts/products/fleet/simulate/scenario.ts';
import { type BoxRow, FleetStore } from '../../scripts/products/fleet/store.ts';
import { HandClock } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { box, boxesOf, HOUR, Lifetime, NEW, PLAN } from '../lib/rollout-life.ts';
import { ALL } from '../lib/run.ts';

const RUNS = ALL ? 1500 : 300;
const OUTCOMES = ['confirmed', 'rolled-back', 'failed'] as const;
const ordersOf = ({ orders }: Step, action: Action): number =>
  orders.filter((order) => order.action === action).length;

void t.test('canaries are followed by their soak, the next wave and the last', async (t) => {
  const run = new Lifetime([...boxesOf(3, 0), ...boxesOf(20, 1, 3), ...boxesOf(100, 2, 23)]);
  t.strictSame(
    run.at(0).orders.map(({ id }) => id),
    ['b-0', 'b-1', 'b-2'],
    'canaries alone',
  );
  t.strictSame(run.at(1).orders, [], 'once');
  run.say(({ wave }) => wave === 0, { progress: 'confirmed' });
  t.equal(run.at(2).nextMs, 26 * HOUR, 'the soak begins when they are confirmed');
  t.strictSame(run.at(25.9).orders, []);
  t.equal(ordersOf(run.at(26), 'install'), 20);
  run.say(({ wave }, i) => wave === 1 && i < 21, { progress: 'confirmed' });
  t.equal(run.at(27).rollout.reachedMs, null, '18 of 20 are not 95 %');
  run.say((_, i) => i === 21, { online: false });
  t.equal(
    run.at(28).rollout.reachedMs,
    28 * HOUR,
    'offline boxes hold up no other, and of 19 one may be mute',
  );
  run.say((_, i) => i === 22, { online: false });
  t.equal(ordersOf(run.at(33), 'install'), 100);
  run.say(({ wave }) => wave === 2, { progress: 'confirmed' });
  t.equal(run.at(34).rollout.state, 'finishing', 'two have not come yet');
  run.say((_, i) => i === 21, { progress: 'confirmed', online: true });
  run.at(100);
  t.match(run.at(720.1).rollout, {
    state: 'incomplete',
    reason: '1 of 123 boxes is not confirmed: 1 expired: not done when its time was over',
  });
  t.equal(run.boxes[22]?.state, 'expired');
  t.equal(
    run.say((_, i) => i === 22, { progress: 'confirmed' }).at(721).states[22],
    'confirmed',
    'a late word counts',
  );
});

void t.test('a rollout halts at its limits, and a person can resume or abort it', async (t) => {
  const canaries = new Lifetime(boxesOf(3, 0));
  canaries.at(0);
  canaries.say((_, i) => i === 0, { progress: 'rolled-back' });
  t.equal(canaries.at(1).rollout.state, 'running', 'one canary');
  canaries.say((_, i) => i === 1, { progress: 'failed' });
  t.match(canaries.at(2).rollout, { state: 'halted', reason: '2 canaries rolled back or failed (1 failed)' });
  t.strictSame(canaries.last?.orders, [{ id: 'b-2', action: 'withdraw' }]);
  t.match(canaries.at(3, 'resume').rollout, {
    state: 'running',
    accepted: { failures: 2, triedCount: 2 },
  });
  t.strictSame(canaries.last?.orders, [{ id: 'b-2', action: 'install' }], 'called back, and sent for again');

  const wide = new Lifetime([box(0, 0), ...boxesOf(200, 1, 1)], { soakMs: [0, 0] });
  wide.at(0);
  wide.say((_, i) => i === 0, { progress: 'confirmed' }).at(1);
  t.equal(wide.rollout.wave, 1);
  wide.say((_, i) => i > 0 && i < 101, { progress: 'confirmed' });
  wide.say((_, i) => i === 101 || i === 102, { progress: 'rolled-back' });
  t.equal(wide.at(2).rollout.state, 'running', '2 of 103: less than three');
  wide.say((_, i) => i === 103, { progress: 'rolled-back' });
  t.match(wide.at(3).rollout, { state: 'halted', reason: '3 of 104 boxes that were tried rolled back' });
  t.equal(ordersOf(wide.last as Step, 'withdraw'), 97);
  wide.say((_, i) => i === 150, { progress: 'switched' });
  t.equal(wide.at(3.1).states[150], 'switched', 'too late to withdraw; it ends on its own');
  wide.say((_, i) => i === 150, { progress: 'confirmed' });
  t.equal(wide.at(3.2).states[150], 'confirmed');
  t.equal(wide.at(4, 'abort').rollout.state, 'aborted');
  t.equal(ordersOf(wide.at(5, 'resume'), 'install'), 0, 'an aborted rollout does not resume');
});

void t.test('pause holds, and resume continues', async (t) => {
  const run = new Lifetime([...boxesOf(3, 0), ...boxesOf(10, 1, 3)], { soakMs: [0, 0] });
  run.at(0);
  run.say((_, i) => i === 0, { progress: 'begun' }).say((_, i) => i === 1, { progress: 'switched' });
  t.strictSame(run.at(1, 'pause').orders, [
    { id: 'b-0', action: 'pause' },
    { id: 'b-2', action: 'pause' },
  ]);
  run.say((_, i) => i < 3, { progress: 'confirmed' });
  t.strictSame(run.at(2).orders, [], 'no box is ordered during a pause');
  t.equal(ordersOf(run.at(3, 'resume'), 'install'), 10);
});

void t.test('no order goes beyond the wave or after the end, whatever happens', async (t) => {
  const word = fc.record({
    box: fc.nat(29),
    progress: fc.constantFrom<Progress>('none', 'waiting', 'begun', 'switched', 'parked', ...OUTCOMES),
    online: fc.boolean(),
  });
  const event = fc.record({
    hours: fc.integer({ min: 0, max: 90 }),
    words: fc.array(word, { maxLength: 12 }),
    request: fc.constantFrom<Rollout['request']>(null, null, null, null, 'pause', 'resume', 'abort'),
  });
  let [halts, ends] = [0, 0];
  fc.assert(
    fc.property(fc.array(event, { minLength: 1, maxLength: 40 }), (events) => {
      const run = new Lifetime([...boxesOf(3, 0), ...boxesOf(7, 1, 3), ...boxesOf(20, 2, 10)]);
      let hours = 0;
      for (const { hours: hoursLater, words, request } of events) {
        hours += hoursLater;
        for (const { box: i, ...change } of words) {
          // A box reports nothing about what it was not sent.
          const hasOrder = run.boxes[i]?.action != null;
          run.say((_, at) => at === i, hasOrder ? change : { online: change.online });
        }
        const before = run.rollout.state;
        const { rollout, orders, states } = run.at(hours, request);
        const [waves, installs] = [
          new Map(run.boxes.map((one) => [one.id, one.wave])),
          orders.filter(({ action }) => action === 'install'),
        ];
        if (installs.some(({ id }) => (waves.get(id) ?? 99) > rollout.wave))
          throw new Error('beyond the wave');
        if (installs.length > 0 && rollout.state !== 'running' && rollout.state !== 'finishing')
          throw new Error(`sent while ${rollout.state}`);
        if (OVER.includes(before) && (installs.length > 0 || rollout.state !== before))
          throw new Error('it is over, and goes on');
        // A repeated step has no effect, so a controller that dies after its store does nothing twice.
        const repeated = step(rollout, run.boxes, hours * HOUR);
        if (repeated.orders.length > 0 || JSON.stringify(repeated.rollout) !== JSON.stringify(rollout))
          throw new Error('not idempotent');
        if (rollout.state === 'halted' || rollout.state === 'aborted') {
          if (states.some((state) => state === 'ordered' || state === 'begun'))
            throw new Error('called back they are not');
          halts += 1;
        }
      }
      const end = step({ ...run.rollout, request: null }, run.boxes, 3000 * HOUR);
      if (end.states.some((state) => OPEN.includes(state))) throw new Error('a box is left half way');
      if (!OVER.includes(end.rollout.state)) throw new Error(`it ends as ${end.rollout.state}`);
      ends += 1;
    }),
    { numRuns: RUNS },
  );
  t.ok(halts > RUNS / 15 && ends === RUNS, `${halts} looks at what had halted`);
});

void t.test('each wave represents the fleet, and is deterministic', async (t) => {
  const boards = ['rpi5', 'rpi5', 'rpi5', 'rpi5', 'rpi5', 'rpi4', 'rpi4', 'rpi4', 'jetson', 'rk3588'];
  const members = Array.from({ length: 1500 }, (_, i) => ({
    site: `s-${i % 12}`,
    box: `b-${i}`,
    board: boards[i % 10] ?? '',
  }));
  const waves = assignWaves('r', members, PLAN);
  t.strictSame(
    [0, 1, 2, 3].map((n) => waves.filter((wave) => wave === n).length),
    [3, 72, 300, 1125],
  );
  for (const board of new Set(boards)) {
    const ratio = boards.filter((other) => other === board).length / 10;
    const boardCount = members.filter((member, i) => member.board === board && waves[i] === 1).length;
    t.ok(Math.abs(boardCount - 72 * ratio) <= 2, `${board}: ${boardCount} of 72 in the first wave`);
  }
  t.ok(
    new Set(members.filter((_, i) => waves[i] === 1).map(({ site }) => site)).size >= 10,
    'of nearly every site',
  );
  const reversed = [...members].reverse();
  t.strictSame(assignWaves('r', reversed, PLAN).reverse(), waves, 'in whatever order they come');
  t.notSame(assignWaves('other', members, PLAN), waves, 'another rollout begins with others');
  t.throws(() => assignWaves('r', members.slice(1), PLAN), /canary.boxes: b-0 is not among/);
});

void t.test('a plan is refused with a line for each error', async (t) => {
  const outcomeOf = (content: unknown) => {
    try {
      return planOf(content, 'Europe/Paris');
    } catch (error) {
      return (error as Error).message;
    }
  };
  t.match(PLAN, {
    notAfterDays: 30,
    window: null,
    thresholds: { confirmed: 0.95, canaryFailures: 2, failures: 0.02, failuresMin: 3 },
  });
  t.equal(
    outcomeOf({ canary: { boxes: [] }, wave: [], notAfterDays: 'x' })
      .toString()
      .split('\n').length,
    3,
  );
  t.match(outcomeOf({}), 'the plan: canary is missing');
  t.match(
    outcomeOf({ canary: { boxes: ['a'] }, waves: [{ share: 0.5 }, { share: 0.2 }] }),
    'waves.1.share: 0.2 is not more than the 0.5',
  );
  t.match(
    outcomeOf({ canary: { boxes: ['a'] }, waves: [{ share: 0.5 }] }),
    'the last share is 0.5; it must be 1',
  );
  const window = { days: ['mon'], from: '01:00', to: '05:00' };
  t.match(outcomeOf({ canary: { boxes: ['a'] }, window }), { window: { tz: 'Europe/Paris' } });
  t.match(
    outcomeOf({ canary: { boxes: ['a'] }, window: { ...window, tz: 'Mars/Base' } }),
    'the time zone Mars/Base is not known',
  );
  t.match(outcomeOf({ canary: { boxes: ['a'] }, window: { ...window, from: '25:00' } }), 'window');
});

void t.test('a report is attributed to its rollout', async (t) => {
  const report = (updater: object | null, config = {}): UpdateReport =>
    ({
      updater,
      refused: null,
      config: { phase: 'idle', rollout: null, sha256: 'old', reason: null, refused: null, ...config },
    }) as UpdateReport;
  const fields = { what: 'release', seq: 43, version: '1.5.0' } as const;
  const expected = { kind: 'release', rollout: 'r', fields } as const;
  const progressBy = (updater: object): BoxState | Progress =>
    progressOf(report({ reason: null, release: { seq: 42 }, ...updater }), expected).progress;
  t.equal(progressBy({ phase: 'staged', rollout: 'r' }), 'begun');
  t.equal(
    progressBy({ phase: 'probation', rollout: 'r', release: { seq: 43 } }),
    'switched',
    'it runs it, and has not kept it',
  );
  t.equal(progressBy({ phase: 'rolled-back', rollout: 'r' }), 'rolled-back');
  t.equal(progressBy({ phase: 'rolled-back', rollout: 'earlier' }), 'none', 'of another rollout');
  t.equal(
    progressBy({ phase: 'idle', rollout: null, release: { seq: 43 } }),
    'confirmed',
    'it is there by another way',
  );
  t.equal(progressBy({ phase: 'probation', rollout: 'local', release: { seq: 43 } }), 'none');
  const text = { revision: 1, sha256: 'new', yaml: 'x' };
  const configured = { kind: 'configuration', rollout: 'c', fields: text } as const;
  t.equal(
    progressOf(report(null, { phase: 'awaits-resume', rollout: 'c', sha256: 'new' }), configured).progress,
    'parked',
  );
  t.equal(progressOf(report(null, { sha256: 'new' }), configured).progress, 'confirmed');
  t.match(progressOf(report(null), expected), { progress: 'none', reason: 'it has no updater' });
  t.equal(progressOf(undefined, expected).progress, 'none');
  const rooted = { kind: 'root', rollout: 'p', fields: { ...fields, what: 'root', seq: 44 } } as const;
  const root = { phase: 'idle', rollout: null, reason: null, release: { seq: 41 } };
  const agent = { phase: 'confirmed', rollout: 'r', reason: null, release: { seq: 44 } };
  const saysRoot = (change: object): BoxState | Progress =>
    progressOf(report({ ...agent, root: { ...root, ...change } }), rooted).progress;
  t.equal(saysRoot({}), 'none', 'the number of the agent’s release is another program’s');
  t.equal(saysRoot({ phase: 'staged', rollout: 'p' }), 'begun');
  t.equal(saysRoot({ phase: 'probation', rollout: 'p', release: { seq: 44 } }), 'switched');
  t.equal(saysRoot({ phase: 'confirmed', rollout: 'p', release: { seq: 44 } }), 'confirmed');
  t.equal(saysRoot({ phase: 'rolled-back', rollout: 'p' }), 'rolled-back');
});

void t.test('a report on two changes names the one that moves, or moved last', (t) => {
  const change = (phase: string, rollout: string | null, minute: number): object => ({
    phase,
    rollout,
    reason: null,
    target: null,
    release: null,
    since: new Date(minute * 60_000).toISOString(),
  });
  const namedRollout = (release: object, root: object) =>
    rolloutIn({ updater: { ...release, root } } as unknown as UpdateReport, 'update');
  const idle = change('idle', null, 0);
  t.strictSame(namedRollout(change('waiting', 'a', 5), idle), { kind: 'release', rollout: 'a' });
  t.strictSame(namedRollout(change('confirmed', 'a', 5), change('waiting', 'r', 6)), {
    kind: 'root',
    rollout: 'r',
  });
  t.strictSame(namedRollout(change('confirmed', 'a', 9), change('waiting', 'r', 6)), {
    kind: 'root',
    rollout: 'r',
  });
  t.strictSame(namedRollout(change('confirmed', 'a', 9), change('confirmed', 'r', 6)), {
    kind: 'release',
    rollout: 'a',
  });
  t.strictSame(
    namedRollout(change('confirmed', 'a', 5), change('idle', null, 7)),
    { kind: 'root', rollout: null },
    'a withdrawn order names no rollout',
  );
  t.end();
});

void t.test('only boxes that fit are chosen, and every other one has a reason', async (t) => {
  const targets = targetsOf();
  const running = (seq: number) => ({ release: { seq, version: '1.4.2' } });
  const updater = {
    root: running(41),
    board: 'rpi5',
    arch: 'arm64',
    node: '20.20.2',
    freeBytes: 1e12,
    release: { seq: 42, version: '1.4.2' },
  };
  const row = (name: string, change: object | null, fields: Partial<BoxRow> = {}): BoxRow =>
    ({
      site: 's',
      box: name,
      other: null,
      revoked_at: null,
      report: { updater: change && { ...updater, ...change } },
      ...fields,
    }) as BoxRow;
  const rows = [
    row('delta', {}),
    row('whole', { release: { seq: 39, version: '1.4.0' } }),
    row('there', { release: { seq: 43, version: '1.5.0' } }),
    row('newer', { release: { seq: 44, version: '1.6.0' } }),
    row('pc', { board: 'pc' }),
    row('amd64', { arch: 'amd64' }),
    row('node', { node: '18.1.0' }),
    row('full', { freeBytes: 1000 }),
    row('bare', null),
    row('silent', {}, { report: undefined }),
    row('other', {}, { other: 'ab' }),
  ];
  const { takes, upToDate, leftOut } = chooseBoxes(targets, { name: '1.5.0' }, rows);
  t.strictSame(
    takes.map(({ box: name, way, bytes }) => [name, way, bytes]),
    [
      ['delta', 'delta', 17_000],
      ['whole', 'full', 28_600_000],
    ],
  );
  t.strictSame(
    upToDate.map(({ box: name }) => name),
    ['there'],
  );
  const reasons = Object.fromEntries(leftOut.map(({ box: { box: name }, reason }) => [name, reason]));
  t.match(reasons, {
    newer: 'is not newer than 44',
    pc: 'this box is pc',
    amd64: '1.5.0 is not there for amd64',
    node: 'this box has 18.1.0',
    full: 'MiB free on the disk',
    bare: 'it has no updater',
    silent: 'it has not reported',
    other: 'another key',
  });
  t.equal(takes.length + upToDate.length + leftOut.length, rows.length, 'every box is covered');
  const checkRefusal = (name: string, isRoot: boolean, message: RegExp): unknown =>
    t.throws(() => chooseBoxes(targets, { name, isRoot }, rows), { kind: 'config', message });
  checkRefusal('9.9.9', false, /^release 9.9.9 of the agent is not published; published are 43-1.5.0$/);
  checkRefusal('9.9.9', true, /^release 9.9.9 of root’s program is not published; published are 44-1.5.0$/);
  checkRefusal('43', true, /^--root: release 43 is one of the agent; leave --root out$/);

  const choice = chooseBoxes(targets, { name: '1.5.0', isRoot: true }, [
    row('delta', {}),
    row('there', { root: running(44) }),
    row('old-package', { root: { release: null } }),
  ]);
  t.match(choice, { kind: 'root', seq: 44, takes: [{ box: 'delta', fields: { what: 'root', seq: 44 } }] });
  t.match(choice, { upToDate: [{ box: 'there' }], leftOut: [{ reason: /a package without releases/ }] });
});

void t.test('a single canary that rolls back halts the rollout at once', (t) => {
  const sentOrder = { action: 'install', heardMs: HOUR } as const;
  const one = box(0, 0, { ...sentOrder, state: 'switched', progress: 'rolled-back' });
  const later = box(2, 1);
  t.match(step(NEW, [one, later], HOUR).rollout, { state: 'halted', reason: '1 canary rolled back' });
  const resumed = { ...NEW, accepted: { failures: 1, triedCount: 1 } };
  const isLost = /^no canary is left that could confirm; `fleet rollout abort`/;
  t.match(step(resumed, [one, later], HOUR), { rollout: { state: 'running' }, explanation: isLost });
  t.match(step(NEW, [{ ...one, isSkipped: true }, later], HOUR), { explanation: isLost }, 'nor one left out');
  const two = box(1, 0, { ...sentOrder, state: 'confirmed', progress: 'confirmed' });
  t.equal(step(NEW, [one, two, later], HOUR).rollout.state, 'running', 'with another one the limit holds');
  const parked = box(0, 0, { ...sentOrder, state: 'parked', progress: 'parked' });
  const waiting = step(NEW, [parked, later], 2 * HOUR);
  t.match(
    waiting,
    { explanation: /other canaries, or resume a suspended one$/ },
    'a suspended one tries nothing',
  );
  t.match(waiting.rollout, { wave: 0, reachedMs: null }, 'so the next wave waits');
  t.end();
});

void t.test('a box’s messages cannot fill the store', (t) => {
  const store = new FleetStore(scratch(t));
  t.teardown(() => store.close());
  store.addBox('lyon', 'a', 1);
  const knowledge = new Knowledge(store);
  const send = (box: string, n: number) => ({
    site: 'lyon',
    box,
    branch: 'update/reported',
    payload: Buffer.alloc(200_000 + n, ' '),
  });
  for (let n = 0; n < 200; n += 1) knowledge.take([send('a', n), send('nobody', n)], n, true);
  t.equal(store.boxes().length, 1);
  const rows = store.refusals();
  t.ok(rows.length <= 42, `${rows.length} rows`);
  t.equal(
    rows.reduce((sum, { count }) => sum + count, 0),
    400,
    'all are counted',
  );
  t.end();
});

const VIEW = {
  rollout: 'r-1',
  kind: 'release',
  description: '43-1.5.0',
  state: 'running',
  createdAt: '2026-11-25T11:00:00.000Z',
  notAfter: '2026-11-26T11:00:00.000Z',
  nextWave: null,
  stuck: null,
  waves: [],
  boxes: [],
} as unknown as RolloutView;

void t.test('a failed write of the metrics is reported once, and again only after a successful one', (t) => {
  const dir = join(scratch(t), 'node-exporter');
  const file = join(dir, 'rollout.prom');
  const clock = new HandClock();
  const warnings: string[] = [];
  const metrics = new RolloutMetricsFile({ file, clock, warn: (line) => warnings.push(line) });
  const writeNext = (): void => {
    clock.advance(15_000);
    metrics.writeIfDue(() => VIEW);
  };
  for (let i = 0; i < 3; i += 1) writeNext();
  t.equal(warnings.length, 1);
  t.match(warnings[0], `fleet.yaml: metricsFile: ${file} cannot be written (ENOENT`);
  t.match(warnings[0], /; make its folder, or leave metricsFile out$/);
  mkdirSync(dir);
  writeNext();
  t.match(readFileSync(file, 'utf8'), /vigie_rollout_state\{rollout="r-1",state="running"\} 1\n/);
  rmSync(dir, { recursive: true });
  for (let i = 0; i < 3; i += 1) writeNext();
  t.equal(warnings.length, 2, 'another fault');
  t.end();
});

/** `vigie walktest` as a technician or a script calls it, beside a record that an agent writes. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { RECORD_FILE, RecordStore } from '../../agent/accuracy/store.ts';
import type { RuleConfig } from '../../agent/contract/rule-config.ts';
import { KERB, LONG_STAY, seeingBox, WATCHING } from '../lib/accuracy.ts';
import { scratch } from '../lib/paths.ts';
import { type Program, start, VIGIE, vigie } from '../lib/program.ts';
import { until } from '../lib/room.ts';

void t.test('walktest: what it refuses, in one line', async (t) => {
  const dir = scratch(t);
  const missing = vigie(t, 'walktest', '--rule', 'kerb', '--every', '60', '--state', join(dir, 'none'));
  t.equal(await missing.ended, 2);
  t.match(missing.err, /^vigie: .*none\/accuracy\.db: no record of accuracy[^\n]*\n$/);
  const store = RecordStore.make(join(dir, RECORD_FILE));
  t.teardown(() => store.close());
  const off: RuleConfig = {
    id: 'off',
    kind: 'illegal-parking',
    zone: 'forecourt',
    purpose: 'pedestrian-safety',
    afterS: 60,
    classes: ['car'],
    moveTolerance: 0.25,
    schedule: [{ days: ['holiday'], from: '00:00', to: '24:00' }],
  };
  const watching = { ...WATCHING, rules: [LONG_STAY, KERB, off] };
  const cases: [string, string[], Parameters<typeof seeingBox>[0], number, RegExp][] = [
    [
      'a pipe',
      ['--rule', 'kerb'],
      {},
      2,
      /standard input is no terminal, .*--every S they start by themselves/,
    ],
    ['no agent', ['--rule', 'kerb', '--every', '60'], { pid: null }, 2, /no agent runs with the state in /],
    ['blind', ['--rule', 'kerb', '--every', '60'], { sees: false }, 1, /no frames from its camera/],
    ['a rule', ['--rule', 'kreb', '--every', '60'], {}, 2, /--rule kreb: .*it has long-stay, kerb, off/],
    ['a schedule', ['--rule', 'off', '--every', '999'], {}, 2, /--rule off: it is off now by its schedule/],
    ['haste', ['--rule', 'long-stay', '--every', '41'], {}, 2, /a pass of rule long-stay may take 42 s/],
    ['passes', ['--rule', 'kerb', '--passes', '1.5'], {}, 2, /whole number from 1 to 1000/],
    ['no rule', ['--every', '60'], {}, 2, /required option '--rule <id>' not specified/],
  ];
  for (const [name, args, state, code, line] of cases) {
    store.setBox(seeingBox({ watching, ...state }));
    const program = vigie(t, 'walktest', ...args, '--state', dir);
    program.child.stdin?.end();
    t.equal(await program.ended, code, name);
    t.match(program.err, line, name);
    t.match(program.err, /^vigie: [^\n]+\n$/, `${name}: one line`);
    t.equal(program.out, '');
  }
});

void t.test('walktest: by the clock, given up, and again', async (t) => {
  const dir = scratch(t);
  const store = RecordStore.make(join(dir, RECORD_FILE));
  t.teardown(() => store.close());
  store.setBox(seeingBox());
  let alerts = 0;
  const raise = (): void => {
    alerts += 1;
    const wallMs = Date.now();
    store.raise({ episode: `b-e${alerts}`, event: `b-${alerts}`, rule: 'kerb', wallMs });
    store.end(`b-e${alerts}`, wallMs);
  };
  // Nobody crosses a line within the millisecond in which he is told to; a busy program may need some to look up.
  const acted = (): Promise<void> => sleep(1500);
  const run = (passes: number): Program =>
    vigie(t, 'walktest', '--rule', 'kerb', '--passes', `${passes}`, '--every', '30', '--state', dir);

  const given = run(2);
  await until(t, 'the first pass', () => given.err.includes('Pass 1 of 2: cross line kerb'), 20_000);
  await acted();
  raise();
  await until(t, 'seen', () => given.err.includes('seen after'), 20_000);
  given.child.kill('SIGINT');
  t.equal(await given.ended, 1);
  t.match(given.err, /vigie: the walk test was given up; nothing was kept\n$/);
  t.match(store.figures(['kerb']), [{ alerts: 1, walk: null }]);

  const whole = run(1);
  await until(t, 'the pass', () => whole.err.includes('Pass 1 of 1'), 20_000);
  await acted();
  raise();
  t.equal(await whole.ended, 0, whole.err);
  t.equal(whole.out, 'kerb: 1 of 1 passes seen; recall 1.00, 95 % interval 0.21–1.00\n');
  t.notMatch(whole.err, '\r', 'quiet in a pipe');
  t.match(store.figures(['kerb']), [{ alerts: 1, walk: { passes: 1, seen: 1 } }]);
});

void t.test('walktest: at a terminal', async (t) => {
  const dir = scratch(t);
  const store = RecordStore.make(join(dir, RECORD_FILE));
  t.teardown(() => store.close());
  store.setBox(seeingBox());
  // `exec`: a shell that stayed between would be ended by the Ctrl-C too, and its end told instead of ours.
  const command = `exec '${process.execPath}' '${VIGIE}' walktest --rule kerb --passes 2 --state '${dir}'`;
  // script(1) of util-linux gives it a terminal; all that it shows comes on standard output.
  const program = start(t, 'script', ['-qefc', command, '/dev/null']);
  let asked = 0;
  const answer = async (text: string): Promise<void> => {
    asked += 1;
    await until(t, `question ${asked}`, () => (program.out.match(/\[Enter/g)?.length ?? 0) >= asked, 20_000);
    program.child.stdin?.write(text);
  };
  const seen = async (pass: number): Promise<void> => {
    await until(
      t,
      'watching',
      () => program.out.split(`Pass ${pass} of 2`).at(-1)?.includes('watching') === true,
      20_000,
    );
    store.raise({ episode: `b-e${asked}`, event: `b-${asked}`, rule: 'kerb', wallMs: Date.now() });
    store.end(`b-e${asked}`, Date.now());
  };
  await answer('\n');
  await seen(1);
  await answer('r\n');
  await answer('\n');
  await seen(1);
  await answer('\n');
  await seen(2);
  await answer('\n');
  t.equal(await program.ended, 0, program.out);
  t.match(program.out, 'kerb: 2 of 2 passes seen, 1 repeated; recall 1.00, 95 % interval 0.34–1.00');
  t.match(store.figures(['kerb']), [{ alerts: 0, walk: { passes: 2, seen: 2, repeated: 1 } }]);

  const interrupted = start(t, 'script', ['-qefc', command, '/dev/null']);
  await until(t, 'a question', () => interrupted.out.includes('[Enter'), 20_000);
  interrupted.child.stdin?.write('\u0003');
  t.equal(await interrupted.ended, 1);
  t.match(interrupted.out, 'given up; nothing was kept');
});

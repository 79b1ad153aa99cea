/** Tests attacks on a box's files and through the agent: no older release, no disclosed secret, no blocked updater. */
import { appendFileSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { UPDATE_ORDER_TYPE } from '../../agent/contract/update.ts';
import type { State } from '../../scripts/products/root/change/record.ts';
import { signed } from '../lib/commands.ts';
import { start } from '../lib/program.ts';
import { UpdatingBox } from '../lib/updating-box.ts';

async function changeTo(box: UpdatingBox, seq: number): Promise<void> {
  box.order({ seq });
  for (const command of ['run', 'judge']) await box.run(command);
}

void t.test('restored old records lead to no older release', async (t) => {
  const box = await UpdatingBox.make(t, { releases: 4 });
  const [state, history] = ['state.json', 'history.jsonl'].map((name) => join(box.state, name)) as [
    string,
    string,
  ];
  await box.run('run');
  box.order({ seq: 2 });
  const captured = readFileSync(join(box.agentState, 'update-desired.dsse.json'));
  const days: { phase: string; state: Buffer; history: Buffer; tuf: string }[] = [];
  const keep = (): void => {
    const tuf = join(box.dir, `tuf-${days.length}`);
    cpSync(join(box.state, 'tuf'), tuf, { recursive: true });
    days.push({ phase: box.record.phase, state: readFileSync(state), history: readFileSync(history), tuf });
  };
  await box.run('run');
  keep();
  const { trial: begunTrial, target } = box.rawRecord.release;
  await box.run('judge');
  keep();
  await changeTo(box, 3);
  t.equal(box.current, '3-0.3.0');
  const earlier = JSON.parse(String(days[0]?.state)) as State;
  for (const phase of ['staged', 'switching'] as const) {
    const trial = phase === 'staged' ? null : begunTrial;
    const record = JSON.stringify({ ...earlier, release: { ...earlier.release, phase, target, trial } });
    days.push({ ...(days[0] as (typeof days)[0]), phase, state: Buffer.from(record) });
  }
  const [nowState, nowHistory] = [readFileSync(state), readFileSync(history)];
  for (const day of days) {
    for (const withHistory of [false, true]) {
      writeFileSync(state, day.state);
      writeFileSync(history, withHistory ? day.history : nowHistory);
      rmSync(join(box.state, 'tuf'), { recursive: true });
      cpSync(day.tuf, join(box.state, 'tuf'), { recursive: true });
      box.writeOrder(captured);
      for (const command of ['run', 'judge', 'run']) await box.run(command);
      const name = `${day.phase}${withHistory ? ', its history too' : ''}`;
      t.equal(box.current, '3-0.3.0', name);
      t.ok(['confirmed', 'failed'].includes(box.record.phase), `${name}: ${box.record.phase}`);
      if (!withHistory) t.match(box.record.refusal?.reason, /may have been obeyed before/, name);
    }
  }
  // A restored backup lacks all orders since then.
  writeFileSync(history, nowHistory);
  writeFileSync(state, String(days[1]?.state));
  await box.run('run');
  t.match((await box.run('back')).err, /no previous release is stored/);
  cpSync(box.treeOf(1), join(box.dir, 'first-release'), { recursive: true });
  t.match((await box.run('from-package')).err, /1-0\.1\.0 is below 3/, 'how far back it may go is not known');

  // The clock was decades ahead when the record was lost; the network has set it since.
  writeFileSync(state, JSON.stringify({ ...JSON.parse(String(nowState)), ordersFromMs: Date.UTC(2081, 0) }));
  mkdirSync(join(box.dir, 'run/systemd/timesync'), { recursive: true });
  writeFileSync(join(box.dir, 'run/systemd/timesync/synchronized'), '');
  await box.run('run');
  box.writeOrder(
    signed(box.signer, box.orderOf({ seq: 4, notBefore: new Date().toISOString() }), UPDATE_ORDER_TYPE),
  );
  await box.run('run');
  t.equal(box.current, '4-0.4.0', box.record.refusal?.reason ?? '');
});

void t.test('a staged release is verified against its manifest again before the switch', async (t) => {
  const box = await UpdatingBox.make(t);
  await changeTo(box, 2);

  const other = await UpdatingBox.make(t);
  cpSync(box.state, other.state, { recursive: true });
  other.writeRequest(2);
  const { rollout, counter, notBefore, notAfter, window } = other.order();
  rmSync(join(other.state, 'history.jsonl'));
  const order = { rollout, keyid: 'a'.repeat(64), counter, notBefore, notAfter, window, may: [] };
  other.setRecord({ phase: 'staged', trial: null, order }, { starts: [], previous: null, last: null });
  // Through its other name: unchanged files share their content with the running release.
  appendFileSync(join(other.lib, 'releases/2-0.2.0/dist/part-1/file-1.js'), '// patched in place\n');
  rmSync(join(other.agentState, 'update-desired.dsse.json'));
  await other.run('run');
  t.equal(other.current, '1-0.1.0');
  t.match(other.record, {
    phase: 'failed',
    reason: /does not match its manifest: it has \.\/dist\/part-1\/file-1\.js/,
  });
});

void t.test('a running release without a readable version can be replaced', async (t) => {
  const box = await UpdatingBox.make(t, { releases: 3 });
  writeFileSync(join(box.lib, 'current/VERSION'), '{"seq":');
  await changeTo(box, 2);
  t.match(box.status, { phase: 'confirmed', release: { seq: 2 } });
  writeFileSync(join(box.lib, 'current/VERSION'), '');
  cpSync(box.treeOf(3), join(box.dir, 'first-release'), { recursive: true });
  const packaged = await box.run('from-package');
  t.equal(packaged.code, 0, packaged.err);
  t.equal(box.current, '3-0.3.0');
});

void t.test('a login in an unreadable configuration is in no message', async (t) => {
  const box = await UpdatingBox.make(t);
  for (const [index, yaml] of [
    'site: a\ncamera: { source: "rtsp://admin:hunter2@10.0.0.2/main" }}\n',
    'camera:\n  source: "rtsp://admin:hunter2@10.0.0.2/main\n',
    'camera: { source: *hunter2 }\n',
    'a: 1\na: "rtsp://admin:hunter2@10.0.0.2/main"\n',
    'camera: !hunter2 x\n\tsource: hunter2\n',
    'camera: rtsp://admin:hunter2@10.0.0.2/main : 1\n',
  ].entries()) {
    box.configure(yaml);
    box.order({ rollout: `r${index}` });
    const run = await box.run('run');
    t.match(box.record.refusal?.reason, /vigie\.yaml: .*(line \d+|alias leads)|vigie\.yaml: site/, yaml);
    t.match(box.status.reason, /an order was refused/);
    const texts = ['state.json', 'status.json'].map((name) => readFileSync(join(box.state, name), 'utf8'));
    t.notMatch(texts.join() + run.err + run.out, /hunter2/, yaml);
  }
});

void t.test('a file that the agent’s user writes all the time does not hold root’s program up', async (t) => {
  const box = await UpdatingBox.make(t);
  const file = join(box.agentState, 'update-desired.dsse.json');
  const writing = `const { renameSync, writeFileSync } = require('node:fs');
    for (let n = 0; ; n += 1) { writeFileSync(${JSON.stringify(`${file}.n`)}, '{"n":' + n + '}'); renameSync(${JSON.stringify(`${file}.n`)}, ${JSON.stringify(file)}); }`;
  const writer = start(t, process.execPath, ['-e', writing]);
  const begunMs = performance.now();
  const running = box.start('run');
  const late = setTimeout(() => running.child.kill('SIGKILL'), 15_000);
  await running.exit;
  clearTimeout(late);
  writer.child.kill('SIGKILL');
  await writer.exit;
  t.ok(performance.now() - begunMs < 15_000);
  t.equal(running.code, 0);
  const refusals = running.err.split('is refused').length - 1;
  // A busy machine gives the program more time to see changes. Without its limit it would look until it is killed.
  t.ok(refusals >= 1 && refusals <= 30, `${refusals} looks`);
});

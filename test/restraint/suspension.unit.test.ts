/** Tests the suspension file: an unreadable file suspends, and a suspension that the disk refuses still applies. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { JournalEntry } from '../../agent/contract/journal.ts';
import { SUSPEND_FILE } from '../../agent/contract/mode.ts';
import { RestraintFolder } from '../../agent/orders/restraint-folder.ts';
import { type SuspensionState, suspensionText } from '../../agent/orders/suspension.ts';
import type { RootRecord } from '../../agent/restraint/root-record.ts';
import { Suspension } from '../../agent/restraint/suspension.ts';
import { SuspensionRecords } from '../../agent/restraint/suspension-records.ts';
import { HandClock } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';

const START_MS = new HandClock().epochMs;
const iso = (ms: number): string => new Date(ms).toISOString();

void t.test('a suspension file that cannot be read, or is of another version, suspends', async (t) => {
  const file = join(scratch(t), 'suspension.json');
  const suspension = new Suspension(file);
  t.match(suspension.read(), { suspended: true, reason: /cannot be read/ }, 'gone');
  suspension.begin(START_MS);
  t.equal(suspension.read().suspended, false);
  const state = suspension.suspend('court', 'box', START_MS);
  t.match(suspension.read(), { suspended: true, reason: 'court', by: 'box', since: iso(START_MS) });
  t.same(suspension.suspend('again', 'box', START_MS + 1), state, 'the first one stays');
  t.same(new Suspension(file).read(), state, 'for a new reader too');
  const good = readFileSync(file, 'utf8');
  suspension.resume('lifted', 'prefect, mayor', START_MS);
  t.equal(new Suspension(file).read().suspended, false);
  const active = readFileSync(file, 'utf8');
  const damages: [string, RegExp][] = [
    ['', /is damaged/],
    ['null', /is damaged/],
    ['{"suspended":false}', /is damaged/],
    [active.slice(0, -1), /is damaged/],
    [active.replace('"version":1', '"version":2'), /is of version 2, unknown here/],
    [active.replace('{', '{"more":1,'), /is damaged/],
    [active.replace('false', '"false"'), /is damaged/],
  ];
  for (const [damage, reason] of damages) {
    writeFileSync(file, damage);
    const { suspended, reason: statedReason } = new Suspension(file).read();
    t.ok(suspended, damage);
    t.match(statedReason, reason);
    t.equal(readFileSync(file, 'utf8'), damage, 'and left unchanged');
  }
  t.ok(suspension.read().suspended, 'one that has read it before sees it as well');
  writeFileSync(file, good);
  t.match(suspension.read(), { suspended: true, reason: 'court' });
  rmSync(file);
  mkdirSync(file);
  t.throws(() => suspension.resume('x', 'y', START_MS), {
    kind: 'unavailable',
    message: /cannot be written/,
  });
  t.ok(suspension.read().suspended, 'a disk that refuses lets nothing go on');
});

void t.test('a suspension that the disk refuses still applies', async (t) => {
  const dir = scratch(t);
  const file = join(dir, 'below', 'suspension.json');
  mkdirSync(join(dir, 'below'));
  const suspension = new Suspension(file);
  suspension.begin(START_MS);
  mkdirSync(`${file}.new`);
  t.throws(() => suspension.suspend('court', 'desk', START_MS), {
    kind: 'unavailable',
    message: /cannot be written/,
  });
  t.match(suspension.read(), { suspended: true, reason: 'court' });
  rmSync(`${file}.new`, { recursive: true });
  t.match(suspension.read(), { suspended: true, reason: 'court' });
  t.match(new Suspension(file).read(), { suspended: true, reason: 'court' }, 'written as soon as it can be');
});

/** Makes a box that its court has suspended, with root's record of it, which `atRoot` fills in. */
function recordedBox(t: Test, whileRootAnswers: () => void = () => undefined) {
  const dir = scratch(t);
  const rootDir = join(dir, 'root');
  mkdirSync(rootDir);
  const requests: SuspensionState[] = [];
  const entered: string[] = [];
  const file = new Suspension(join(dir, 'suspension.json'));
  const state = file.suspend('court', 'box', START_MS);
  const atRoot = (over: Partial<SuspensionState>): void =>
    writeFileSync(join(rootDir, 'suspension.json'), suspensionText({ ...state, ...over }));
  const journalState: { suspension: typeof state | undefined; authority: string } = {
    suspension: state,
    authority: 'key',
  };
  const enter = ({ type }: JournalEntry): void => {
    entered.push(type);
    if (type === 'resume') journalState.suspension = undefined;
  };
  const records = new SuspensionRecords({
    stateDir: dir,
    clock: { wallMs: () => START_MS },
    record: {
      folder: new RestraintFolder(rootDir),
      suspend: async (one: SuspensionState) => void requests.push(one),
      resume: async () => {
        atRoot({ suspended: false, reason: 'lifted', by: 'prefect, mayor' });
        whileRootAnswers();
      },
    } as unknown as RootRecord,
    journal: { writable: true, recordedState: journalState, enter, enterSurely: enter },
    onFailed: t.fail,
  });
  return { dir, records, file, state, atRoot, requests, entered };
}

const NAMES = ['prefect', 'mayor'];

void t.test('a command that suspends is passed on to root as it was signed', async (t) => {
  const { records, dir } = recordedBox(t);
  const command = Buffer.from('signed');
  records.suspend('court', 'desk', command);
  t.same(readFileSync(join(dir, SUSPEND_FILE)), command);
});

void t.test('an end at root that the box did not hear is not recorded again', async (t) => {
  const { records, state, atRoot, requests, entered } = recordedBox(t);
  await records.recordAtRoot();
  t.same(requests, [state], 'a suspension is');
  atRoot({ suspended: false, reason: 'lifted', by: 'prefect, mayor' });
  await records.recordAtRoot();
  t.equal(requests.length, 1, 'between the end at root and its answer');
  t.match(records.state(), { suspended: false, reason: 'lifted' });
  t.same(entered, ['resume'], 'and the end is in the journal, once');
});

void t.test('an end that a reading completes while root answers is entered once', async (t) => {
  const box = recordedBox(t, () => t.notOk(box.records.state().suspended));
  box.atRoot({});
  await box.records.end(box.state.id, 'lifted', NAMES, Buffer.from(''));
  t.match(box.records.state(), { suspended: false, reason: 'lifted' });
  t.same(box.entered, ['resume']);
});

void t.test('a new suspension survives the end of the last one at root', async (t) => {
  const box = recordedBox(t, () => {
    t.notOk(box.records.state().suspended);
    box.file.suspend('again', 'desk', START_MS + 1);
  });
  box.atRoot({});
  await box.records.end(box.state.id, 'lifted', NAMES, Buffer.from(''));
  t.match(box.records.state(), { suspended: true, reason: 'again' });
  await box.records.recordAtRoot();
  t.match(box.requests, [{ reason: 'again' }], 'and root has it on record');
});

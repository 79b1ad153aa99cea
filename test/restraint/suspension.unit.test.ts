/** The file of a suspension: what cannot be read suspends, and what the disk refuses holds. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Suspension } from '../../agent/restraint/suspension.ts';
import { HandClock } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';

const START_MS = new HandClock().epochMs;
const iso = (ms: number): string => new Date(ms).toISOString();

void t.test('suspension: what cannot be read, or is of another version, is suspended', async (t) => {
  const file = join(scratch(t), 'suspension.json');
  const suspension = new Suspension(file);
  t.match(suspension.read(), { suspended: true, reason: /cannot be read/ }, 'gone');
  suspension.begin(START_MS);
  t.equal(suspension.read().suspended, false);
  const state = suspension.suspend('court', 'box', START_MS);
  t.match(suspension.read(), { suspended: true, reason: 'court', by: 'box', since: iso(START_MS) });
  t.same(suspension.suspend('again', 'box', START_MS + 1), state, 'it stays as it was');
  t.same(new Suspension(file).read(), state, 'to whoever comes');
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
    const { suspended, reason: said } = new Suspension(file).read();
    t.ok(suspended, damage);
    t.match(said, reason);
    t.equal(readFileSync(file, 'utf8'), damage, 'and left as it is');
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

void t.test('a suspension that the disk refuses holds all the same', async (t) => {
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

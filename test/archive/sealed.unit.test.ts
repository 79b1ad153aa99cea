/** Tests the store of sealed stills: place, retention and release, on a clock that the test moves. */

import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import t, { type Test } from 'tap';
import { SealedStore, type SealedStoreOptions } from '../../agent/archive/sealed.ts';
import { UnsealHandler } from '../../agent/archive/unseal.ts';
import { AgentError } from '../../agent/base/errors.ts';
import { TrustedClock } from '../../agent/base/trusted-clock.ts';
import { encodeSealed, FromVision, LinkDecoder, receivedSealed } from '../../agent/contract/link.ts';
import { type SealedEvidence, UnsealRecord, UnsealResult } from '../../agent/contract/sealed-evidence.ts';
import { PurgeRecord } from '../../agent/contract/search.ts';
import { accepted } from '../lib/commands.ts';
import { counterValue, counterValues } from '../lib/counters.ts';
import { allowing, KeptNotes, makeFlow } from '../lib/kept-notes.ts';
import { HandClock, SILENT } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { sealed, stillOf } from '../lib/sealing.ts';
import { observation, track } from '../lib/street.ts';

const DAY_MS = 86_400_000;
/** A public age key whose secret no one has. */
const RECIPIENT = 'age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p';

const small = await sealed(await stillOf({ widthPx: 64, heightPx: 64 }), [RECIPIENT]);

interface TestStore {
  readonly store: SealedStore;
  readonly dir: string;
  readonly clock: HandClock;
  readonly purges: PurgeRecord[];
}

function make(t: Test, options: Partial<SealedStoreOptions> = {}): TestStore {
  const purges: PurgeRecord[] = [];
  const clock = (options.clock as HandClock | undefined) ?? new HandClock();
  const dir = options.dir ?? join(scratch(t), 'sealed');
  const store = new SealedStore({
    dir,
    limitMiB: 1,
    days: () => 30,
    clock,
    log: SILENT,
    steady: new TrustedClock(clock, () => true),
    onPurged: (record) => purges.push(record),
    ...options,
  });
  return { store, dir, clock, purges };
}

/** Advances the clock by a number of days, with upkeep every half hour. */
function passDays({ store, clock }: Pick<TestStore, 'store' | 'clock'>, days: number): void {
  for (let half = 0; half < days * 48; half += 1) {
    clock.advance(1_800_000);
    store.upkeep();
  }
}

t.test('a sealed still is stored complete under the event’s id, readable by its owner only', async (t) => {
  const { store, dir } = make(t);
  t.equal(store.keep('ab12-7', small), undefined);
  t.same(readdirSync(dir), ['ab12-7.age']);
  t.equal(statSync(dir).mode & 0o777, 0o700);
  t.equal(statSync(join(dir, 'ab12-7.age')).mode & 0o777, 0o600);
  t.same(readFileSync(join(dir, 'ab12-7.age')), Buffer.from(small.bytes));
  const read = store.read('ab12-7');
  t.equal(read?.sha256, small.sha256);
  t.equal(store.read('ab12-8'), undefined);
  t.match(counterValues(store), { sealed_files: 1, sealed_bytes: small.bytes.length, sealed_kept: 1 });
  t.equal(store.keep('ab12-7', small), undefined, 'the same again is the same');
  t.match(counterValues(store), { sealed_files: 1, sealed_bytes: small.bytes.length });
});

t.test('an invalid sealed still is not stored, and a damaged one not released', async (t) => {
  const { store, dir } = make(t);
  const { jpeg: bytes } = await stillOf({ widthPx: 64, heightPx: 64 });
  const jpeg = { ...small, bytes, sha256: createHash('sha256').update(bytes).digest('hex') };
  t.match(store.keep('a-1', jpeg), /could not be kept \(vision sent something other than a sealed still\)/);
  t.match(store.keep('a-2', { ...small, sha256: '0'.repeat(64) }), /other than a sealed still/);
  t.equal(existsSync(dir) ? readdirSync(dir).length : 0, 0);
  t.equal(counterValue(store, 'sealed_missed'), 2);
  store.keep('a-3', small);
  writeFileSync(join(dir, 'a-3.age'), jpeg.bytes);
  t.throws(() => store.read('a-3'), { kind: 'corrupt', message: /a-3.age is not an age file/ });
});

t.test('the link carries sealed stills and refuses a JPEG in their place', async (t) => {
  const [message] = new LinkDecoder(FromVision).push(encodeSealed(3, small));
  t.match(message?.message, { kind: 'sealed', request: 3, recipients: [RECIPIENT] });
  const header = message?.message as Extract<FromVision, { kind: 'sealed' }>;
  t.same(receivedSealed(header, message?.binary as Uint8Array), small);
  const jpeg = { ...small, bytes: (await stillOf({ widthPx: 64, heightPx: 64 })).jpeg };
  t.throws(() => encodeSealed(3, jpeg), { kind: 'bug', message: /is not an age file/ });
});

t.test('an event names its sealed still and does not contain it', async (t) => {
  const { store } = make(t);
  const notes = new KeptNotes();
  const rule = { id: 'stays', kind: 'loitering', zone: 'square', purpose: 'order', afterS: 1 } as const;
  const rules = [{ ...rule, classes: ['person' as const] }];
  const keepSealed = (event: string, still: SealedEvidence) => store.keep(event, still);
  const flow = makeFlow(notes, new HandClock(), { rules }, { keepSealed });
  flow.start(notes);
  flow.permit(allowing(rules));
  const person = track(1, { firstMs: 0, zones: [{ zone: 'square', sinceMs: 0 }] });
  for (let atMs = 0; atMs < 5000; atMs += 200)
    for (const { request } of flow.observe(observation(atMs, [person])).evidence) {
      for (const message of new LinkDecoder(FromVision).push(encodeSealed(request, small)))
        flow.evidence(message as Parameters<typeof flow.evidence>[0]);
      const message = { kind: 'no-snapshot', request, reason: 'none' } as const;
      flow.evidence({ message, binary: new Uint8Array() });
    }
  t.equal(notes.events.length, 1);
  const { sha256, recipients } = small;
  t.strictSame(notes.events[0]?.data.evidence.sealed, { sha256, recipients });
});

t.test('a disk that refuses writes is named in the event, and the next still is stored', async (t) => {
  const dir = join(scratch(t), 'sealed');
  writeFileSync(dir, 'in the way');
  const { store } = make(t, { dir });
  t.match(store.keep('a-1', small), /could not be kept \(E/);
  t.throws(() => store.read('a-1'), { kind: 'unavailable', message: /a-1.age cannot be read/ });
  rmSync(dir);
  t.equal(store.keep('a-2', small), undefined);
});

t.test('the oldest sealed stills are removed when there is no room', async (t) => {
  const big = await sealed(await stillOf({ widthPx: 640, heightPx: 480 }, 120), [RECIPIENT]);
  const fit = Math.floor(1_048_576 / big.bytes.length);
  t.ok(fit >= 2, `${big.bytes.length} bytes`);
  const testStore = make(t);
  for (let i = 1; i <= fit + 2; i += 1) {
    testStore.clock.advance(1000);
    testStore.store.keep(`a-${i}`, big);
  }
  t.notOk(existsSync(join(testStore.dir, 'a-1.age')));
  t.notOk(existsSync(join(testStore.dir, 'a-2.age')));
  t.ok(existsSync(join(testStore.dir, `a-${fit + 2}.age`)));
  testStore.store.upkeep();
  t.match(testStore.purges, [{ what: 'sealed', count: 2, why: 'limit' }]);
  t.ok(counterValue(testStore.store, 'sealed_bytes') <= 1_048_576);
  t.equal(counterValue(testStore.store, 'sealed_evicted'), 2);
});

t.test('a sealed still is removed after its days, with one journal entry', async (t) => {
  const testStore = make(t);
  testStore.store.keep('a-1', small);
  passDays(testStore, 15);
  testStore.store.keep('a-2', small);
  passDays(testStore, 14.9);
  t.same(readdirSync(testStore.dir), ['a-1.age', 'a-2.age']);
  passDays(testStore, 0.2);
  t.same(readdirSync(testStore.dir), ['a-2.age']);
  passDays(testStore, 1);
  t.equal(testStore.purges.length, 1);
  t.ok(Value.Check(PurgeRecord, testStore.purges[0]));
  t.match(testStore.purges[0], { what: 'sealed', count: 1, why: 'retention', days: 30 });
  t.equal(testStore.store.read('a-1'), undefined);
});

t.test('a purge that cannot be journaled yet is reported later', async (t) => {
  let refuses = true;
  const reports: PurgeRecord[] = [];
  const testStore = make(t, {
    onPurged: (record) => {
      if (refuses) throw new AgentError('unavailable', 'the journal is away');
      reports.push(record);
    },
  });
  testStore.store.keep('a-1', small);
  passDays(testStore, 1);
  testStore.store.keep('a-2', small);
  passDays(testStore, 30.5);
  t.same(readdirSync(testStore.dir), [], 'retention does not wait');
  refuses = false;
  passDays(testStore, 0.1);
  t.match(reports, [{ count: 2, why: 'retention' }]);
});

t.test('a wall clock that jumps deletes no still, and a corrected one lets none stay', async (t) => {
  let synced = true;
  const clock = new HandClock();
  const testStore = make(t, { clock, steady: new TrustedClock(clock, () => synced) });
  passDays(testStore, 0.1);
  testStore.store.keep('a-1', small);
  synced = false;
  testStore.clock.epochMs += 400 * DAY_MS;
  passDays(testStore, 0.5);
  t.same(readdirSync(testStore.dir), ['a-1.age'], 'not believed');
  testStore.store.keep('a-2', small);
  synced = true;
  testStore.clock.epochMs -= 400 * DAY_MS;
  passDays(testStore, 0.5);
  const madeMs = statSync(join(testStore.dir, 'a-2.age')).mtimeMs;
  t.ok(
    Math.abs(testStore.clock.wallMs() - madeMs - DAY_MS / 2) < 120_000,
    'dated again when the clock is right',
  );
  synced = false;
  passDays(testStore, 29.9);
  t.same(readdirSync(testStore.dir), [], 'thirty days are over by the monotonic clock too');
});

t.test('a restart finds the stored stills, and counts from now where no true time is known', async (t) => {
  const first = make(t);
  first.store.keep('a-1', small);
  first.store.keep('a-2', small);
  const { dir, clock } = first;
  const [old, futureMs] = [clock.wallMs() - 29 * DAY_MS, clock.wallMs() + 300 * DAY_MS];
  utimesSync(join(dir, 'a-1.age'), old / 1000, old / 1000);
  utimesSync(join(dir, 'a-2.age'), futureMs / 1000, futureMs / 1000);
  writeFileSync(join(dir, 'a-3.age.new'), 'half');
  mkdirSync(join(dir, 'stray'));
  chmodSync(dir, 0o755);
  const second = make(t, { dir, clock });
  second.store.upkeep();
  t.same(readdirSync(dir), ['a-1.age', 'a-2.age']);
  t.equal(statSync(dir).mode & 0o777, 0o700);
  t.equal(counterValue(second.store, 'sealed_files'), 2);
  passDays(second, 1.5);
  t.same(readdirSync(dir), ['a-2.age']);
  passDays(second, 28.4);
  t.same(readdirSync(dir), ['a-2.age']);
  passDays(second, 0.5);
  t.same(readdirSync(dir), []);
});

const command = (args: Record<string, unknown>, counter = 1) => accepted('unseal', args, { counter });
const REQUEST_ARGS = { case: '2026/1234', reason: 'assault on the forecourt', event: 'a-1' };

t.test('a sealed still is released unchanged, and journaled before that', async (t) => {
  const { store, clock } = make(t);
  store.keep('a-1', small);
  const records: UnsealRecord[] = [];
  let reads = 0;
  let refuses = false;
  const handler = new UnsealHandler({
    store: {
      read: (event): SealedEvidence | undefined => {
        reads += 1;
        return store.read(event);
      },
    },
    clock,
    record: (record) => {
      if (refuses) throw new AgentError('unavailable', 'the journal cannot be written');
      records.push(record);
    },
  });
  const result = handler.answer(command(REQUEST_ARGS));
  t.ok(Value.Check(UnsealResult, result));
  t.same(Buffer.from(result.file, 'base64'), Buffer.from(small.bytes));
  t.equal(result.sha256, small.sha256);
  t.match(records, [{ case: '2026/1234', key: 'judge-desk', event: 'a-1', sha256: small.sha256 }]);
  t.ok(Value.Check(UnsealRecord, records[0]));
  t.throws(() => handler.answer(command({ ...REQUEST_ARGS, event: 'a-2' }, 2)), {
    code: 'unavailable',
    message: /no sealed still of event a-2 is held here/,
  });
  t.match(records[1], { event: 'a-2', sha256: null }, 'the request is audited all the same');
  refuses = true;
  t.throws(() => handler.answer(command(REQUEST_ARGS, 3)), {
    code: 'unavailable',
    message: /nothing can be handed out: the journal cannot be written/,
  });
  t.equal(handler.counters['unseals'], 1);
  t.equal(reads, 3);
});

t.test('an unseal request without a case number, or with the name of another file, is refused', async (t) => {
  const { store, clock } = make(t);
  store.keep('a-1', small);
  const records: UnsealRecord[] = [];
  const handler = new UnsealHandler({ store, clock, record: (record) => records.push(record) });
  const { case: _, ...caseless } = REQUEST_ARGS;
  for (const args of [
    caseless,
    { ...REQUEST_ARGS, case: '' },
    { ...REQUEST_ARGS, reason: '\u200b ' },
    { ...REQUEST_ARGS, event: '../outbox' },
    { ...REQUEST_ARGS, event: 'a-1.age' },
    { ...REQUEST_ARGS, more: 1 },
  ]) {
    t.throws(() => handler.answer(command(args)), { code: 'bad-arguments' }, JSON.stringify(args));
  }
  t.same(records, []);
  for (let i = 0; i < 20; i += 1) handler.answer(command(REQUEST_ARGS));
  t.throws(() => handler.answer(command(REQUEST_ARGS)), { code: 'rate-limited', retryAfterS: 10 });
  t.equal(records.length, 20);
});

/** Tests the agent's journal entries on a clock that the test moves, with the real archive and journal. */

import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { EventArchive } from '../../agent/archive/archive.ts';
import { SearchHandler } from '../../agent/archive/search.ts';
import type { Config } from '../../agent/contract/config.ts';
import type { JournalContent } from '../../agent/contract/journal.ts';
import type { VisionStats } from '../../agent/contract/link.ts';
import { openCheckpoint, parseVerifierKey } from '../../agent/restraint/journal/note.ts';
import type { JournalRecorder } from '../../agent/restraint/journal/recorder.ts';
import { VisionStatus } from '../../agent/supervisor/status.ts';
import { configOf } from '../lib/agent.ts';
import { accepted } from '../lib/commands.ts';
import { counterValue, counterValues } from '../lib/counters.ts';
import { entry, eventAt } from '../lib/history.ts';
import { contentsIn, keyOf, makeRecorder, openJournal, wrongIn } from '../lib/journal.ts';
import { HandClock, SILENT } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import { BOX, SITE } from '../lib/room.ts';
import { rectangle } from '../lib/street.ts';

const MINUTE_MS = 60_000;

const boxWith = (fields: Record<string, unknown> = {}): Config =>
  configOf({ site: SITE, box: BOX, ...fields }, 'replay');

interface Box {
  readonly clock: HandClock;
  readonly archive: EventArchive;
  readonly recorder: JournalRecorder;
  readonly search: SearchHandler;
  readonly heads: string[];
}

function makeBox(
  t: Test,
  stateDir: string,
  config = boxWith(),
  clock = new HandClock(),
  options: { configFile?: string; status?: VisionStatus } = {},
): Box {
  const heads: string[] = [];
  const boot = `boot-${clock.epochMs}`;
  const archive = new EventArchive({
    boot,
    clock,
    log: SILENT,
    limitMiB: 16,
    eventsDays: () => 30,
    steady: { trusted: () => true },
    file: join(stateDir, 'archive.db'),
  });
  const publisher = { journalHead: (note: string) => heads.push(note) };
  const recorder = makeRecorder(stateDir, config, { ...options, boot, clock, archive, publisher });
  archive.start();
  t.teardown(() => archive.stop());
  return {
    clock,
    archive,
    recorder,
    search: new SearchHandler({ archive, clock, record: recorder.record.bind(recorder) }),
    heads,
  };
}

const typesIn = (stateDir: string): string[] => contentsIn(stateDir).map(({ type }) => type);

const verifierIn = (stateDir: string) => parseVerifierKey(keyOf(stateDir));

function searchOf(clock: HandClock, counter: number) {
  const [from, to] = [new Date(clock.epochMs - 1000), new Date(clock.epochMs)].map((d) => d.toISOString());
  const args = { case: '2026/1234', reason: 'theft of a bicycle', query: { from, to } };
  return accepted('search', args, { counter });
}

t.test(
  'the recorder journals start, heartbeats, alerts, clock steps and stop, and heads once a minute at most',
  async (t) => {
    const stateDir = scratch(t);
    const frames = { read: 9, analysed: 8, dropped: 1, watched: 4 };
    const status = new VisionStatus(boxWith());
    const { read: framesRead, analysed: framesAnalysed, dropped: framesDropped, watched } = frames;
    const counts = { framesRead, framesAnalysed, framesDropped, packetsWatched: watched };
    status.receive({ kind: 'stats', stats: counts as VisionStats });
    const { recorder, clock, heads } = makeBox(t, stateDir, boxWith(), new HandClock(), { status });
    recorder.start();
    recorder.tick();
    t.equal(heads.length, 1, 'the first head is sent at once');
    const alert = eventAt(clock.epochMs);
    recorder.event(alert);
    recorder.event({ ...alert, data: { ...alert.data, severity: 'notice' } });
    recorder.tick();
    t.equal(heads.length, 1, 'the next one waits');
    clock.advance(MINUTE_MS);
    recorder.tick();
    t.equal(openCheckpoint(heads[1] as string, verifierIn(stateDir)).size, 2);
    clock.advance(9 * MINUTE_MS);
    recorder.tick();
    clock.advance(500);
    clock.epochMs -= 3_600_000;
    recorder.tick();
    clock.advance(10 * MINUTE_MS);
    recorder.tick();
    recorder.stop();
    t.strictSame(typesIn(stateDir), ['start', 'alert', 'heartbeat', 'clock-step', 'heartbeat', 'stop']);
    t.match(contentsIn(stateDir)[2], { frames, config: /^[0-9a-f]{64}$/, model: null });
    t.match(contentsIn(stateDir)[3], { stepMs: -3_600_000 });
    t.match(contentsIn(stateDir)[5], { frames });
    t.equal(openCheckpoint(heads.at(-1) as string, verifierIn(stateDir)).size, 6, 'the stop is sent at once');
    t.strictSame(wrongIn(stateDir), []);
    t.equal(recorder.downBecause, undefined);
  },
);

t.test('a change names its file and zones, and another version is an update', async (t) => {
  const stateDir = scratch(t);
  const configFile = join(stateDir, 'vigie.yaml');
  writeFileSync(configFile, 'site: x');
  makeBox(t, stateDir).recorder.start();
  const square = rectangle(0, 0, 1, 1);
  const zoned = boxWith({ zones: [{ id: 'square', polygon: square }] });
  makeBox(t, stateDir, zoned, new HandClock(), { configFile }).recorder.start();
  t.strictSame(typesIn(stateDir), ['start', 'config', 'geometry', 'start']);
  const [first, change, , last] = contentsIn(stateDir) as unknown as Record<string, string>[];
  t.match(change, {
    before: first?.['config'],
    after: last?.['config'],
    zones: { before: first?.['zones'], after: last?.['zones'] },
    by: { uid: process.getuid?.(), user: /./, fileTime: /^20/ },
  });
  t.not(first?.['config'], last?.['config']);
  t.match(first, { timeZone: 'Europe/Paris' });

  openJournal(stateDir).append({ ...last, versions: { vigie: '0.0.9' } } as unknown as JournalContent);
  makeBox(t, stateDir, zoned).recorder.start();
  t.strictSame(typesIn(stateDir).slice(5), ['update', 'start']);
  t.match(contentsIn(stateDir)[5], { before: { vigie: '0.0.9' }, after: { node: process.versions.node } });
});

t.test('searches and purges are journaled once each, also over a restart', async (t) => {
  const stateDir = scratch(t);
  const clock = new HandClock();
  const first = makeBox(t, stateDir, boxWith(), clock);
  first.recorder.start();
  first.archive.add([entry(1, eventAt(clock.epochMs))]);
  first.search.answer(searchOf(clock, 1));
  clock.advance(31 * 24 * 60 * MINUTE_MS);
  first.archive.upkeep();
  clock.advance(MINUTE_MS);
  // Stopped before the recorder runs again, so the next start records the purge.
  await first.archive.stop();
  const second = makeBox(t, stateDir, boxWith(), clock);
  second.recorder.start();
  second.recorder.tick();
  second.search.answer(searchOf(clock, 2));
  second.recorder.tick();
  t.strictSame(typesIn(stateDir), ['start', 'search', 'start', 'purge', 'search']);
  t.match(contentsIn(stateDir)[1], { record: { case: '2026/1234', key: 'judge-desk', counter: 1 } });
  t.match(contentsIn(stateDir)[3], { record: { count: 1, why: 'retention' } });
});

t.test(
  'entries wait while a disk refuses the journal, searches get no answer, and all continues after it',
  async (t) => {
    const stateDir = scratch(t);
    const { recorder, clock, search } = makeBox(t, stateDir);
    recorder.start();
    const contents = join(stateDir, 'journal/contents');
    renameSync(contents, `${contents}.away`);
    writeFileSync(contents, '');
    for (let i = 0; i < 303; i += 1) recorder.event(eventAt(clock.epochMs + i));
    recorder.tick();
    t.match(recorder.downBecause, /the disk refuses the journal/);
    t.match(counterValues(recorder), { journal_entries: 1, journal_pending: 300, journal_missed: 3 });
    t.throws(() => search.answer(searchOf(clock, 1)), /the disk refuses the journal/);
    rmSync(contents);
    mkdirSync(contents);
    renameSync(`${contents}.away/000.jsonl`, join(contents, '000.jsonl'));
    clock.advance(10_000);
    recorder.tick();
    t.equal(recorder.downBecause, undefined);
    t.ok(counterValue(recorder, 'journal_pending') > 0, 'not all in one go');
    for (let i = 0; i < 50; i += 1) recorder.tick();
    t.match(counterValues(recorder), { journal_entries: 302, journal_pending: 0, journal_missed: 3 });
    t.strictSame(wrongIn(stateDir), []);
    t.match(readFileSync(join(contents, '001.jsonl'), 'utf8'), /"type":"missed","count":3\}/);
    t.equal(search.answer(searchOf(clock, 2)).matches, 0);
  },
);

t.test('a journal that was tampered with is reported and left unchanged', async (t) => {
  const stateDir = scratch(t);
  makeBox(t, stateDir).recorder.start();
  const file = join(stateDir, 'journal/checkpoint');
  writeFileSync(file, readFileSync(file, 'utf8').replace('\n1\n', '\n2\n'));
  const before = readFileSync(file, 'utf8');
  const { recorder } = makeBox(t, stateDir);
  recorder.start();
  recorder.tick();
  t.match(recorder.downBecause, /cannot go on: checkpoint: the signature of .* does not fit; keep a copy/);
  t.equal(readFileSync(file, 'utf8'), before);
});

/**
 * Tests the track log end to end: the agent on a street clip under a signed authorisation, a real broker, `scripts/room
 * tracks`, and the room's signer and console. The only stand-in is a timedatectl that reports a synchronised clock.
 */
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import { loadConfig } from '../../agent/config/load.ts';
import type { HealthReport } from '../../agent/contract/health.ts';
import type { JournalContent } from '../../agent/contract/journal.ts';
import type { RestraintRecord } from '../../agent/contract/search.ts';
import type { TrackLogGrant, TrackResult } from '../../agent/contract/track-log.ts';
import type { TrackAnswer } from '../../scripts/products/room/contract/tracks.ts';
import { authorised, authoriseFile } from '../lib/authority.ts';
import { makeSigner } from '../lib/commands.ts';
import { ask, enter, from, fullConsole, roomDatabase } from '../lib/console.ts';
import { putCamera } from '../lib/console-rows.ts';
import { DATABASES } from '../lib/databases.ts';
import { ROOT, STREET_CLIP, scratch } from '../lib/paths.ts';
import { roomProgram, start, VIGIE } from '../lib/program.ts';
import { BOX, clientOf, makeRoom, pairOf, type Room, SITE, waitUntil } from '../lib/room.ts';

const SIGNER = join(ROOT, 'dist/scripts/products/room/signer/main.js');
const SLOW_MS = 60_000;
/** Crossings after which the log has seen some seconds. */
const CROSSINGS = 6;
const HOUR_MS = 3_600_000;
const root = `vigie/${SITE}/${BOX}`;
const GRANT: Omit<TrackLogGrant, 'approvers'> = {
  purpose: 'searches after the fact',
  legalBasis: 'Code de test, art. L. 2',
  grade: 'persons',
  magistrate: 'the prosecutor of Test',
  zones: 'all',
  days: 1,
  spanHours: 24,
  budget: { case: 5000, keyDay: 5000, day: 5000 },
};

/** Makes a box on the clip with a set clock, and collects what the room receives from it. */
async function makeBox(t: Test, room: Room) {
  const dir = scratch(t);
  const stateDir = join(dir, 'state');
  const signers = { desk: makeSigner('desk', ['tracks']), second: makeSigner('magistrate') };
  const approvers = [signers.second, makeSigner('deputy')].map(({ config: { name, publicKey } }) => ({
    name,
    publicKey,
  }));
  for (const [name, { privateKey }] of Object.entries(signers))
    writeFileSync(join(dir, `${name}.pem`), privateKey.export({ type: 'pkcs8', format: 'pem' }), {
      mode: 0o600,
    });
  const config = join(dir, 'vigie.json');
  const content = {
    site: SITE,
    box: BOX,
    metrics: { port: 0 },
    camera: { source: `file:${STREET_CLIP}`, fps: 5 },
    lines: [{ id: 'across', from: [0.5, 0], to: [0.5, 1] }],
    rules: [{ id: 'passing', kind: 'line-crossing', line: 'across', purpose: 'counting' }],
    mqtt: { ...room.config, ack: 'broker' },
    commands: { keys: [signers.desk.config] },
  };
  writeFileSync(config, JSON.stringify(content));
  authoriseFile(config, join(dir, 'order'), { tracks: { ...GRANT, approvers } });
  const bin = join(dir, 'bin');
  mkdirSync(bin);
  writeFileSync(join(bin, 'timedatectl'), '#!/bin/sh\necho yes\n', { mode: 0o755 });

  const health: HealthReport[] = [];
  /** One value for each reply: whether the journal already held the question. */
  const wasJournaled: boolean[] = [];
  const crossings = { count: 0 };
  const client = await clientOf(t, room, 'archive.inbox');
  client.on('message', (topic, payload, { properties }) => {
    if (topic.startsWith(`${root}/evt/`)) crossings.count += 1;
    else if (topic === `${root}/health`) health.push(JSON.parse(String(payload)) as HealthReport);
    else {
      const counter = Number(String(properties?.correlationData));
      const { result } = JSON.parse(String(payload)) as { result?: unknown };
      if (result !== undefined)
        wasJournaled.push(recordsIn(stateDir, 'tracks').some((one) => one.counter === counter));
    }
  });
  await client.subscribeAsync([`${root}/health`, `${root}/reply/#`, `${root}/evt/#`], { qos: 1 });

  const agent = start(t, 'env', [
    ...[`PATH=${bin}:${process.env['PATH']}`, process.execPath, VIGIE],
    ...['run', '--config', config, '--state', stateDir],
  ]);
  const run = async (file: string, args: readonly string[]) => {
    const program = start(t, process.execPath, [file, ...args]);
    const code = await program.exit;
    return { code, out: program.out, err: program.err };
  };
  const vigie = (...args: string[]) => run(VIGIE, args);
  const tracksOf = (...args: string[]) => run(roomProgram('tracks'), args);
  return { dir, stateDir, config, agent, health, crossings, wasJournaled, vigie, tracksOf };
}

function journalOf(stateDir: string): JournalContent[] {
  const text = readFileSync(join(stateDir, 'journal/contents/000.jsonl'), 'utf8');
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => (JSON.parse(line) as { content: JournalContent }).content);
}

function recordsIn<T extends RestraintRecord['record']>(stateDir: string, kind: T) {
  return journalOf(stateDir)
    .flatMap((entry) => ('record' in entry ? [entry.record] : []))
    .filter((record): record is Extract<RestraintRecord, { record: T }> => record.record === kind);
}

/** Rows of the log, and the modification times of its files and of the budgets' files. */
function stateOf(stateDir: string): object {
  const written = ['tracks.db', 'tracks.db-wal', 'track-budgets.db', 'track-budgets.db-wal'].map(
    (name) => statSync(join(stateDir, name), { throwIfNoEntry: false })?.mtimeMs,
  );
  const db = new Database(join(stateDir, 'tracks.db'), { readonly: true });
  try {
    const count = (table: string) => db.prepare(`SELECT count(*) FROM ${table}`).pluck().get();
    return { written, rows: count('track'), spans: count('span') };
  } finally {
    db.close();
  }
}

const skip = existsSync(STREET_CLIP) ? false : 'no street clip (scripts/setup)';

t.test(
  'tracks can be asked about afterwards, until no order allows it',
  { skip, timeout: 180_000 },
  async (t) => {
    const startMs = Date.now();
    const room = await makeRoom(t);
    const { dir, stateDir, config, agent, health, crossings, wasJournaled, vigie, tracksOf } = await makeBox(
      t,
      room,
    );
    const { cert, key } = await pairOf(room, 'desk.room');
    const mqtt = { url: room.broker.programsUrl, ca: room.authority.ca, cert, key };
    const file = (name: string): string => join(dir, name);
    writeFileSync(file('room.yaml'), JSON.stringify({ site: SITE, timeZone: 'Europe/Paris', mqtt }));
    const by = (name: string) => ['--room', file('room.yaml'), '--sign', file(`${name}.pem`)];
    const span = (fromMs: number, toMs: number): string[] => [
      ...['--from', new Date(fromMs).toISOString(), '--to', new Date(toMs).toISOString()],
    ];
    const caseOptions = ['--box', BOX, '--case', '2026/1234', '--reason', 'theft of a bicycle'];
    await waitUntil(t, 'a log is kept', () => health.at(-1)?.tracks.state === 'on', SLOW_MS);
    await waitUntil(t, 'frames', () => existsSync(file('state/tracks.db')), SLOW_MS);
    await waitUntil(t, 'people cross the square', () => crossings.count >= CROSSINGS, SLOW_MS);

    const now = span(startMs - HOUR_MS, Date.now());
    const coverage = await tracksOf(...by('desk'), ...caseOptions, ...now, '--coverage', '--json');
    const coverageResult = JSON.parse(coverage.out) as TrackResult;
    t.equal(coverage.code, 1, 'there are gaps');
    t.match(coverageResult, { order: '2026-77', grade: 'persons', matches: 0, kept: { days: 1 } });
    t.ok(coverageResult.coverage.seen > 0.001, `${coverageResult.coverage.seen} of the time was seen`);
    t.match(coverageResult.coverage.gaps[0], { why: 'not-authorised' }, 'the log began later');
    const view = coverageResult.views[0]?.view ?? '';
    const asks = [...caseOptions, ...now, '--class', 'person', '--view', view, '--line', '.3,.2,.7,.95'];
    t.match(await tracksOf(...by('desk'), ...asks), {
      code: 1,
      err: /tracks: a question about persons needs the approval of a second key .*: magistrate, deputy/,
    });
    t.match(await tracksOf(...by('second'), ...asks, '--approve', file('ok.json')), { code: 0 });
    const crossed = await tracksOf(...by('desk'), ...asks, '--approval', file('ok.json'), '--json');
    const answer = JSON.parse(crossed.out) as TrackResult;
    t.ok(answer.matches > 0 && answer.tracks.length === answer.matches, `${answer.matches} crossed the line`);
    t.ok(answer.tracks.every((one) => one.class === 'person' && one.path.length > 1));
    t.equal(answer.left.case, coverageResult.left.case - answer.matches, 'the budget is paid');
    const askConsole = await makeConsole(t, file);
    const question = {
      from: new Date(startMs).toISOString(),
      to: new Date().toISOString(),
      classes: ['car', 'motorcycle', 'bus', 'truck'],
      answer: 'tracks',
    };
    const request = { box: BOX, case: '2026/1234', reason: 'theft of a bicycle', question };
    const inRoom = await askConsole(request);
    t.equal(inRoom.status, 200, inRoom.text);
    t.match(inRoom.json as TrackAnswer, {
      order: '2026-77',
      matches: Number,
      stopped: null,
      views: [{ view }],
    });
    t.ok((inRoom.json as TrackAnswer).coverage.seen > 0.05);
    t.match(await askConsole({ ...request, question: { ...question, classes: ['person'] } }), {
      status: 409,
      json: { title: /needs the approval of a second key/ },
    });

    const trackRecords = recordsIn(stateDir, 'tracks');
    t.match(trackRecords, [
      { key: 'desk', approvedBy: null, case: '2026/1234', question: { answer: 'coverage' } },
      {
        key: 'desk',
        approvedBy: 'magistrate',
        reason: 'theft of a bicycle',
        given: answer.matches,
        question: {
          classes: ['person'],
          view,
          answer: 'tracks',
          where: {
            line: [
              [0.3, 0.2],
              [0.7, 0.95],
            ],
            direction: 'both',
          },
        },
      },
      { approvedBy: null, question: { answer: 'tracks', classes: ['car', 'motorcycle', 'bus', 'truck'] } },
    ]);
    t.equal(trackRecords.length, 3, 'and no refused question');
    t.strictSame(wasJournaled, [true, true, true], 'each before its answer was out');

    await vigie('suspend', '--reason', 'order 2026/9 of the court', '--state', stateDir);
    const suspendedText = /refused by \S+: not-permitted: tracks: the box is suspended/;
    t.match(await tracksOf(...by('desk'), ...caseOptions, ...now, '--coverage'), {
      code: 1,
      out: '',
      err: suspendedText,
    });
    const suspended = stateOf(stateDir);
    await sleep(3000);
    t.match(await askConsole(request), { status: 409, json: { title: suspendedText } });
    t.strictSame(stateOf(stateDir), suspended, 'no file is written');
    t.equal(recordsIn(stateDir, 'tracks').length, 3);
    t.equal(health.at(-1)?.tracks.state === 'off', false, 'the stored tracks are still there');

    authorised(loadConfig(config, { env: {}, mode: 'check', files: false }), join(dir, 'order'), {
      order: '2026-78',
    });
    agent.child.kill('SIGHUP');
    await waitUntil(t, 'the file has gone', () => !existsSync(file('state/tracks.db')), SLOW_MS);
    t.notOk(existsSync(file('state/tracks.db-wal')));
    t.notOk(existsSync(file('state/track-budgets.db')));
    t.match(recordsIn(stateDir, 'purge').at(-1), {
      what: 'tracks',
      why: 'authorisation',
      days: 1,
      count: Number,
    });
    await waitUntil(t, 'told', () => health.at(-1)?.tracks.state === 'off', SLOW_MS);
    t.match(health.at(-1)?.tracks, { state: 'off', grade: null, days: null, oldest: null });
    t.equal(agent.code, undefined, 'it runs');
    t.comment(`${((Date.now() - startMs) / 1000).toFixed(0)} s`);
  },
);

/** Starts the room's signer and its console; resolves with a function that sends requests to it. */
async function makeConsole(t: Test, file: (name: string) => string) {
  const socket = file('signer.sock');
  const signer = start(t, process.execPath, [
    ...[SIGNER, '--room', file('room.yaml'), '--sign', file('desk.pem')],
    ...['--socket', socket, '--sealed', file('.')],
  ]);
  await waitUntil(
    t,
    'the signer listens',
    () => signer.out.includes('Signer for') || signer.code !== undefined,
  );
  const db = await roomDatabase(t, (await DATABASES.sqlite(t)).address);
  await putCamera(db, BOX, Date.now(), { site: SITE });
  const accounts = [{ name: 'operator', role: 'operator' }] as const;
  const { url } = await fullConsole(t, db, { signer: socket, accounts });
  const cookie = await enter(url, 'operator');
  return (body: object) =>
    ask(`${url}/api/tracks`, { method: 'POST', headers: { cookie, ...from(url) }, body });
}

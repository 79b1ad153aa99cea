/**
 * Tests the start and the end of an agent: it becomes ready or ends with a reason. A second agent cannot run beside it,
 * and lost outbox numbers are reported as a gap.
 */
import { execFileSync } from 'node:child_process';
import {
  chownSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import { getLocal } from '../../agent/base/local-http.ts';
import { LOCAL_SOCKET, STATUS_PATH } from '../../agent/contract/local-status.ts';
import type { GapRecord } from '../../agent/contract/outbox.ts';
import { STREET_CLIP, scratch } from '../lib/paths.ts';
import type { Program } from '../lib/program.ts';
import { waitUntil } from '../lib/room.ts';
import { agentOn, archived, running, visionOf, WAIT_MS } from '../lib/running-agent.ts';
import { SmallDisk } from '../lib/small-disk.ts';

const skip = !existsSync(STREET_CLIP) && 'no street clip: run scripts/setup';
/** Time within which an agent is ready or has ended with a reason, ms. */
const DECIDED_MS = 60_000;
const NOBODY = 65_534;

const isReady = (agent: Program): boolean => agent.err.includes('agent started');

/**
 * Waits for the agent's end and checks its reason. Orphaned children would belong to init; vision ends with its agent.
 */
async function checkEnd(t: Test, agent: Program, code: number, reason: RegExp): Promise<void> {
  const { pid = 0 } = agent.child;
  await waitUntil(t, 'it has ended', () => agent.code !== undefined, DECIDED_MS);
  t.equal(agent.code, code, agent.err.slice(-500));
  const last = agent.err.trimEnd().split('\n').at(-1) ?? '';
  t.match(last, reason, 'with one line that says why');
  t.notOk(existsSync(`/proc/${pid}`));
}

async function killAgent(t: Test, agent: Program): Promise<void> {
  agent.child.kill('SIGKILL');
  await agent.exit;
  await waitUntil(t, 'and its vision', () => agent.code !== undefined);
}

interface Lane {
  readonly last: number;
  readonly rows: readonly number[];
  readonly gaps: readonly GapRecord[];
}

/** Reads the alert lane from a copy, so that reading changes nothing in the folder. */
function alertLane(t: Test, stateDir: string): Lane {
  const dir = scratch(t);
  for (const name of readdirSync(stateDir).filter((name) => name.startsWith('outbox.db')))
    cpSync(join(stateDir, name), join(dir, name));
  const db = new Database(join(dir, 'outbox.db'));
  const last = db.prepare("SELECT last FROM sequence WHERE lane = 'alert'").pluck().get() as number;
  const rows = db.prepare('SELECT seq, gap FROM alert ORDER BY seq').all() as {
    seq: number;
    gap: string | null;
  }[];
  db.close();
  return {
    last,
    rows: rows.filter(({ gap }) => gap === null).map(({ seq }) => seq),
    gaps: rows.flatMap(({ gap }) => (gap === null ? [] : [JSON.parse(gap) as GapRecord])),
  };
}

const WAL = 'outbox.db-wal';
const LOSSES: readonly [string, (stateDir: string) => void][] = [
  [
    'deleted',
    (dir) => {
      for (const name of readdirSync(dir).filter((name) => name.startsWith('outbox.db')))
        rmSync(join(dir, name));
    },
  ],
  [
    'emptied',
    (dir) => {
      truncateSync(join(dir, 'outbox.db'), 0);
      rmSync(join(dir, WAL), { force: true });
    },
  ],
  [
    'without what was not yet taken into it',
    (dir) => {
      const { size } = statSync(join(dir, WAL));
      writeFileSync(join(dir, WAL), Buffer.alloc(size));
    },
  ],
  ['with half of that', (dir) => truncateSync(join(dir, WAL), statSync(join(dir, WAL)).size >> 1)],
];

t.test('an outbox that has lost numbers reports a gap, and its numbers continue', { skip }, async (t) => {
  const first = scratch(t);
  const lived = join(first, 'state');
  const agent = agentOn(t, first, lived);
  await running(t, agent, lived);
  await waitUntil(t, 'some alerts wait', () => archived(lived) >= 8, WAIT_MS);
  await killAgent(t, agent);
  t.notMatch(agent.err, /"level":50/, 'vision ends with its agent, and has nothing to complain of');
  const before = alertLane(t, lived);
  for (const [loss, lose] of LOSSES) {
    const dir = scratch(t);
    const stateDir = join(dir, 'state');
    // The socket belongs to the killed agent.
    cpSync(lived, stateDir, { recursive: true, filter: (path) => !lstatSync(path).isSocket() });
    lose(stateDir);
    const next = agentOn(t, dir, stateDir);
    await waitUntil(t, `${loss}: ready`, () => isReady(next), DECIDED_MS);
    next.child.kill('SIGTERM');
    t.equal(await next.exit, 0);
    const after = alertLane(t, stateDir);
    t.ok(after.last >= before.last, 'no number is given out twice');
    const reportedSeqs = new Set(after.rows);
    for (const { from, to } of after.gaps) for (let seq = from; seq <= to; seq += 1) reportedSeqs.add(seq);
    const silent = Array.from({ length: after.last }, (_, i) => i + 1).filter(
      (seq) => !reportedSeqs.has(seq),
    );
    t.same(silent, [], `${loss}: all of ${after.last} numbers are rows or reported as gaps`);
    const remaining = before.rows.filter((seq) => after.rows.includes(seq));
    t.match(
      after.gaps[0],
      { reasons: ['store-lost'] },
      `${remaining.length} of ${before.rows.length} were kept`,
    );
    t.match(next.err, /"level":50[^\n]*outbox/, 'the error is logged');
  }
});

t.test(
  'an agent restarted on a read-only disk after a kill is ready, without vision',
  { skip: skip || SmallDisk.unavailable() },
  async (t) => {
    const dir = scratch(t);
    const disk = new SmallDisk(dir, 48);
    disk.mount();
    t.teardown(() => disk.unmount());
    const stateDir = join(disk.dir, 'state');
    const agent = agentOn(t, dir, stateDir);
    await waitUntil(t, 'ready', () => isReady(agent), DECIDED_MS);
    await killAgent(t, agent);
    t.ok(lstatSync(join(stateDir, LOCAL_SOCKET)).isSocket(), 'the socket of the killed life');
    execFileSync('mount', ['-o', 'remount,ro', disk.dir]);
    const next = agentOn(t, dir, stateDir);
    await waitUntil(t, 'decided', () => isReady(next) || next.code !== undefined, DECIDED_MS);
    t.ok(isReady(next), next.err.slice(-1000));
    t.equal(visionOf(next), undefined, 'no vision runs without a journal');
    next.child.kill('SIGTERM');
    t.equal(await next.exit, 0);
  },
);

t.test('a start that fails ends with its reason and leaves no process behind', { skip }, async (t) => {
  const dir = scratch(t);
  const stateDir = join(dir, 'state');
  const agent = agentOn(t, dir, stateDir);
  await waitUntil(t, 'ready', () => isReady(agent), DECIDED_MS);
  agent.child.kill('SIGTERM');
  await agent.exit;
  const version = (file: string, to: number): number => {
    const db = new Database(join(stateDir, file));
    const was = db.pragma('user_version', { simple: true }) as number;
    db.pragma(`user_version = ${to}`);
    db.close();
    return was;
  };
  for (const [file, other] of [
    ['outbox.db', 1],
    ['archive.db', 999],
  ] as const) {
    const was = version(file, other);
    const refusal = `${file} has tables of version ${other}, this program knows ${was}; run the program that made it, or move its folder elsewhere`;
    await checkEnd(t, agentOn(t, dir, stateDir), 2, new RegExp(refusal));
    version(file, was);
  }
  const next = agentOn(t, dir, stateDir);
  await waitUntil(t, 'and starts where it can', () => isReady(next), DECIDED_MS);
  next.child.kill('SIGTERM');
  t.equal(await next.exit, 0);
});

t.test('a second agent on the same folder ends, and the first one is unaffected', { skip }, async (t) => {
  const dir = scratch(t);
  const stateDir = join(dir, 'state');
  const first = agentOn(t, dir, stateDir);
  await waitUntil(t, 'ready', () => isReady(first), DECIDED_MS);
  const files = (): string[] =>
    readdirSync(stateDir).map((name) => `${name} ${statSync(join(stateDir, name)).ino}`);
  const socket = files().filter((name) => name.startsWith(LOCAL_SOCKET));
  await checkEnd(t, agentOn(t, dir, stateDir), 1, /another agent uses .*state; stop that one first/);
  t.same(
    files().filter((name) => name.startsWith(LOCAL_SOCKET)),
    socket,
    'its socket is the same',
  );
  t.match(await getLocal(join(stateDir, LOCAL_SOCKET), STATUS_PATH), /"mode":"active"/, 'and answers');
  first.child.kill('SIGTERM');
  t.equal(await first.exit, 0);
});

const notRoot = process.getuid?.() !== 0 && 'another user’s folder needs root';
t.test(
  'an agent started by root beside the service ends and leaves no file of root’s',
  { skip: skip || notRoot },
  async (t) => {
    const dir = scratch(t);
    const stateDir = join(dir, 'state');
    mkdirSync(stateDir);
    chownSync(stateDir, NOBODY, NOBODY);
    await checkEnd(
      t,
      agentOn(t, dir, stateDir),
      2,
      /belongs to user 65534, and this is user 0.*sudo -u vigie/,
    );
    t.same(readdirSync(stateDir), []);
  },
);

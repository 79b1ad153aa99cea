/** Tests the start of an agent: it becomes ready or ends with a reason, and no second agent can run beside it. */
import { chownSync, existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import { getLocal } from '../../agent/base/local-http.ts';
import { LOCAL_SOCKET, STATUS_PATH } from '../../agent/contract/local-status.ts';
import { agentOn, noStreet } from '../lib/agent.ts';
import { scratch } from '../lib/paths.ts';
import type { Program } from '../lib/program.ts';
import { waitUntil } from '../lib/room.ts';

const skip = noStreet;
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

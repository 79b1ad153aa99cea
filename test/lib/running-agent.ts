/**
 * The whole program on the street clip, as a process of its own that can be killed, and the files that it leaves on
 * disk.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { Test } from 'tap';
import { AT_ALL_TIMES, authoriseFile } from './authority.ts';
import { STREET_CLIP } from './paths.ts';
import { visionsOf } from './proc.ts';
import { type Program, start, VIGIE } from './program.ts';
import { waitUntil } from './room.ts';

/** Time limit of waits, in ms, for a machine with a high load. */
export const WAIT_MS = 90_000;

/** Starts the program on the street clip, whose passers-by are events. */
export function agentOn(t: Test, dir: string, stateDir: string, env: readonly string[] = []): Program {
  const config = join(dir, 'vigie.yaml');
  const content = {
    site: 'lab',
    box: 'lab-1',
    camera: { source: `file:${STREET_CLIP}`, fps: 5 },
    lines: [{ id: 'across', from: [0.5, 0], to: [0.5, 1] }],
    rules: [{ id: 'passing', kind: 'line-crossing', line: 'across', purpose: 'counting' }],
    alertsPerHour: 3600,
    // No server answers there: accepted events stay in the outbox.
    mqtt: { url: 'mqtt://127.0.0.1:1', ack: 'broker' },
  };
  writeFileSync(config, JSON.stringify(content));
  authoriseFile(config, join(dir, 'order'), AT_ALL_TIMES);
  const program = [process.execPath, VIGIE, 'run', '--config', config, '--state', stateDir];
  return start(t, 'env', [...env, ...program]);
}

/** Number of events on disk, read from another process. */
export function archived(stateDir: string): number {
  const file = join(stateDir, 'archive.db');
  if (!existsSync(file)) return 0;
  const db = new Database(file, { readonly: true });
  try {
    return db.prepare('SELECT count(*) AS n FROM event').pluck().get() as number;
  } catch (error) {
    if (error instanceof Database.SqliteError) return 0;
    throw error;
  } finally {
    db.close();
  }
}

export function intact(file: string): unknown {
  const db = new Database(file, { readonly: true });
  try {
    return db.pragma('integrity_check', { simple: true });
  } finally {
    db.close();
  }
}

export function visionOf(agent: Program): number | undefined {
  return visionsOf(agent.child.pid as number)[0];
}

export async function running(t: Test, agent: Program, stateDir: string): Promise<void> {
  await waitUntil(t, 'events', () => archived(stateDir) > 0 || agent.code !== undefined, WAIT_MS);
  t.equal(agent.code, undefined, `the agent runs: ${agent.err.slice(-500)}`);
}

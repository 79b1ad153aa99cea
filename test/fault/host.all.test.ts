/**
 * Tests the rows of the fault matrix that begin at the host: real faults of memory and clock under the whole
 * program.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import { writeAtomically } from '../../agent/base/atomic-file.ts';
import { systemClock } from '../../agent/base/clock.ts';
import type { Observation } from '../../agent/contract/observation.ts';
import { VisionProcess } from '../../agent/supervisor/vision-process.ts';
import { agentOn, archived, noStreet, running, visionOf, WAIT_MS } from '../lib/agent.ts';
import { calmSource } from '../lib/encoded-clip.ts';
import { SILENT } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
import type { Program } from '../lib/program.ts';
import { waitUntil } from '../lib/room.ts';
import { BARE_PERMIT, bareSettings } from '../lib/vision.ts';

const skip = noStreet;
const SETTINGS = { ...bareSettings(calmSource(10), 10), everyFrame: true };

async function ends(t: Test, agent: Program): Promise<void> {
  agent.child.kill('SIGTERM');
  t.equal(await agent.exit, 0, 'a clean end');
}

t.test('the agent survives vision running out of memory, and no event is lost', { skip }, async (t) => {
  const dir = scratch(t);
  const stateDir = join(dir, 'state');
  const agent = agentOn(t, dir, stateDir);
  await running(t, agent, stateDir);
  const vision = visionOf(agent);
  t.ok(vision, 'vision runs');
  const before = archived(stateDir);
  // The process gets no more memory, so its next allocation fails.
  execFileSync('prlimit', ['--pid', String(vision), '--as=1048576:1048576']);
  await waitUntil(t, 'another vision', () => ![undefined, vision].includes(visionOf(agent)), WAIT_MS);
  await waitUntil(t, 'more events', () => archived(stateDir) > before, WAIT_MS);
  t.equal(agent.code, undefined, 'the agent is the same process');
  t.match(agent.err, 'vision ended; starting it again');
  await ends(t, agent);
  for (const name of ['outbox.db', 'archive.db']) {
    const db = new Database(join(stateDir, name), { readonly: true });
    t.equal(db.pragma('integrity_check', { simple: true }), 'ok', name);
    db.close();
  }
});

const FAKETIME = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu']
  .map((lib) => join(lib, 'faketime', 'libfaketime.so.1'))
  .find((file) => existsSync(file));
const noFaketime = FAKETIME === undefined && 'no faketime: apt-get install faketime';

/** A wall clock that can be stepped while a program runs; its monotonic clock is unaffected. */
function steppable(dir: string): { env: string[]; step(offset: string): void } {
  const file = join(dir, 'offset');
  // faketime reads the file at every clock call, and ends the process if the file is empty.
  const step = (offset: string): void => writeAtomically(file, `${offset}\n`);
  step('+0');
  const settings = {
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_NO_CACHE: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
  };
  const env = Object.entries({ LD_PRELOAD: String(FAKETIME), ...settings }).map(
    ([name, v]) => `${name}=${v}`,
  );
  return { env, step };
}

t.test('media time continues through clock steps under vision', { skip: noFaketime }, async (t) => {
  const clock = steppable(scratch(t));
  const observations: Observation[] = [];
  const vision = new VisionProcess({
    restraintDir: undefined,
    clock: systemClock,
    log: SILENT,
    wrapper: ['env', ...clock.env],
    onMessage: ({ message }) => {
      if (message.kind !== 'frame') return;
      observations.push(message.observation);
      vision.send({ kind: 'ack', frame: message.observation.frame, evidence: [] });
    },
    onExit: () => undefined,
  });
  t.teardown(() => vision.stop());
  vision.start(BARE_PERMIT, SETTINGS);
  const nextObservation = async (label: string): Promise<Observation> => {
    const before = observations.length;
    await waitUntil(t, label, () => observations.length >= before + 10, WAIT_MS);
    return observations.at(-1) as Observation;
  };
  const first = await nextObservation('frames');
  const beganMs = performance.now() - first.atMs;
  for (const offset of ['+1d', '-1d']) {
    clock.step(offset);
    const { atMs } = await nextObservation(`frames after ${offset}`);
    t.ok(
      Math.abs(performance.now() - beganMs - atMs) < 5000,
      `${offset}: media time is ${Math.round(atMs)} ms`,
    );
  }
  t.ok(
    observations.every(({ atMs }, i) => i === 0 || atMs > (observations[i - 1]?.atMs ?? 0)),
    'it only grows',
  );
  await vision.stop();
});

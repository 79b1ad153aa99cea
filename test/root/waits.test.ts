/** Tests that nothing holds up the way back: an agent that drips, a process that holds the lock, a program that is killed. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { systemBootClock } from '../../agent/base/boot-clock.ts';
import { endOf } from '../../scripts/products/root/child.ts';
import { HELD_WITHIN_S, recordLock, recordLocked } from '../../scripts/products/root/record-lock.ts';
import { scratch } from '../lib/paths.ts';
import { UpdatingBox } from '../lib/updating-box.ts';

void t.test('a status socket that drips neither ends a probation nor holds up the way back', async (t) => {
  const box = await UpdatingBox.make(t, { withinS: 8 });
  box.order();
  await box.run('run');
  box.report.drips = true;
  const beganMs = performance.now();
  await box.run('judge');
  t.match(box.record, { phase: 'rolled-back', reason: /not healthy for .*: it does not answer/ });
  t.ok(performance.now() - beganMs < 30_000, 'within its limit and one answer');
  // The release before the switch drips as well; a switch does not wait for it either.
  box.order({ rollout: 'again' });
  const ran = await box.run('run');
  t.equal(ran.code, 0, ran.err);
  t.match(box.record, { phase: 'probation', trial: { before: null } });
  const rollBack = await box.run('back');
  t.match(rollBack.err, /under way|no previous/, 'a person is answered');
});

/** Starts a process that holds the lock of the record; `heldS` is what it says of itself. */
async function holder(t: Test, run: string, heldS: number | undefined): Promise<ReturnType<typeof spawn>> {
  const dir = recordLock({ run });
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const child = spawn('flock', ['--close', dir, 'sh', '-c', 'echo held; exec sleep 600'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  t.teardown(() => process.kill(-Number(child.pid), 'SIGKILL'));
  await once(child.stdout, 'data');
  const sinceS = systemBootClock.boottimeS() - (heldS ?? 0);
  if (heldS !== undefined)
    writeFileSync(join(dir, 'holder.json'), JSON.stringify({ pid: child.pid, sinceS }));
  return child;
}

void t.test('a process that holds the record for too long is ended by the next one that waits', async (t) => {
  const run = scratch(t);
  const lines: string[] = [];
  const child = await holder(t, run, HELD_WITHIN_S);
  process.kill(-Number(child.pid), 'SIGSTOP');
  const got = await recordLocked(
    { run },
    20_000,
    () => Promise.resolve('mine'),
    (line) => lines.push(line),
  );
  t.equal(got, 'mine');
  t.match(lines, [/^the process \d+ has held the record for 30\d s, and is ended$/]);
  t.equal(statSync(recordLock({ run })).mode & 0o777, 0o700, 'no other user can open it, and so hold it');
});

void t.test(
  'a holder within its time is left alone, and the waiting process gives up in its own',
  async (t) => {
    for (const heldS of [HELD_WITHIN_S - 60, undefined]) {
      const run = scratch(t);
      const child = await holder(t, run, heldS);
      const waiting = recordLocked(
        { run },
        2000,
        () => Promise.resolve(),
        () => t.fail('no process is ended'),
      );
      await t.rejects(waiting, {
        kind: 'denied',
        message: /^another vigie-root is at work; see vigie-root status$/,
      });
      t.equal(child.exitCode, null);
    }
  },
);

void t.test('a program that another process kills is run again, and a crash is a verdict', async (t) => {
  const dir = scratch(t);
  const file = join(dir, 'program.mjs');
  const clock = { boottimeS: () => systemBootClock.boottimeS(), sleep: () => Promise.resolve() };
  const end = (code: string, withinS = 60): Promise<string | undefined> => {
    writeFileSync(file, `import fs from 'node:fs';\n${code}`);
    return endOf([file], { clock, withinS });
  };
  const mark = JSON.stringify(join(dir, 'ran'));
  const killedOnce = `if (!fs.existsSync(${mark})) { fs.writeFileSync(${mark}, ''); process.kill(process.pid, 'SIGKILL'); }`;
  t.equal(await end(killedOnce), undefined, 'the second run counts');
  t.match(
    await end("process.kill(process.pid, 'SIGKILL'); setTimeout(() => {}, 1000)", 0),
    /^it ends with SIGKILL/,
  );
  t.match(await end('process.abort()'), /^it ends with SIGABRT/);
  t.match(await end('throw new Error("no start")'), /^it ends with 1/);
});

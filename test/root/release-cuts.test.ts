/**
 * Tests power cuts of a real file system while the real program changes releases.
 *
 * `current` leads to the old or the new release with every file, and the box continues to the new one. A control
 * without fsync shows broken releases.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { messageOf } from '../../agent/base/errors.ts';
import { parseManifest, verifyTree } from '../../scripts/lib/manifest.ts';
import { FULL, unlessFull } from '../lib/run.ts';
import { boxOnDisk, COMMIT_S, NO_FLUSH } from '../lib/power-cuts.ts';
import { preloaded } from '../lib/preloaded.ts';
import { randomOf, SEED } from '../lib/random.ts';
import { SmallDisk } from '../lib/small-disk.ts';
import { UPDATER, type UpdatingBox } from '../lib/updating-box.ts';

const CUTS = FULL ? 300 : 10;
const CUTS_A_BOX = Math.min(20, CUTS);
/** Maximum wait for a phase that is sure to come, and for one that may be over before it is seen, ms. */
const HELD_WITHIN_MS = 120_000;
const SEEN_WITHIN_MS = 15_000;
/** Phases in which the power goes, and the longest time after their start, ms: about their duration. */
const PHASES = [
  ['waiting', 60],
  ['downloading', 120],
  ['verified', 150],
  ['staged', 25],
  ['switching', 60],
  ['probation', 400],
  ['confirmed', 60],
] as const;
/** Stops the program once it has renamed a file with both texts to state.json. */
const HOLD = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int rename(const char *from, const char *to) {
  static int (*real)(const char *, const char *);
  if (!real) real = dlsym(RTLD_NEXT, "rename");
  int result = real(from, to);
  static char text[1 << 16];
  FILE *file = result == 0 && strstr(to, "/state.json") ? fopen(to, "r") : NULL;
  if (file) {
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    while (strstr(text, getenv("HOLD_PHASE")) && strstr(text, getenv("HOLD_TARGET"))) pause();
  }
  return result;
}
`;

/** Runs what the units do until the power goes: carry out the order, then judge. */
async function liveUntilCut(
  box: UpdatingBox,
  cutAt: Promise<string>,
  env: Record<string, string> = {},
): Promise<string> {
  const script =
    'node=$1 program=$2; shift 2; "$node" "$program" run "$@"; "$node" "$program" judge "$@"; sleep 60';
  const child = spawn('sh', ['-c', script, 'sh', process.execPath, UPDATER, ...box.places()], {
    stdio: 'ignore',
    detached: true,
    env: { ...process.env, ...env },
  });
  const closed = once(child, 'close');
  const record = await cutAt;
  if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  await closed;
  return /"release":\{"phase":"([a-z-]+)"/.exec(record)?.[1] ?? 'before';
}

/** Faults of the installed files. */
async function problemsOf(box: UpdatingBox, seqs: readonly number[]): Promise<string[]> {
  const problems: string[] = [];
  const check = async (name: string, action: () => unknown): Promise<void> => {
    try {
      await action();
    } catch (error) {
      problems.push(`${name}: ${messageOf(error)}`);
    }
  };
  const seq = Number(box.current.split('-')[0]);
  if (!seqs.includes(seq)) problems.push(`current is ${box.current}`);
  // A release with a final name is complete, in use or not.
  for (const name of readdirSync(join(box.lib, 'releases')).filter((one) => !one.startsWith('.'))) {
    const manifest = readFileSync(join(box.treeOf(Number(name.split('-')[0])), 'MANIFEST'), 'utf8');
    const dir = join(box.lib, 'releases', name);
    await check(name, () => verifyTree(dir, parseManifest(manifest)));
    await check(
      name,
      () => readFileSync(join(dir, 'MANIFEST'), 'utf8') === manifest || Promise.reject(new Error('MANIFEST')),
    );
  }
  await check(box.current, () => readFileSync(join(box.lib, 'current/VERSION')));
  await check('state.json', () => existsSync(join(box.state, 'state.json')) && box.record);
  await check('status.json', () => existsSync(join(box.state, 'status.json')) && box.status);
  return problems;
}

function isConfirmed({ record }: UpdatingBox, seq: number): boolean {
  return record.phase === 'confirmed' && record.target?.seq === seq;
}

void t.test('a power cut leaves the old or new release', { skip: SmallDisk.unavailable() }, async (t) => {
  t.comment(`seed ${SEED}`);
  const random = randomOf(SEED);
  const counts = new Map<string, { old: number; new: number }>();
  const hold = preloaded(t, HOLD);
  for (let doneCount = 0; doneCount < CUTS; doneCount += CUTS_A_BOX) {
    const { box, disk } = await boxOnDisk(t, { releases: CUTS_A_BOX + 1 });
    for (let n = 0; n < CUTS_A_BOX; n += 1) {
      const seq = n + 2;
      const [phaseToCut, spanMs] = PHASES[n % PHASES.length] ?? ['waiting', 0];
      // Probation watches a running agent for a second.
      const up = join(box.dir, 'bin/up-vigie.service');
      if (n % 4 === 0) writeFileSync(up, '');
      else rmSync(up, { force: true });
      // A waiting order waits until the power goes.
      const later =
        phaseToCut === 'waiting' ? { notBefore: new Date(Date.now() + 600_000).toISOString() } : {};
      box.order({ seq, ...later });
      const last = box.history.at(-1)?.n ?? 0;
      const file = join(box.state, 'state.json');
      // Does not match the previous order's phase.
      const text = new RegExp(`"release":\\{"phase":"${phaseToCut}"[^}]*"target":\\{"number":${seq},`);
      // The first cut of each phase comes while the phase is held. A fast machine leaves it unseen, and a busy one
      // looks late.
      const isFirst = doneCount + n < PHASES.length;
      const cutAt = disk.cutWhen(
        file,
        text,
        isFirst ? 0 : random() * spanMs,
        isFirst ? HELD_WITHIN_MS : SEEN_WITHIN_MS,
      );
      const holdEnv = {
        LD_PRELOAD: hold,
        HOLD_PHASE: `"release":{"phase":"${phaseToCut}"`,
        HOLD_TARGET: `"target":{"number":${seq},`,
      };
      const phase = await liveUntilCut(box, cutAt, isFirst ? holdEnv : {});
      disk.powerBack(COMMIT_S);
      box.reboot();
      const context = `cut ${doneCount + n + 1} in ${phase}`;
      const count = counts.get(phase) ?? { old: 0, new: 0 };
      counts.set(phase, count);
      t.strictSame(await problemsOf(box, [seq - 1, seq]), [], `${context}: old or new, whole`);
      count[box.current.startsWith(`${seq}-`) ? 'new' : 'old'] += 1;
      const boot = await box.run('boot');
      t.equal(boot.code, 0, boot.err);
      // The boot starts what is enabled.
      if (n % 4 === 0) writeFileSync(up, '');
      t.strictSame(await problemsOf(box, [seq - 1, seq]), [], `${context}: after the boot`);
      if (phaseToCut === 'waiting') box.order({ seq });
      for (let attempt = 0; attempt < 3 && !isConfirmed(box, seq); attempt += 1) {
        const run = await box.run('run');
        const judgeRun = await box.run('judge');
        t.equal(run.code, 0, run.err);
        t.equal(judgeRun.code, 0, judgeRun.err);
      }
      t.match(box.record, { phase: 'confirmed', target: { seq } }, `${context}: it goes on to the new one`);
      t.strictSame(await problemsOf(box, [seq]), [], `${context}: in the end`);
      const numbers = box.history.map(({ n }) => n);
      t.strictSame(
        numbers,
        numbers.map((_, index) => index + 1),
        'the history has no gap',
      );
      t.ok(numbers.length > last);
    }
  }
  for (const [phase] of PHASES) t.ok(counts.has(phase), `the power went in ${phase}`);
  for (const [phase, { old, new: newCount }] of counts)
    t.comment(`${phase}: ${old + newCount} cuts, ${old} old, ${newCount} new, 0 mixed`);
});

void t.test(
  'control: without waiting for the disk releases are broken',
  { skip: SmallDisk.unavailable() || unlessFull },
  async (t) => {
    const library = preloaded(t, NO_FLUSH);
    const broken: string[] = [];
    const tries = FULL ? 10 : 4;
    let cuts = 0;
    for (; cuts < tries && (FULL || broken.length === 0); cuts += 1) {
      const { box, disk } = await boxOnDisk(t, { releases: 2 });
      rmSync(join(box.dir, 'bin/up-vigie.service'));
      box.order();
      // After the log was written, before the kernel writes the data on its own.
      const cutAt = disk.cutWhen(
        join(box.state, 'state.json'),
        /"release":\{"phase":"confirmed"/,
        600 + cuts * 300,
        HELD_WITHIN_MS,
      );
      const phase = await liveUntilCut(box, cutAt, { LD_PRELOAD: library });
      disk.powerBack(COMMIT_S);
      const problems = await problemsOf(box, [1, 2]);
      if (problems.length > 0) broken.push(`${phase}: ${problems.length} faults, ${String(problems[0])}`);
    }
    t.ok(broken.length > 0, `${broken.length} of ${cuts} cuts: ${broken.join(' | ')}`);
  },
);

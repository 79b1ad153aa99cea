/**
 * Root's program killed at a call that writes, at each in turn, for a release, for a configuration and for a release of itself:
 * what is installed is the old or the new one, whole, and the box goes on to the new one.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { messageOf } from '../../agent/base/errors.ts';
import type { ConfigReply } from '../../agent/contract/config-trial.ts';
import { CONFIG_ORDER_FILE, CONFIG_ORDER_TYPE } from '../../agent/contract/update.ts';
import { parseManifest, verifyTree } from '../../scripts/lib/manifest.ts';
import type { Change } from '../../scripts/programs/root/change/record.ts';
import { signed } from '../lib/commands.ts';
import { preloaded } from '../lib/preloaded.ts';
import { BOX, SITE } from '../lib/room.ts';
import { RootReleases, rootVersionOf } from '../lib/root-releases.ts';
import { UpdatingBox } from '../lib/updating-box.ts';

const FULL = process.env['VIGIE_TEST_FULL'] === '1';
/** Of each payload; spread over all the calls that a change makes. */
const KILLS = FULL ? 300 : 8;
/** A judge of root's own program starts six more: fewer in the normal run. */
const KILLS_OF_ROOT = FULL ? 300 : 4;
const KILLS_A_BOX = 20;
/** Of these a run makes most; the others follow a change that was cut. */
const COMMANDS = ['run', 'run', 'run', 'judge'] as const;

/** Kills the program before its call number KILL_AT that changes a file system; says at its end how many there were. */
const KILLER = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>
static long at = -1, count;
static char *file;
static int is_node;
__attribute__((constructor)) static void begin(void) {
  is_node = strcmp(program_invocation_short_name, "node") == 0;
  const char *text = getenv("KILL_AT");
  if (!is_node) return;
  if (text) at = atol(text);
  const char *name = getenv("KILL_COUNT");
  if (name) file = strdup(name);
  // What it starts itself goes on.
  unsetenv("KILL_AT");
  unsetenv("KILL_COUNT");
}
__attribute__((destructor)) static void end(void) {
  FILE *out = file ? fopen(file, "w") : NULL;
  if (out) { fprintf(out, "%ld", count); fclose(out); }
}
static void writes(void) {
  if (!is_node) return;
  if (__sync_fetch_and_add(&count, 1) == at) kill(getpid(), SIGKILL);
}
#define REAL(name) ({ static typeof(&name) real; if (!real) real = dlsym(RTLD_NEXT, #name); real; })
static int is_file(int fd) { struct stat s; return fstat(fd, &s) == 0 && S_ISREG(s.st_mode); }
ssize_t write(int fd, const void *b, size_t n) { if (is_file(fd)) writes(); return REAL(write)(fd, b, n); }
ssize_t pwrite64(int fd, const void *b, size_t n, off64_t o) { if (is_file(fd)) writes(); return REAL(pwrite64)(fd, b, n, o); }
int rename(const char *a, const char *b) { writes(); return REAL(rename)(a, b); }
int unlink(const char *a) { writes(); return REAL(unlink)(a); }
int rmdir(const char *a) { writes(); return REAL(rmdir)(a); }
int mkdir(const char *a, mode_t m) { writes(); return REAL(mkdir)(a, m); }
int symlink(const char *a, const char *b) { writes(); return REAL(symlink)(a, b); }
int link(const char *a, const char *b) { writes(); return REAL(link)(a, b); }
int ftruncate64(int fd, off64_t n) { writes(); return REAL(ftruncate64)(fd, n); }
int fsync(int fd) { writes(); return REAL(fsync)(fd); }
int fdatasync(int fd) { writes(); return REAL(fdatasync)(fd); }
int fchmod(int fd, mode_t m) { writes(); return REAL(fchmod)(fd, m); }
int fchown(int fd, uid_t u, gid_t g) { writes(); return REAL(fchown)(fd, u, g); }
int open64(const char *p, int flags, ...) {
  va_list l; va_start(l, flags); mode_t m = va_arg(l, mode_t); va_end(l);
  if (flags & O_CREAT) writes();
  return REAL(open64)(p, flags, m);
}
`;

interface Payload {
  /** What a box has beside its releases. */
  furnish(box: UpdatingBox): Promise<void>;
  /** Orders the change number n of the box. */
  order(box: UpdatingBox, n: number, rollout?: string): void;
  /** What is wrong with what is installed, where change n or the one before it must be. */
  faults(box: UpdatingBox, n: number, orBefore: boolean): Promise<string[]>;
  /** How the change number n stands. */
  phase(box: UpdatingBox, n: number): string;
}

function phaseOf({ phase, target, reason }: Change, number: number): string {
  if (target?.number !== number) return 'none of it';
  return ['confirmed', 'rolled-back'].includes(phase) ? phase : `${phase}: ${reason}`;
}

const nothing = (): Promise<void> => Promise.resolve();

/** What of the releases in a folder is not as it was made. */
async function unwhole(lib: string, treeOf: (seq: number) => string): Promise<string[]> {
  const faults: string[] = [];
  for (const name of readdirSync(join(lib, 'releases')).filter((one) => !one.startsWith('.'))) {
    const manifest = readFileSync(join(treeOf(Number(name.split('-')[0])), 'MANIFEST'), 'utf8');
    try {
      await verifyTree(join(lib, 'releases', name), parseManifest(manifest));
    } catch (error) {
      faults.push(`${name}: ${messageOf(error)}`);
    }
  }
  return faults;
}

const release: Payload = {
  furnish: nothing,
  order: (box, n) => void box.order({ seq: n + 1 }),
  phase: (box, n) => phaseOf(box.rawRecord.release, n + 1),
  faults: async (box, n, orBefore) => {
    const seq = Number(box.current.split('-')[0]);
    const faults = seq === n + 1 || (orBefore && seq === n) ? [] : [`current is ${box.current}`];
    return [...faults, ...(await unwhole(box.lib, (one) => box.treeOf(one)))];
  },
};

/** Root's releases are numbered from here. */
const ROOT = 100;
const root: Payload = {
  furnish: (box) => new RootReleases(box).lay(ROOT, KILLS_A_BOX + 3),
  order: (box, n, rollout = `root-${n}`) => {
    const seq = ROOT + n;
    box.order({ what: 'root', seq, version: rootVersionOf(seq), rollout });
  },
  phase: (box, n) => phaseOf(box.rawRecord.root, ROOT + n),
  faults: async (box, n, orBefore) => {
    const releases = new RootReleases(box);
    const current = releases.link('current');
    const isRight = current === ROOT + n || (orBefore && current === ROOT + n - 1);
    const judge = releases.link('judge');
    const isJudged = judge === current || (orBefore && judge === ROOT + n - 1);
    return [
      ...(isRight ? [] : [`current is ${current}`]),
      ...(isJudged ? [] : [`judge is ${judge}`]),
      ...(await unwhole(box.rootLib, (seq) => releases.treeOf(seq))),
    ];
  },
};

const TEXT = /^# revision \d+\n/;
const configuration: Payload = {
  furnish: nothing,
  order: (box, n, rollout = `r${n}`) => {
    const file = join(box.dir, 'vigie.yaml');
    const yaml = `# revision ${n}\n${readFileSync(file, 'utf8').replace(TEXT, '')}`;
    const sha256 = createHash('sha256').update(yaml).digest('hex');
    const nowMs = Date.now();
    const dates = {
      notBefore: new Date(nowMs - 60_000).toISOString(),
      notAfter: new Date(nowMs + 86_400_000).toISOString(),
    };
    const order = { rollout, site: SITE, box: BOX, action: 'install', counter: nowMs, window: null };
    writeFileSync(
      join(box.agentState, CONFIG_ORDER_FILE),
      signed(box.signer, { ...order, ...dates, revision: n, sha256, yaml }, CONFIG_ORDER_TYPE),
    );
  },
  phase: (box, n) => phaseOf(box.rawRecord.configuration, n),
  faults: (box, n, orBefore) => {
    const text = readFileSync(join(box.dir, 'vigie.yaml'), 'utf8');
    const revision = Number(/^# revision (\d+)\n/.exec(text)?.[1] ?? 0);
    const rest = text.replace(TEXT, '');
    const faults = revision === n || (orBefore && revision === n - 1) ? [] : [`revision ${revision} of ${n}`];
    if (!/^site: .*\n.*\n.*\ncommands: .*\nmqtt: .*\n$/.test(rest)) faults.push(`not whole: ${text}`);
    const left = readdirSync(box.dir).filter((name) => /^vigie\.yaml\./.test(name) && !name.endsWith('.new'));
    if (!orBefore && left.length > 0) faults.push(`left: ${left.join(' ')}`);
    return Promise.resolve(faults);
  },
};

async function settled(box: UpdatingBox, { phase }: Payload, n: number): Promise<string> {
  for (let again = 0; again < 3 && phase(box, n) !== 'confirmed'; again += 1) {
    for (const command of ['run', 'judge']) {
      const program = await box.run(command);
      if (program.code !== 0) return `${command}: ${program.err}`;
    }
  }
  return phase(box, n);
}

async function killed(t: Test, name: string, payload: Payload, kills = KILLS): Promise<void> {
  const killer = preloaded(t, KILLER);
  const fresh = async (): Promise<UpdatingBox> => {
    const box = await UpdatingBox.make(t, { releases: KILLS_A_BOX + 3, withinS: 30 });
    await payload.furnish(box);
    return box;
  };
  let box = await fresh();
  const counted = async (command: string): Promise<number> => {
    const file = join(box.dir, 'count');
    await box.run(command, { LD_PRELOAD: killer, KILL_COUNT: file });
    return Number(readFileSync(file, 'utf8'));
  };
  let n = 1;
  payload.order(box, n);
  const calls = { run: await counted('run'), judge: await counted('judge') };
  t.equal(payload.phase(box, n), 'confirmed', `${name}: uncut, it is confirmed`);
  t.ok(calls.run > 40, `${calls.run} calls that write in run, ${calls.judge} in judge`);
  let hits = 0;
  for (let kill = 0; kill < kills; kill += 1) {
    n += 1;
    if (n > KILLS_A_BOX + 1) {
      box = await fresh();
      n = 1;
    }
    const command = COMMANDS[kill % COMMANDS.length] ?? 'run';
    payload.order(box, n);
    if (command === 'judge') await box.run('run');
    const at = Math.floor((kill * calls[command]) / kills);
    const program = await box.run(command, { LD_PRELOAD: killer, KILL_AT: String(at) });
    const where = `${name}: kill ${kill} at call ${at} of ${command}`;
    if (program.code !== 0) hits += 1;
    t.strictSame(await payload.faults(box, n, true), [], `${where}: old or new, whole`);
    // Every other time the power went, too; else systemd starts it again.
    if (kill % 2 === 0) {
      box.reboot();
      writeFileSync(join(box.dir, 'bin/up-vigie.service'), '');
      const boot = await box.run('boot');
      t.equal(boot.code, 0, boot.err);
      t.strictSame(await payload.faults(box, n, true), [], `${where}: after the boot`);
    } else await box.run(command);
    const end = await settled(box, payload, n);
    if (name === 'configuration' && end === 'rolled-back') {
      // A configuration on trial does not survive a boot: another rollout tries it again.
      payload.order(box, n, `again-${n}`);
      t.equal(await settled(box, payload, n), 'confirmed', where);
    } else t.equal(end, 'confirmed', where);
    t.strictSame(await payload.faults(box, n, false), [], `${where}: in the end`);
    t.ok(existsSync(join(box.dir, 'bin/up-vigie.service')), `${where}: and the agent runs`);
  }
  t.ok(hits > kills / 2, `${hits} of ${kills} were killed, 0 mixed`);
  rmSync(box.lib, { recursive: true });
}

/** One request of the page. Undefined: it was not answered. */
async function asked(
  box: UpdatingBox,
  request: object,
  env: Readonly<Record<string, string>> = {},
): Promise<ConfigReply | undefined> {
  const program = box.start('config-trial', env);
  program.child.stdin?.on('error', () => undefined);
  program.child.stdin?.write(`${JSON.stringify(request)}\n`);
  await program.ended;
  return program.code === 0 ? (JSON.parse(program.out) as ConfigReply) : undefined;
}

void t.test('a technician’s trial stays by the technician’s word alone', async (t) => {
  const killer = preloaded(t, KILLER);
  const box = await UpdatingBox.make(t, { releases: 1 });
  const file = join(box.dir, 'vigie.yaml');
  const mask = (id: string): object => ({
    id,
    polygon: [
      [0, 0],
      [1, 0],
      [1, 0.2],
    ],
  });
  const proposal = (n: number): object => ({ zones: [], lines: [], masks: [mask(`m${n}`)], rules: [] });
  const count = join(box.dir, 'count');
  const counted = async (request: object): Promise<[ConfigReply | undefined, number]> => {
    const reply = await asked(box, request, { LD_PRELOAD: killer, KILL_COUNT: count });
    return [reply, Number(readFileSync(count, 'utf8'))];
  };
  const [tried, calls] = await counted({ op: 'try', proposal: proposal(0) });
  t.match(tried, { refused: null, problems: [], trial: { id: String } });
  const [kept, callsOfKeep] = await counted({ op: 'keep', trial: tried?.trial?.id });
  t.match(kept, { refused: null, trial: null });
  t.match(readFileSync(file, 'utf8'), /m0/);
  const kills = FULL ? calls : 6;
  let hits = 0;
  for (let kill = 0; kill < kills; kill += 1) {
    const former = readFileSync(file, 'utf8');
    const at = String(Math.floor((kill * calls) / kills));
    const reply = await asked(
      box,
      { op: 'try', proposal: proposal(kill + 1) },
      { LD_PRELOAD: killer, KILL_AT: at },
    );
    if (reply === undefined) hits += 1;
    // What is left is not carried on by the room's worker as if the room had ordered it.
    await box.run('run');
    const isKept = box.rawRecord.configuration.phase === 'confirmed' && readFileSync(file, 'utf8') !== former;
    t.notOk(isKept, `try, call ${at}: nobody has kept it`);
    box.reboot();
    t.equal((await box.run('boot')).code, 0);
    t.equal(readFileSync(file, 'utf8'), former, `try, call ${at}: the former one after a boot`);
    t.notOk(existsSync(`${file}.before-trial`));
  }
  t.ok(hits > kills / 2, `${hits} of ${kills} were killed`);
  for (let at = 0; at < callsOfKeep; at += FULL ? 1 : 3) {
    const former = readFileSync(file, 'utf8');
    const { trial } = (await asked(box, { op: 'try', proposal: proposal(100 + at) })) ?? {};
    const text = readFileSync(file, 'utf8');
    t.not(text, former);
    await asked(box, { op: 'keep', trial: trial?.id }, { LD_PRELOAD: killer, KILL_AT: String(at) });
    const isKept = box.rawRecord.configuration.phase === 'confirmed';
    box.reboot();
    t.equal((await box.run('boot')).code, 0);
    t.equal(readFileSync(file, 'utf8'), isKept ? text : former, `keep, call ${at}: as the record says`);
    t.notOk(existsSync(`${file}.before-trial`));
  }
});

void t.test('a release', async (t) => killed(t, 'release', release));
void t.test('a configuration', async (t) => killed(t, 'configuration', configuration));
void t.test('a release of itself', async (t) => killed(t, 'root', root, KILLS_OF_ROOT));

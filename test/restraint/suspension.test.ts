/**
 * Tests that a suspended or unauthorised box has no vision process: after a restart, kill -9, an update, and with files
 * put back, edited or removed.
 */
import { createPublicKey, verify } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Config } from '../../agent/contract/config.ts';
import type { JournalContent } from '../../agent/contract/journal.ts';
import { MODE_TYPE } from '../../agent/contract/mode.ts';
import type { Agent } from '../../agent/main.ts';
import { keyIdOf } from '../../agent/orders/dsse.ts';
import { JOURNAL_KEY_FILE, readJournalKey } from '../../agent/restraint/journal/key.ts';
import { LATEST_TIME_FILE } from '../../agent/restraint/latest-time.ts';
import { Suspension } from '../../agent/restraint/suspension.ts';
import { Suspensions } from '../../scripts/products/oversight/timeline/suspensions.ts';
import { configOf, makeAgent, streetConfig } from '../lib/agent.ts';
import {
  authorisationFor,
  authorised,
  MAYOR,
  PREFECT,
  signedAuthorisation,
  type TestKey,
  testKey,
} from '../lib/authority.ts';
import { makeSigner } from '../lib/commands.ts';
import { calmSource } from '../lib/encoded-clip.ts';
import { FLEET } from '../lib/fleet-keyholders.ts';
import { contentsIn } from '../lib/journal.ts';
import { ROOT, scratch } from '../lib/paths.ts';
import { visionsOf } from '../lib/proc.ts';
import { type Program, start } from '../lib/program.ts';
import { BOX, makeRoom, pairOf, type Room, SITE, waitUntil } from '../lib/room.ts';
import { openInbox } from '../lib/room-inbox.ts';
import { ALL, unlessAll } from '../lib/run.ts';
import { type Output, WarmProgram } from '../lib/warm-program.ts';

const SLOW_MS = 60_000;
const warm = new WarmProgram('agent/cli');

const boxAt = (room: Room, fields: object = {}): Config =>
  streetConfig(room, { camera: { source: calmSource(5), fps: 1 }, ...fields });

function missingResumes(entries: readonly JournalContent[]) {
  const suspensions = new Suspensions();
  for (const entry of entries) suspensions.add(entry);
  return suspensions.missing;
}

/** Unpacks the program in another folder with another version, as an update does. */
function anotherVersion(dir: string): string {
  const programDir = join(dir, 'vigie-9.9.9');
  mkdirSync(programDir);
  cpSync(join(ROOT, 'dist'), join(programDir, 'dist'), { recursive: true });
  for (const name of ['node_modules', 'models']) symlinkSync(join(ROOT, name), join(programDir, name));
  const about = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as object;
  writeFileSync(join(programDir, 'package.json'), JSON.stringify({ ...about, version: '9.9.9' }));
  return programDir;
}

function keyFile(dir: string, name: string, { privateKey }: Pick<TestKey, 'privateKey'>): string {
  const file = join(dir, name);
  writeFileSync(file, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  return file;
}

void t.test('a suspended box analyses nothing, also after a restart, until two keys end it', async (t) => {
  t.setTimeout(600_000);
  const room = await makeRoom(t);
  const dir = scratch(t);
  const stateDir = join(dir, 'state');
  const inbox = await openInbox(t, room);
  const mode = () => inbox.modes.at(-1);
  const config = authorised(boxAt(room), join(dir, 'order'));
  const begin = async (): Promise<Agent> => {
    const newAgent = makeAgent(t, config, stateDir);
    await newAgent.start();
    return newAgent;
  };
  const vigie = (...args: string[]): Promise<Output> => warm.run([...args, '--state', stateDir]);
  const visions = (): number[] => visionsOf(process.pid);
  let agent = await begin();
  await waitUntil(t, 'active', () => mode()?.mode === 'active', SLOW_MS);
  await waitUntil(t, 'frames', () => agent.report().frames.read > 0, SLOW_MS);
  t.equal(visions().length, 1);

  const suspended = await vigie('suspend', '--reason', 'order 2026/1234 of the court');
  t.match(suspended, { code: 0, err: '' });
  t.match(
    suspended.out,
    /^suspended since .*\nthe agent has stopped the analysis; frames read since its start: [1-9]\d*\n$/,
  );
  t.same(visions(), [], 'there is no vision process');
  await waitUntil(t, 'told', () => mode()?.mode === 'suspended', SLOW_MS);
  const first = mode();
  t.match(first, { reason: 'order 2026/1234 of the court', order: '2026-77' });
  t.ok((first?.framesRead ?? 0) > 0);
  await agent.stop();
  const toldCount = inbox.modes.length;

  const lives = ALL ? [ROOT, anotherVersion(dir), ROOT] : [];
  await t.test('also after kill -9, and in another version', { skip: unlessAll }, async (t) => {
    const file = join(dir, 'vigie.json');
    writeFileSync(file, JSON.stringify(config));
    for (const at of lives) {
      const before = [inbox.modes.length, inbox.health.length] as const;
      const main = join(at, 'dist/agent/cli/main.js');
      const program = start(t, process.execPath, [main, 'run', '--config', file, '--state', stateDir]);
      await waitUntil(t, 'suspended again', () => inbox.modes.length > before[0], SLOW_MS);
      await waitUntil(t, 'a health report', () => inbox.health.length > before[1], SLOW_MS);
      for (const report of inbox.health.slice(before[1])) {
        const frames = { read: 0, analysed: 0, watched: 0 };
        t.match(report, { mode: 'suspended', frames, processes: { vision: null } });
      }
      t.same(visionsOf(Number(program.child.pid)), []);
      program.child.kill('SIGKILL');
      await program.exit;
    }
  });
  agent = await begin();
  const newModes = () => inbox.modes.slice(toldCount);
  await waitUntil(t, 'suspended again', () => newModes().length > lives.length, SLOW_MS);
  for (const statement of newModes()) {
    const { since, suspension } = first ?? {};
    t.match(statement, { mode: 'suspended', since, suspension, framesRead: 0, packetsWatched: 0 });
  }
  t.match(agent.report(), { frames: { read: 0, analysed: 0, watched: 0 }, processes: { vision: null } });

  const [prefect, mayor] = [keyFile(dir, 'prefect', PREFECT), keyFile(dir, 'mayor', MAYOR)];
  const resume = (...keys: string[]): Promise<Output> =>
    vigie('resume', '--reason', 'lifted', '--key', ...keys);
  t.match(await resume(prefect, prefect), { code: 2, err: /two different keys/ }, 'one key twice');
  t.match(
    await resume(prefect, keyFile(dir, 'stranger', testKey())),
    { code: 1, err: /refused, .*no key .* in resumeKeys/ },
    'a foreign key',
  );
  t.same(visions(), []);
  t.match(await resume(prefect, mayor), { code: 0, out: /^resumed; the box is now active\n/, err: '' });
  await waitUntil(t, 'active', () => mode()?.mode === 'active', SLOW_MS);
  await waitUntil(t, 'vision', () => visions().length === 1, SLOW_MS);
  await agent.stop();

  const key = createPublicKey(readJournalKey(join(stateDir, JOURNAL_KEY_FILE)));
  type Envelope = { payload: string; signatures: { keyid: string; sig: string }[] };
  for (const { payload, signatures } of inbox.json<Envelope>(/\/mode$/)) {
    const body = Buffer.from(payload, 'base64');
    const pae = Buffer.concat([Buffer.from(`DSSEv1 ${MODE_TYPE.length} ${MODE_TYPE} ${body.length} `), body]);
    t.equal(signatures[0]?.keyid, keyIdOf(key));
    t.ok(verify(null, pae, key, Buffer.from(signatures[0]?.sig ?? '', 'base64')), 'signed by the box');
  }
  const journal = contentsIn(stateDir);
  const entryOf = (type: string) => journal.find((entry) => entry.type === type);
  t.match(entryOf('suspend'), { by: 'box', framesRead: first?.framesRead });
  t.match(entryOf('resume'), { id: first?.suspension, by: ['prefect', 'mayor'] });
  t.strictSame(missingResumes(journal), [], 'the report misses no resume');
  const withoutResumes = journal.filter(({ type }) => type !== 'resume');
  t.match(missingResumes(withoutResumes), [{ suspension: first?.suspension }], 'without its entry it does');
  const modesEntered = journal.flatMap((entry) => (entry.type === 'mode' ? [entry.mode] : []));
  t.same(modesEntered, ['active', 'suspended', ...lives.map(() => 'suspended'), 'suspended', 'active']);
  t.ok(entryOf('authority') && entryOf('authorisation'));
});

void t.test(
  'the room’s program suspends and resumes a box, and sets its time',
  { skip: unlessAll },
  async (t) => {
    const room = await makeRoom(t);
    const dir = scratch(t);
    const signer = makeSigner('court-desk');
    const may = ['suspend', 'resume', 'reset-time', 'open-hotspot', 'unlock-pairing'];
    const inbox = await openInbox(t, room);
    const mode = () => inbox.modes.at(-1);
    const stateDir = join(dir, 'state');
    const commands = { keys: [{ ...signer.config, may }] };
    const config = authorised(boxAt(room, { commands }), join(dir, 'order'));
    const agent = makeAgent(t, config, stateDir);
    await agent.start();
    await waitUntil(t, 'active', () => mode()?.mode === 'active', SLOW_MS);
    const pair = await pairOf(room, 'desk.room');
    const mqtt = { url: pair.url, ca: room.authority.ca, certificates: [pair.cert] };
    const [prefect, mayor] = [keyFile(dir, 'prefect', PREFECT), keyFile(dir, 'mayor', MAYOR)];
    const fleetDir = join(dir, 'fleet');
    mkdirSync(fleetDir);
    const sign = keyFile(dir, 'desk', signer);
    writeFileSync(join(fleetDir, 'fleet.yaml'), JSON.stringify({ mqtt, sign }));
    const remote = async (op: string, ...args: string[]): Promise<Program> => {
      const common = [`${SITE}/${BOX}`, '--dir', fleetDir];
      const program = start(t, process.execPath, [FLEET, op, ...common, ...args]);
      await program.exit;
      return program;
    };
    const reasonOptions = ['--reason', 'court order'];
    const suspended = await remote('suspend', ...reasonOptions);
    t.match(suspended, { code: 0, err: '' });
    const [, suspension = ''] = /suspended since .*, suspension ([0-9a-f]+)\n$/.exec(suspended.out) ?? [];
    t.equal(suspension, mode()?.suspension);
    const resume = (id: string, ...by: string[]): Promise<Program> =>
      remote('resume', ...reasonOptions, '--suspension', id, '--key', ...by);
    t.match(await resume(suspension, prefect), { code: 2, err: /two different keys/ });
    t.match(await resume('0'.repeat(16), prefect, mayor), {
      code: 1,
      err: /^fleet: refused by .*: replayed: /,
    });
    t.match(await remote('suspend', '--reason', ''), { code: 2, err: /^fleet: --reason: 1 to 500/ });
    t.match(
      await remote('suspend', ...reasonOptions, '--sign', prefect),
      { code: 1, err: /^fleet: refused by .*: unknown-key: / },
      'by another key than the fleet’s',
    );
    t.equal(mode()?.mode, 'suspended');
    t.match(await resume(suspension, prefect, mayor), { code: 0, out: /: active since / });
    const phases = () => inbox.events('suspended').map(({ data }) => `${data.phase} ${data.mode}`);
    await waitUntil(t, 'its event has ended', () => phases().length === 2);
    t.same(phases(), ['start suspended', 'end active']);

    await agent.stop();
    // The state that a clock leaves which was never set and once showed the year 2081.
    writeFileSync(join(stateDir, LATEST_TIME_FILE), `${Date.UTC(2081, 0)}\n`);
    const next = makeAgent(t, config, stateDir);
    await next.start();
    await waitUntil(t, 'unauthorised', () => mode()?.mode === 'unauthorised', SLOW_MS);
    t.match(mode()?.reason, /was valid until .*; it is 2081-.* by the latest time seen/);
    t.match(await remote('reset-time'), {
      code: 0,
      out: /^\S+: validity is now checked against 20(?!81).*, no longer against 2081-/,
    });
    await waitUntil(t, 'active', () => mode()?.mode === 'active', SLOW_MS);
    const entryOf = (type: string) => contentsIn(stateDir).findLast((entry) => entry.type === type);
    t.match(entryOf('time-reset'), { by: 'court-desk', before: /^2081/ });
    t.match(await remote('open-hotspot', '--minutes', '61'), { code: 2, err: /whole number from 1 to 60/ });
    t.match(await remote('open-hotspot', '--minutes', '30'), {
      code: 0,
      err: '',
      out: /root has received the command to open the hotspot for 30 min\n$/,
    });
    t.match(entryOf('command'), { op: 'open-hotspot', key: 'court-desk' }, 'on record as every command');
    t.match(await remote('unlock-pairing'), {
      code: 1,
      err: /unavailable: the technician’s page does not run/,
    });
    const page = connect(join(stateDir, 'page.sock'));
    t.teardown(() => page.destroy());
    let received = '';
    page.on('data', (chunk) => (received += String(chunk)));
    await once(page, 'connect');
    t.match(await remote('unlock-pairing'), { code: 0, err: '', out: /may try again\n$/ });
    await waitUntil(t, 'the page hears of it', () => received.includes('"unlock-pairing"'));
  },
);

void t.test('the box has no vision without an authorisation; a renewed one needs no restart', async (t) => {
  const room = await makeRoom(t);
  const inbox = await openInbox(t, room);
  const mode = () => inbox.modes.at(-1);
  const dir = scratch(t);
  const rules = ['passing', 'counted'].map((id) => ({
    id,
    kind: 'line-crossing',
    line: 'across',
    purpose: id,
  }));
  const config = authorised(boxAt(room, { rules }), join(dir, 'order'));
  const authorisation = authorisationFor(config);
  const file = config.authorisation ?? '';
  rmSync(file);
  const agent = makeAgent(t, config, join(dir, 'state'));
  await agent.start();
  await waitUntil(t, 'unauthorised', () => mode()?.mode === 'unauthorised', SLOW_MS);
  t.match(mode(), { reason: /authorisation .* cannot be read/, framesRead: 0, order: null });
  await waitUntil(t, 'health', () => inbox.health.length > 0, SLOW_MS);
  t.match(inbox.health.at(-1), { mode: 'unauthorised', frames: { read: 0 }, processes: { vision: null } });
  t.same(visionsOf(process.pid), []);

  const take = async (change: object, expected: string): Promise<void> => {
    writeFileSync(file, signedAuthorisation({ ...authorisation, ...change }));
    const before = inbox.modes.length;
    agent.reload();
    await waitUntil(t, `${expected}: told`, () => inbox.modes.length > before, SLOW_MS);
    t.equal(mode()?.mode, expected);
  };
  const [first, second] = authorisation.rules;
  await take({ rules: [{ ...first, shadow: true }] }, 'active');
  t.match(mode(), { order: '2026-77', validUntil: authorisation.notAfter, reason: null });
  const refusals = () => inbox.events('rule-unauthorised').map(({ data }) => data);
  await waitUntil(t, 'the rules that do not run', () => refusals().length === 1, SLOW_MS);
  t.match(refusals()[0], {
    rule: { id: 'counted' },
    phase: 'start',
    cause: { reason: /line-crossing for across with the purpose passing, not counted/ },
  });
  await waitUntil(t, 'frames', () => agent.report().frames.read > 0, SLOW_MS);
  t.match(agent.report().restraint.rules, [
    { id: 'passing', state: 'shadow', reason: null },
    { id: 'counted', state: 'unauthorised', reason: /not counted/ },
  ]);
  await take({ rules: [first, second], order: '2026-78' }, 'active');
  await waitUntil(t, 'it runs', () => refusals().at(-1)?.phase === 'end', SLOW_MS);
  await take({ order: '2026-79', notAfter: new Date(Date.now() + 4000).toISOString() }, 'active');
  await waitUntil(t, 'it ends while running', () => mode()?.mode === 'unauthorised', SLOW_MS);
  t.match(mode(), { reason: /authorisation 2026-79 was valid until/ });
  const frames = mode()?.framesRead;
  await take({ box: 'another' }, 'unauthorised');
  t.equal(mode()?.framesRead, frames, 'no frame more');
  t.same(visionsOf(process.pid), []);
});

/**
 * A box in a plain run, where one user owns everything, and older files are put back. A whole folder put back is
 * detected by a head kept elsewhere (journal-export.test.ts), and by root (booted.all.test.ts).
 */
class Box {
  readonly stateDir: string;
  readonly #dir: string;
  readonly #t: Test;

  constructor(t: Test) {
    this.#t = t;
    this.#dir = scratch(t);
    this.stateDir = join(this.#dir, 'state');
  }

  /** Runs an agent until it settles in the mode; returns its reason. */
  async runUntil(mode: string): Promise<string> {
    const config = configOf({
      site: SITE,
      box: BOX,
      camera: { source: calmSource(), fps: 1 },
      mqtt: { url: 'mqtt://127.0.0.1:1', ack: 'broker' },
    });
    const agent = makeAgent(this.#t, authorised(config, join(this.#dir, 'order')), this.stateDir);
    await agent.start();
    try {
      await waitUntil(this.#t, mode, () => agent.report().mode === mode, 20_000);
      return agent.report().restraint.reason ?? '';
    } finally {
      await agent.stop();
    }
  }

  file(name: string): string {
    return join(this.stateDir, name);
  }

  keep(name: string): void {
    cpSync(this.stateDir, join(this.#dir, name), { recursive: true });
  }

  putBack(name: string, ...files: readonly string[]): void {
    const from = join(this.#dir, name);
    if (files.length === 0) {
      rmSync(this.stateDir, { recursive: true });
      cpSync(from, this.stateDir, { recursive: true });
    }
    for (const file of files) cpSync(join(from, file), this.file(file), { recursive: true });
  }
}

async function suspendedBox(t: Test): Promise<Box> {
  const box = new Box(t);
  await box.runUntil('active');
  box.keep('before');
  new Suspension(box.file('suspension.json')).suspend('order of the court', 'box', Date.now());
  t.equal(await box.runUntil('suspended'), 'order of the court');
  box.keep('suspended');
  return box;
}

void t.test('a box stays suspended and says so after one file was put back, edited or removed', async (t) => {
  const box = await suspendedBox(t);
  const putBackText =
    /suspension.json was put back, edited or removed, as the journal shows.*order of the court/;
  box.putBack('before', 'suspension.json');
  t.match(await box.runUntil('suspended'), putBackText, 'put back');
  t.match(await box.runUntil('suspended'), putBackText, 'and so at every start');
  const text = readFileSync(box.file('suspension.json'), 'utf8');
  t.match(text, /"suspended":true/, 'the file is put right');
  box.putBack('suspended');
  rmSync(box.file('suspension.json'));
  await box.runUntil('suspended');
  box.putBack('suspended');
  for (const name of ['suspension.json', 'authority.json', 'latest-time', 'latest-time-confirmed'])
    rmSync(box.file(name), { force: true });
  await box.runUntil('suspended');
  box.putBack('suspended');
  rmSync(box.file('journal'), { recursive: true });
  t.match(await box.runUntil('suspended'), /order of the court/, 'without its journal');
});

void t.test(
  'a journal put back beside newer files, or replaced by a new one, leaves nothing allowed',
  { skip: unlessAll },
  async (t) => {
    const box = await suspendedBox(t);
    box.putBack('before', 'journal');
    await box.runUntil('suspended');
    box.putBack('before');
    rmSync(box.file('journal'), { recursive: true });
    await box.runUntil('unauthorised');
  },
);

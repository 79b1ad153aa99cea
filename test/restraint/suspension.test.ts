/** Tests that a suspended box has no vision process: after kill -9, a restart, and an update to another version. */

import { createPublicKey, verify } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import type { MqttClient } from 'mqtt';
import t, { type Test } from 'tap';
import type { Command, CommandReply } from '../../agent/contract/command.ts';
import type { Config } from '../../agent/contract/config.ts';
import type { VigieEvent } from '../../agent/contract/event.ts';
import type { HealthReport } from '../../agent/contract/health.ts';
import type { JournalContent } from '../../agent/contract/journal.ts';
import { MODE_TYPE, ModeStatement } from '../../agent/contract/mode.ts';
import { keyIdOf } from '../../agent/orders/dsse.ts';
import { JOURNAL_KEY_FILE, readJournalKey } from '../../agent/restraint/journal/key.ts';
import { LATEST_TIME_FILE } from '../../agent/restraint/latest-time.ts';
import { signResume } from '../../agent/restraint/resume.ts';
import { Contract } from '../../scripts/lib/contract.ts';
import { contentOf } from '../../scripts/programs/oversight/timeline/content.ts';
import { type MissingResume, Suspensions } from '../../scripts/programs/oversight/timeline/suspensions.ts';
import { configOf, makeAgent } from '../lib/agent.ts';
import {
  authorisationFor,
  authorised,
  MAYOR,
  PREFECT,
  signedAuthorisation,
  type TestKey,
  testKey,
} from '../lib/authority.ts';
import { makeSigner, searchCommand, signed } from '../lib/commands.ts';
import { calmSource } from '../lib/encoded-clip.ts';
import { FLEET } from '../lib/fleet-keyholders.ts';
import { ROOT, scratch } from '../lib/paths.ts';
import { visionsOf } from '../lib/proc.ts';
import { type Program, start } from '../lib/program.ts';
import { BOX, clientOf, makeRoom, pairOf, type Room, SITE, waitUntil } from '../lib/room.ts';

const SLOW_MS = 60_000;
const root = `vigie/${SITE}/${BOX}`;

interface Inbox {
  readonly client: MqttClient;
  readonly modes: ModeStatement[];
  readonly health: HealthReport[];
  readonly events: VigieEvent[];
  readonly replies: CommandReply[];
  readonly envelopes: string[];
}

/** Collects everything the room receives and checks it against the contract. */
async function listen(t: Test, room: Room): Promise<Inbox> {
  const client = await clientOf(t, room, 'room');
  const inbox: Inbox = { client, modes: [], health: [], events: [], replies: [], envelopes: [] };
  const contract = new Contract();
  client.on('message', (topic, payload, packet) => {
    if (!topic.endsWith('/cmd')) for (const problem of contract.problems(packet)) t.fail(problem);
    const content = (): never => JSON.parse(String(payload)) as never;
    if (topic === `${root}/mode`) {
      inbox.envelopes.push(String(payload));
      const { payload: inner } = content() as { payload: string };
      const statement: unknown = JSON.parse(Buffer.from(inner, 'base64').toString());
      if (Value.Check(ModeStatement, statement)) inbox.modes.push(statement);
      else t.fail(`no statement: ${JSON.stringify(statement)}`);
    }
    if (topic === `${root}/health`) inbox.health.push(content());
    if (topic.startsWith(`${root}/evt/`)) inbox.events.push(content());
    if (topic.startsWith(`${root}/reply/`)) inbox.replies.push(content());
  });
  await client.subscribeAsync('vigie/#', { qos: 1, rap: true });
  return inbox;
}

const boxAt = (room: Room, fields: object = {}): Config =>
  configOf({
    site: SITE,
    box: BOX,
    camera: { source: calmSource(5), fps: 5 },
    lines: [{ id: 'across', from: [0.5, 0], to: [0.5, 1] }],
    rules: [{ id: 'passing', kind: 'line-crossing', line: 'across', purpose: 'counting' }],
    mqtt: { ...room.config, ack: 'broker' },
    ...fields,
  });

function contentsIn(stateDir: string): JournalContent[] {
  const text = readFileSync(join(stateDir, 'journal/contents/000.jsonl'), 'utf8');
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => (JSON.parse(line) as { content: JournalContent }).content);
}

function missingResumes(entries: readonly JournalContent[]): readonly MissingResume[] {
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

void t.test(
  'a suspension on the box survives kill -9, a restart and an update, and two keys end it',
  async (t) => {
    t.setTimeout(600_000);
    const room = await makeRoom(t);
    const dir = scratch(t);
    const stateDir = join(dir, 'state');
    const { modes, health, envelopes } = await listen(t, room);
    const file = join(dir, 'vigie.json');
    writeFileSync(file, JSON.stringify(authorised(boxAt(room), join(dir, 'order'))));
    const main = (at: string): string => join(at, 'dist/agent/cli/main.js');
    const run = (at = ROOT): Program =>
      start(t, process.execPath, [main(at), 'run', '--config', file, '--state', stateDir]);
    const vigie = async (...args: string[]): Promise<Program> => {
      const program = start(t, process.execPath, [main(ROOT), ...args, '--state', stateDir]);
      await program.exit;
      return program;
    };
    let agent = run();
    await waitUntil(t, 'active', () => modes.at(-1)?.mode === 'active', SLOW_MS);
    await waitUntil(t, 'vision', () => visionsOf(agent.child.pid as number).length === 1, SLOW_MS);
    await waitUntil(t, 'frames in health', () => (health.at(-1)?.frames.read ?? 0) > 0, SLOW_MS);

    const suspended = await vigie('suspend', '--reason', 'order 2026/1234 of the court');
    t.match(suspended, { code: 0, err: '' });
    t.match(
      suspended.out,
      /^suspended since .*\nthe agent has stopped the analysis; frames read since its start: [1-9]\d*\n$/,
    );
    t.same(visionsOf(agent.child.pid as number), [], 'there is no vision process');
    await waitUntil(t, 'told', () => modes.at(-1)?.mode === 'suspended', SLOW_MS);
    const first = modes.at(-1);
    t.match(first, { reason: 'order 2026/1234 of the court', order: '2026-77' });
    t.ok((first?.framesRead ?? 0) > 0);
    t.match(await vigie('suspend', '--reason', 'again'), {
      code: 0,
      out: /^already suspended since .*court/,
    });

    const update = anotherVersion(dir);
    for (const at of [ROOT, update, ROOT]) {
      agent.child.kill('SIGKILL');
      await agent.exit;
      const before = [modes.length, health.length] as const;
      agent = run(at);
      await waitUntil(t, 'suspended again', () => modes.length > before[0], SLOW_MS);
      // The second report comes 30 s later.
      const reports = before[1] + (at === update ? 2 : 1);
      await waitUntil(t, 'health reports', () => health.length >= reports, 2 * SLOW_MS);
      for (const statement of modes.slice(before[0])) {
        t.match(statement, {
          mode: 'suspended',
          since: first?.since,
          suspension: first?.suspension,
          framesRead: 0,
          packetsWatched: 0,
        });
      }
      for (const report of health.slice(before[1])) {
        t.match(report, {
          mode: 'suspended',
          frames: { read: 0, analysed: 0, watched: 0 },
          processes: { vision: null },
        });
      }
      t.same(
        visionsOf(agent.child.pid as number),
        [],
        `no vision process of ${health.at(-1)?.versions['vigie']}`,
      );
    }

    const [prefect, mayor] = [keyFile(dir, 'prefect', PREFECT), keyFile(dir, 'mayor', MAYOR)];
    const unknownKey = keyFile(dir, 'stranger', testKey());
    const resume = (...keys: string[]): Promise<Program> =>
      vigie('resume', '--reason', 'lifted', '--key', ...keys);
    t.match(await resume(prefect), { code: 2, err: /two different keys/ }, 'one key');
    t.match(await resume(prefect, prefect), { code: 2, err: /two different keys/ }, 'the same key twice');
    t.match(
      await resume(prefect, unknownKey),
      { code: 1, err: /refused, .*no key .* in resumeKeys/ },
      'a foreign key',
    );
    t.match(await resume(prefect, mayor, unknownKey), { code: 1, err: /refused/ }, 'three keys');
    t.same(visionsOf(agent.child.pid as number), []);
    t.match(await resume(prefect, mayor), { code: 0, out: /^resumed; the box is now active\n/, err: '' });
    await waitUntil(t, 'active', () => modes.at(-1)?.mode === 'active', SLOW_MS);
    await waitUntil(t, 'vision', () => visionsOf(agent.child.pid as number).length === 1, SLOW_MS);
    t.match(await resume(prefect, mayor), { code: 2, err: /not suspended/ });
    agent.child.kill('SIGTERM');
    t.equal(await agent.exit, 0);

    const key = createPublicKey(readJournalKey(join(stateDir, JOURNAL_KEY_FILE)));
    for (const text of envelopes) {
      const { payload, signatures } = JSON.parse(text) as {
        payload: string;
        signatures: { keyid: string; sig: string }[];
      };
      const body = Buffer.from(payload, 'base64');
      const pae = Buffer.concat([
        Buffer.from(`DSSEv1 ${MODE_TYPE.length} ${MODE_TYPE} ${body.length} `),
        body,
      ]);
      t.equal(signatures[0]?.keyid, keyIdOf(key));
      t.ok(verify(null, pae, key, Buffer.from(signatures[0]?.sig ?? '', 'base64')), 'signed by the box');
    }
    const journal = contentsIn(stateDir);
    t.match(
      journal.find(({ type }) => type === 'suspend'),
      { by: 'box', framesRead: first?.framesRead },
    );
    t.match(
      journal.find(({ type }) => type === 'resume'),
      { id: first?.suspension, by: ['prefect', 'mayor'] },
    );
    t.strictSame(
      journal.filter((entry) => contentOf(entry) !== entry),
      [],
      'every entry is of the form that the report asks for',
    );
    t.strictSame(missingResumes(journal), [], 'and the report misses no resume');
    const withoutResumes = journal.filter(({ type }) => type !== 'resume');
    t.match(
      missingResumes(withoutResumes),
      [{ suspension: first?.suspension }],
      'as if its entry were missing',
    );
    const modesEntered = journal.flatMap((entry) => (entry.type === 'mode' ? [entry.mode] : []));
    t.same(modesEntered, ['active', 'suspended', 'suspended', 'suspended', 'suspended', 'active']);
    t.ok(
      journal.some(({ type }) => type === 'authority') &&
        journal.some(({ type }) => type === 'authorisation'),
    );
  },
);

void t.test('signed commands suspend and resume a box', async (t) => {
  const room = await makeRoom(t);
  const signer = makeSigner('court-desk');
  const keys = [{ ...signer.config, may: ['suspend', 'resume'] }];
  const { client, modes, replies, events } = await listen(t, room);
  const agent = makeAgent(t, boxAt(room, { commands: { keys } }), join(scratch(t), 'state'));
  await agent.start();
  await waitUntil(t, 'active', () => modes.at(-1)?.mode === 'active', SLOW_MS);
  const ask = async (change: Partial<Command>): Promise<CommandReply | undefined> => {
    const before = replies.length;
    const properties = { responseTopic: `${root}/reply/desk`, correlationData: Buffer.from('1') };
    const payload = signed(signer, searchCommand(change));
    await client.publishAsync(`${root}/cmd`, payload, { qos: 1, properties });
    await waitUntil(t, 'a reply', () => replies.length > before, SLOW_MS);
    return replies.at(-1);
  };
  t.match(await ask({ op: 'suspend', args: {} }), { refused: { code: 'bad-arguments', message: /reason/ } });
  const answer = await ask({ op: 'suspend', args: { reason: 'court order' } });
  t.match(answer, { op: 'suspend', result: { mode: 'suspended', reason: 'court order' } });
  await waitUntil(t, 'the mode', () => modes.at(-1)?.mode === 'suspended', SLOW_MS);
  const { suspension = '' } = (answer?.result ?? {}) as { suspension?: string };
  t.equal(modes.at(-1)?.suspension, suspension);
  const resume = (changes: object, ...signingKeys: TestKey[]): Promise<CommandReply | undefined> => {
    const [notBefore, notAfter] = [-60_000, 600_000].map((ms) => new Date(Date.now() + ms).toISOString());
    const content = { site: SITE, box: BOX, suspension, reason: 'lifted', notBefore, notAfter, ...changes };
    const text = signResume(
      content as Parameters<typeof signResume>[0],
      signingKeys.map(({ privateKey }) => privateKey),
    );
    return ask({ op: 'resume', args: { envelope: JSON.parse(text) as object } });
  };
  t.match(await resume({}, PREFECT), { refused: { code: 'bad-arguments' } }, 'one key');
  t.match(await resume({}, PREFECT, PREFECT), { refused: { code: 'not-permitted' } }, 'one key twice');
  t.match(await resume({}, PREFECT, testKey()), { refused: { code: 'unknown-key' } }, 'a foreign key');
  t.match(await resume({ suspension: '0'.repeat(16) }, PREFECT, MAYOR), { refused: { code: 'replayed' } });
  t.equal(modes.at(-1)?.mode, 'suspended');
  t.match(await resume({}, PREFECT, MAYOR), { op: 'resume', result: { mode: 'active', reason: null } });
  t.match(await resume({}, PREFECT, MAYOR), { refused: { code: 'not-permitted', message: /not suspended/ } });
  const phases = (): string[] =>
    events
      .filter(({ data }) => data.rule.kind === 'suspended')
      .map(({ data }) => `${data.phase} ${data.mode}`);
  await waitUntil(t, 'the event of it has begun and ended', () => phases().length === 2, SLOW_MS);
  t.same(phases(), ['start suspended', 'end active']);
});

void t.test('the room’s program suspends and resumes a box, and sets its time', async (t) => {
  const room = await makeRoom(t);
  const dir = scratch(t);
  const signer = makeSigner('court-desk');
  const keys = [
    { ...signer.config, may: ['suspend', 'resume', 'reset-time', 'open-hotspot', 'unlock-pairing'] },
  ];
  const { modes } = await listen(t, room);
  const stateDir = join(dir, 'state');
  const config = authorised(boxAt(room, { commands: { keys } }), join(dir, 'order'));
  const agent = makeAgent(t, config, stateDir);
  await agent.start();
  await waitUntil(t, 'active', () => modes.at(-1)?.mode === 'active', SLOW_MS);
  const pair = await pairOf(room, 'room');
  const broker = { url: pair.url, ca: room.authority.ca, cert: pair.cert, key: pair.key };
  const [sign, prefect, mayor] = [
    keyFile(dir, 'desk', signer),
    keyFile(dir, 'prefect', PREFECT),
    keyFile(dir, 'mayor', MAYOR),
  ];
  const fleetDir = join(dir, 'fleet');
  mkdirSync(fleetDir);
  writeFileSync(join(fleetDir, 'fleet.yaml'), JSON.stringify({ mqtt: broker, sign }));
  const remote = async (op: string, ...args: string[]): Promise<Program> => {
    const common = [`${SITE}/${BOX}`, '--dir', fleetDir];
    const caseOptions = ['reset-time', 'open-hotspot', 'unlock-pairing'].includes(op)
      ? []
      : ['--reason', 'court order'];
    const program = start(t, process.execPath, [FLEET, op, ...common, ...caseOptions, ...args]);
    await program.exit;
    return program;
  };
  const suspended = await remote('suspend');
  t.match(suspended, { code: 0, err: '' });
  const [, suspension = ''] = /suspended since .*, suspension ([0-9a-f]+)\n$/.exec(suspended.out) ?? [];
  t.equal(suspension, modes.at(-1)?.suspension);
  const resume = (id: string, ...by: string[]): Promise<Program> =>
    remote('resume', '--suspension', id, '--key', ...by);
  t.match(await resume(suspension, prefect), { code: 2, err: /two different keys/ });
  t.match(await resume('0'.repeat(16), prefect, mayor), {
    code: 1,
    err: /^fleet: refused by .*: replayed: /,
  });
  const unnamed = start(t, process.execPath, [FLEET, 'suspend', 'No', '--dir', fleetDir, '--reason', 'r']);
  await unnamed.exit;
  t.match(unnamed, { code: 2, err: /^fleet: invalid box name "No"/ });
  t.match(await remote('suspend', '--reason', ''), { code: 2, err: /^fleet: --reason: 1 to 500/ });
  t.match(
    await remote('suspend', '--sign', prefect),
    { code: 1, err: /^fleet: refused by .*: unknown-key: / },
    'by another key than the fleet’s',
  );
  t.equal(modes.at(-1)?.mode, 'suspended');
  t.match(await resume(suspension, prefect, mayor), { code: 0, out: /: active since / });

  await agent.stop();
  // The state that a clock leaves which was never set and once showed the year 2081.
  writeFileSync(join(stateDir, LATEST_TIME_FILE), `${Date.UTC(2081, 0)}\n`);
  const next = makeAgent(t, config, stateDir);
  await next.start();
  const currentMode = () => modes.at(-1)?.mode;
  await waitUntil(t, 'unauthorised', () => currentMode() === 'unauthorised', SLOW_MS);
  t.match(modes.at(-1)?.reason, /was valid until .*; it is 2081-.* by the latest time seen/);
  const reset = await remote('reset-time');
  t.match(reset, {
    code: 0,
    out: /^\S+: validity is now checked against 20(?!81).*, no longer against 2081-/,
  });
  await waitUntil(t, 'active', () => currentMode() === 'active', SLOW_MS);
  t.match(
    contentsIn(stateDir).find(({ type }) => type === 'time-reset'),
    { by: 'court-desk', before: /^2081/ },
  );
  t.match(await remote('open-hotspot', '--minutes', '61'), { code: 2, err: /whole number from 1 to 60/ });
  const hotspotRun = await remote('open-hotspot', '--minutes', '30');
  t.match(hotspotRun, {
    code: 0,
    err: '',
    out: /root has received the command to open the hotspot for 30 min\n$/,
  });
  const storedCommand = JSON.parse(readFileSync(join(stateDir, 'open-hotspot.dsse.json'), 'utf8'));
  const inside = JSON.parse(Buffer.from(storedCommand.payload, 'base64').toString());
  t.match(inside, { op: 'open-hotspot', box: BOX, args: { minutes: 30 } }, 'as the room has signed it');
  t.match(
    contentsIn(stateDir).findLast(({ type }) => type === 'command'),
    { op: 'open-hotspot', key: 'court-desk' },
    'on record as every command',
  );
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
});

void t.test('the box has no vision without an authorisation; a renewed one needs no restart', async (t) => {
  const room = await makeRoom(t);
  const { modes, health, events } = await listen(t, room);
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
  const reported = (mode: string) => modes.at(-1)?.mode === mode;
  await waitUntil(t, 'unauthorised', () => reported('unauthorised'), SLOW_MS);
  t.match(modes.at(-1), { reason: /authorisation .* cannot be read/, framesRead: 0, order: null });
  await waitUntil(t, 'health', () => health.length > 0, SLOW_MS);
  t.match(health.at(-1), { mode: 'unauthorised', frames: { read: 0 }, processes: { vision: null } });

  const take = async (change: object, mode: string): Promise<void> => {
    writeFileSync(file, signedAuthorisation({ ...authorisation, ...change }));
    const before = modes.length;
    agent.reload();
    await waitUntil(
      t,
      `${mode}, by ${JSON.stringify(change).slice(0, 60)}`,
      () => modes.length > before,
      SLOW_MS,
    );
    t.equal(modes.at(-1)?.mode, mode);
  };
  const [first, second] = authorisation.rules;
  await take(
    { rules: [{ ...first, shadow: true }], retention: { eventsDays: 3, snapshotsDays: 2, sealedDays: 1 } },
    'active',
  );
  t.match(modes.at(-1), { order: '2026-77', validUntil: authorisation.notAfter, reason: null });
  const eventsOf = (kind: string): VigieEvent[] => events.filter(({ data }) => data.rule.kind === kind);
  await waitUntil(t, 'the rules that do not run', () => eventsOf('rule-unauthorised').length === 1, SLOW_MS);
  t.match(eventsOf('rule-unauthorised')[0]?.data, {
    rule: { id: 'counted' },
    phase: 'start',
    cause: { reason: /line-crossing for across with the purpose passing, not counted/ },
  });
  await waitUntil(
    t,
    'frames, and what health says of each rule',
    () => (health.at(-1)?.frames.read ?? 0) > 0 && health.at(-1)?.mode === 'active',
    2 * SLOW_MS,
  );
  t.match(health.at(-1)?.restraint.rules, [
    { id: 'passing', state: 'shadow', reason: null },
    { id: 'counted', state: 'unauthorised', reason: /not counted/ },
  ]);
  await take({ rules: [first, second], order: '2026-78' }, 'active');
  await waitUntil(t, 'it runs', () => eventsOf('rule-unauthorised').at(-1)?.data.phase === 'end', SLOW_MS);
  await take({ order: '2026-79', notAfter: new Date(Date.now() + 4000).toISOString() }, 'active');
  await waitUntil(t, 'it ends while running', () => reported('unauthorised'), SLOW_MS);
  t.match(modes.at(-1), { reason: /authorisation 2026-79 was valid until/ });
  const frames = modes.at(-1)?.framesRead;
  await take({ box: 'another' }, 'unauthorised');
  t.equal(modes.at(-1)?.framesRead, frames, 'no frame more');
  await take({ order: '2026-80' }, 'active');
});

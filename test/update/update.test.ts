/** Tests the agent between the room, which sends orders, and root, which executes them, with kills on the way. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
import { RENEW_FILE } from '../../agent/contract/diagnosis.ts';
import type { VigieEvent } from '../../agent/contract/event.ts';
import type { HealthReport } from '../../agent/contract/health.ts';
import type { JournalContent } from '../../agent/contract/journal.ts';
import {
  CONFIG_ORDER_FILE,
  CONFIG_ORDER_TYPE,
  HISTORY_FILE,
  STATUS_FILE,
  UPDATE_ORDER_FILE,
  UPDATE_ORDER_TYPE,
  type UpdateReport,
} from '../../agent/contract/update.ts';
import { signEnvelope } from '../../agent/orders/dsse.ts';
import { RoomOrder } from '../../agent/update/room-orders.ts';
import { openReport } from '../../scripts/products/fleet/report.ts';
import { FleetStore } from '../../scripts/products/fleet/store.ts';
import { Contract } from '../../scripts/workshop/docs/contract.ts';
import { rootProgram } from '../lib/bundled.ts';
import { makeSigner, type Signer } from '../lib/commands.ts';
import { keyOf } from '../lib/journal.ts';
import { SILENT } from '../lib/outbox.ts';
import { ROOT, scratch } from '../lib/paths.ts';
import { oversight, type Program, start, VIGIE } from '../lib/program.ts';
import { BOX, clientOf, makeRoom, pairOf, type Room, SITE, waitUntil } from '../lib/room.ts';
import { configRecord, releaseRecord, rootRecord, status, T } from '../lib/root-said.ts';
import { unlessAll } from '../lib/run.ts';

const SLOW_MS = 20_000;
const root = `vigie/${SITE}/${BOX}`;

function order(signer: Signer, counter: number, change: object = {}): string {
  const content = {
    rollout: 'november',
    site: SITE,
    box: BOX,
    action: 'install',
    counter,
    window: null,
    notBefore: T(0),
    notAfter: '2036-01-01T00:00:00.000Z',
    what: 'release',
    seq: 12,
    version: '0.2.0',
    ...change,
  };
  return signEnvelope(UPDATE_ORDER_TYPE, JSON.stringify(content), signer.privateKey);
}

function configOrder(signer: Signer, counter: number): string {
  const content = {
    rollout: 'masks',
    site: SITE,
    box: BOX,
    action: 'install',
    counter,
    window: null,
    revision: 1,
    notBefore: T(0),
    notAfter: '2036-01-01T00:00:00.000Z',
    sha256: 'a'.repeat(64),
    yaml: `# ${'x'.repeat(250_000)}\n`,
  };
  return signEnvelope(CONFIG_ORDER_TYPE, JSON.stringify(content), signer.privateKey);
}

/** A box as the package makes it, without a camera that it may access. */
class Box {
  readonly dir: string;
  readonly state: string;
  readonly updates: string;
  readonly config: string;
  readonly reports: UpdateReport[] = [];
  readonly events: VigieEvent[] = [];
  readonly health: HealthReport[] = [];
  readonly #t: Test;
  #program: Program | undefined;

  constructor(t: Test, { config }: Room, keys: readonly object[]) {
    this.#t = t;
    this.dir = scratch(t);
    [this.state, this.updates] = [join(this.dir, 'state'), join(this.dir, 'updates')];
    this.config = join(this.dir, 'etc', 'vigie.yaml');
    for (const folder of [this.state, this.updates, join(this.dir, 'etc')]) mkdirSync(folder);
    const rule = { id: 'passing', kind: 'line-crossing', line: 'across', purpose: 'counting' };
    const content = {
      site: SITE,
      box: BOX,
      camera: { source: 'rtsp://viewer:s3cret@192.0.2.7/main', fps: 5 },
      lines: [{ id: 'across', from: [0.5, 0], to: [0.5, 1] }],
      rules: [rule],
      metrics: { port: 0 },
      mqtt: { ...config, ack: 'broker' },
      commands: { keys },
    };
    writeFileSync(this.config, JSON.stringify(content));
  }

  /** Runs the agent until it is killed or the whole test has ended. */
  run(): void {
    const env = [`VIGIE_UPDATE_DIR=${this.updates}`, `VIGIE_LOGS_SOCKET=${join(this.dir, 'logs.sock')}`];
    const words = [process.execPath, VIGIE, 'run', '--config', this.config, '--state', this.state];
    const t = this.#t;
    const program = start(t, 'env', [...env, ...words]);
    this.#program = program;
    t.teardown(() => t.passing() || t.comment(program.err.slice(-3000)));
  }

  async kill(): Promise<void> {
    this.#program?.child.kill('SIGKILL');
    await this.#program?.exit;
  }

  get last(): UpdateReport | undefined {
    return this.reports.at(-1);
  }

  get entries(): JournalContent[] {
    const file = join(this.state, 'journal/contents/000.jsonl');
    if (!existsSync(file)) return [];
    const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
    return lines.map((line) => (JSON.parse(line) as { content: JournalContent }).content);
  }

  get rollouts(): Extract<JournalContent, { type: 'rollout' }>[] {
    return this.entries.filter((content) => content.type === 'rollout');
  }

  orderText(file = UPDATE_ORDER_FILE): string {
    const path = join(this.state, file);
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  }
}

/** Collects everything the room receives, checked against the contract; keeps only reports with a valid signature. */
async function listen(t: Test, room: Room, box: Box) {
  const client = await clientOf(t, room, 'fleet.room', { properties: { maximumPacketSize: 1_000_000 } });
  const contract = new Contract();
  client.on('message', (topic, payload, packet) => {
    if (topic.startsWith(`${root}/update/desired`) || topic.startsWith(`${root}/config/desired`)) return;
    if (!topic.endsWith('/cmd') && payload.length > 0)
      for (const problem of contract.problems(packet)) t.fail(`${topic}: ${problem}`);
    if (topic === `${root}/update/reported`) box.reports.push(openReport(payload, SITE, BOX).report);
    if (topic === `${root}/health`) box.health.push(JSON.parse(String(payload)) as HealthReport);
    if (topic.startsWith(`${root}/evt/`)) box.events.push(JSON.parse(String(payload)) as VigieEvent);
  });
  await client.subscribeAsync(`${root}/#`, { qos: 1, rap: true });
  return client;
}

void t.test('an order is stored unchanged, or refused with its reason', async (t) => {
  const stateDir = scratch(t);
  const ops = makeSigner('ops', ['update', 'configure']);
  const [searcher, other, unknownSigner] = ['desk', 'other', 'stranger'].map((name) =>
    makeSigner(name, [name === 'desk' ? 'search' : 'update']),
  ) as [Signer, Signer, Signer];
  const keys = [ops.config, searcher.config, other.config];
  const makeOrder = (): RoomOrder =>
    new RoomOrder({
      kind: 'update',
      reader: { site: SITE, box: BOX, keys, wallMs: () => Date.now() },
      stateDir,
      clock: systemClock,
      log: SILENT,
    });
  const orderText = (): string => readFileSync(join(stateDir, UPDATE_ORDER_FILE), 'utf8');
  const first = order(ops, 5);
  makeOrder().hear(Buffer.from(first));
  const accepted = makeOrder();
  t.match(accepted, { order: 5, refusalReason: null });
  for (const [reason, payload] of [
    [/^wrong-box/, order(ops, 20, { box: 'another' })],
    [/^unknown-key/, order(unknownSigner, 20)],
    [/^not-permitted: the key desk may not update/, order(searcher, 20)],
    [/^replayed: counter 4 is not above 5/, order(ops, 4)],
    [/^replayed: counter 5 is not above 5/, order(ops, 5, { version: '0.3.0' })],
    [/^malformed: counter 9007199254740991: must be a time in ms/, order(ops, 2 ** 53 - 1)],
    [/^malformed: 2\d{4} bytes/, order(ops, 20, { rollout: 'x'.repeat(15_000) })],
    [/^malformed: .*what/, order(ops, 20, { what: 'kernel' })],
    [/^malformed/, randomBytes(60)],
  ] as const) {
    accepted.hear(Buffer.from(payload));
    t.match(accepted.refusalReason, reason);
    t.equal(orderText(), first, 'none of these replaces it');
  }
  accepted.hear(Buffer.alloc(0));
  accepted.hear(Buffer.from(first));
  t.match(accepted, {
    order: 5,
    refusalReason: null,
    counters: { takenCount: 0, refusedCount: 9, knownCount: 1 },
  });
  accepted.hear(Buffer.from(order(other, 2)));
  t.match(accepted, { order: 2, refusalReason: null }, 'another key has its own counter');
  accepted.hear(Buffer.from(order(ops, 4)));
  t.match(accepted.refusalReason, /^replayed: counter 4 is not above 5/, 'also when another one lies there');
  writeFileSync(join(stateDir, UPDATE_ORDER_FILE), 'rubbish');
  const restarted = makeOrder();
  restarted.hear(Buffer.from(first));
  t.equal(orderText(), first, 'an invalid order is replaced');
  const ofRoot = order(ops, 6, { what: 'root', seq: 13 });
  restarted.hear(Buffer.from(ofRoot));
  t.equal(orderText(), ofRoot, 'an order for root’s program takes the place of one for the agent');
  rmSync(stateDir, { recursive: true });
  restarted.hear(Buffer.from(order(ops, 7)));
  t.match(restarted.refusalReason, /^unavailable: update-desired\.dsse\.json cannot be written/);
});

void t.test(
  'orders reach root, and root’s work reaches room and journal, whatever dies',
  { skip: unlessAll },
  async (t) => {
    t.setTimeout(300_000);
    const room = await makeRoom(t);
    const ops = makeSigner('ops', ['update', 'configure']);
    const unknownSigner = makeSigner('stranger', ['update']);
    const box = new Box(t, room, [ops.config]);
    writeFileSync(join(box.updates, STATUS_FILE), status('idle', 0));
    const client = await listen(t, room, box);
    const publish = (payload: string | Buffer, retain = true, topic = `${root}/update/desired`) =>
      client.publishAsync(topic, payload, { qos: 1, retain });
    const reported = (label: string, matches: (report: UpdateReport) => boolean): Promise<number> =>
      waitUntil(t, label, () => box.last !== undefined && matches(box.last), SLOW_MS);

    const first = order(ops, 5);
    await publish(first);
    box.run();
    await reported('the order that was there', (report) => report.order === 5);
    t.equal(box.orderText(), first, 'unchanged');
    t.match(box.last, {
      updater: { phase: 'idle', release: { seq: 11 }, freeBytes: 5_000_000_000 },
      refused: null,
      config: { sha256: /^[0-9a-f]{64}$/, phase: 'idle', order: null, refused: null },
      mode: 'unauthorised',
      authorisation: null,
      certNotAfter: /^20/,
    });
    t.ok((box.last?.journalIndex ?? 0) > 0);

    await publish(order(unknownSigner, 20), false);
    await reported('a stranger’s', ({ refused }) => /^unknown-key: /.test(refused ?? ''));
    t.equal(box.orderText(), first, 'none of these replaces it');
    await publish('', true);
    await publish(order(ops, 5), false);
    await reported('taken again', ({ refused }) => refused === null);
    t.equal(box.orderText(), first, 'a cleared and a repeated order change nothing');

    // The agent leaves messages beyond its rate unread, and requests the retained one again.
    await Promise.all(Array.from({ length: 2000 }, () => publish(randomBytes(60), false)));
    const next = order(ops, 9);
    await publish(next);
    await publish(configOrder(ops, 3), true, `${root}/config/desired`);
    await reported('the configuration', ({ config }) => config.order === 3);
    t.ok(box.orderText(CONFIG_ORDER_FILE).length > 300_000, 'larger than any command');

    await t.test('root’s history is reported once, and a shortened copy is detected', async (t) => {
      const history = join(box.updates, HISTORY_FILE);
      const entered = (count: number): Promise<number> =>
        waitUntil(t, `${count} entries`, () => box.rollouts.length >= count, SLOW_MS);
      writeFileSync(join(box.updates, STATUS_FILE), status('switching', 2));
      writeFileSync(history, releaseRecord(1, 'staged') + releaseRecord(2, 'switching'));
      const copy = readFileSync(history);
      await entered(2);
      await reported('that it switches', ({ updater }) => updater?.phase === 'switching');
      appendFileSync(history, releaseRecord(3, 'rolled-back', 'it crashed: 3 restarts'));
      appendFileSync(history, '{"n":4,');
      // An agent killed before the broker has answered sends it again under the same id.
      const failures = () => [
        ...new Map(
          box.events
            .filter(({ data }) => data.rule.kind === 'update-failed')
            .map((event) => [event.id, event]),
        ).values(),
      ];
      await waitUntil(t, 'the failure is reported', () => failures().length === 2, SLOW_MS);
      t.match(failures()[0]?.data.cause, { phase: 'rolled-back', reason: 'it crashed: 3 restarts' });
      await entered(3);
      await box.kill();
      writeFileSync(
        history,
        `${copy.toString()}${releaseRecord(3, 'rolled-back', 'it crashed: 3 restarts')}what?\n${releaseRecord(4, 'staged')}${configRecord(5)}${rootRecord(6)}`,
      );
      writeFileSync(join(box.updates, STATUS_FILE), status('staged', 6));
      const before = box.reports.length;
      box.run();
      await entered(6);
      await reported('anew', ({ config }) => box.reports.length > before && config.phase === 'confirmed');
      t.match(box.last?.updater?.root, {
        release: { seq: 10 },
        phase: 'rolled-back',
        rollout: 'november-root',
      });
      await waitUntil(t, 'the failure of root’s program', () => failures().length === 4, SLOW_MS);
      t.match(
        failures().find(({ data }) => data.cause['what'] === 'root'),
        { data: { cause: { phase: 'rolled-back', rollout: 'november-root', reason: 'it does not run' } } },
      );
      await box.kill();
      // An older copy is put back, with nothing added to it.
      writeFileSync(history, copy);
      box.run();
      await entered(7);
      appendFileSync(history, releaseRecord(3, 'failed', 'no disk'));
      await entered(8);
      t.strictSame(
        box.rollouts.map(({ what, n, phase }) => `${what} ${n} ${phase}`),
        [
          ...['release 1 staged', 'release 2 switching', 'release 3 rolled-back', 'release 4 staged'],
          ...[
            'configuration 5 confirmed',
            'root 6 rolled-back',
            'release 2 history-went-back',
            'release 3 failed',
          ],
        ],
        'each once',
      );
      await waitUntil(t, 'the third failure', () => failures().length === 6, SLOW_MS);
    });

    await reported('what was left unread', (report) => report.order === 9);
    t.equal(box.orderText(), next);
    await waitUntil(t, 'a health report', () => box.health.length > 0, SLOW_MS);
    t.match(box.health.at(-1)?.counters, { update_reports: Number, update_orders_refused: Number });

    const at = box.last?.at;
    await room.broker.stop();
    await room.broker.start();
    await reported('on a new connection', (report) => report.at !== at);
    let retainedReport: UpdateReport | undefined;
    const later = await clientOf(t, room, 'metrics.room');
    later.on('message', (_topic, payload, { retain }) => {
      if (retain) retainedReport = openReport(payload, SITE, BOX).report;
    });
    await later.subscribeAsync(`${root}/update/reported`, { qos: 1 });
    await waitUntil(t, 'retained', () => retainedReport !== undefined, SLOW_MS);
    const env = [`VIGIE_UPDATE_DIR=${box.updates}`, process.execPath, VIGIE, 'status', '--state', box.state];
    const screen = start(t, 'env', env);
    await screen.exit;
    t.match(screen.out, /✓ release +11-0\.1\.0, ordered 12-0\.2\.0, staged \(rollout november\)/);
    t.match(screen.out, /✗ root +10-0\.1\.0, rolled-back \(rollout november-root\): it does not run/);
    const journalReport = oversight(t, 'report', join(box.state, 'journal'), '--key', keyOf(box.state));
    await journalReport.exit;
    t.match(
      journalReport.out,
      /the release 12-0\.2\.0 was rolled back, and the release 11-0\.1\.0 runs again \(rollout november\): it cr/,
    );
    t.match(
      journalReport.out,
      /root’s program 13-0\.2\.0 was rolled back, and root’s program 10-0\.1\.0 runs again \(rollout november-root\)/,
    );
    t.match(
      journalReport.out,
      /root’s own list of changes is not intact: root’s numbers went from 6 back to 2/,
    );
  },
);

/** Stands in for vigie-logs.socket: one program for each request, on a log that this machine need not have. */
function logsHelper(t: Test, dir: string): { close(): void } {
  const secrets = [
    'camera rtsp://viewer:hunter2@192.0.2.7/main?token=hunter2 is away',
    '{"level":30,"msg":"asked","url":"http://192.0.2.7/user=admin_password=hunter2_channel=1"}',
    'Authorization: Basic aHVudGVyMg== and {\\"password\\":\\"hunter2\\"} \u001b[2J',
    '-----BEGIN PRIVATE KEY-----',
    'MC4CAQAwBQYDK2VwBCIEIhunter2hunter2hunter2hunter2hunter2hunter2',
    '-----END PRIVATE KEY-----',
  ];
  const line = (text: string): string => `2026-11-26T08:00:00+00:00 box vigie[1]: ${text}`;
  const noise = Array.from({ length: 9000 }, (_, i) => line(`${i} ${randomBytes(40).toString('hex')}`));
  writeFileSync(
    join(dir, 'lines'),
    [...secrets.map(line).reverse(), ...noise].map((one) => `${one}\n`).join(''),
  );
  const script = `#!/bin/sh\necho "$@" >${dir}/asked\nexec cat ${dir}/lines\n`;
  writeFileSync(join(dir, 'journalctl'), script, { mode: 0o755 });
  const env = { ...process.env, PATH: `${dir}:${process.env['PATH']}` };
  const server = createServer((socket) => {
    const child = spawn(process.execPath, [rootProgram(), 'logs'], {
      env,
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    socket.pipe(child.stdin);
    child.stdout.pipe(socket);
    socket.on('error', () => child.kill());
    child.stdin.on('error', () => socket.destroy());
  });
  server.listen(join(dir, 'logs.sock'));
  t.teardown(() => server.close());
  return server;
}

const FLEET = `
import { Command } from '@commander-js/extra-typings';
import { askCommands, renewCommand } from './dist/scripts/products/fleet/ask/commands.js';
const program = new Command();
askCommands(program);
renewCommand(program.command('cert'));
program.parseAsync(process.argv, { from: 'electron' }).catch((error) => {
  process.stderr.write('fleet: ' + error.message + '\\n');
  process.exitCode = 2;
});`;

void t.test('the room requests logs, a doctor run and a new certificate', { skip: unlessAll }, async (t) => {
  t.setTimeout(300_000);
  const room = await makeRoom(t);
  const ops = makeSigner('ops', ['logs', 'doctor', 'renew-certificate']);
  const box = new Box(t, room, [ops.config]);
  await listen(t, room, box);
  const helper = logsHelper(t, box.dir);
  box.run();
  const { dir } = box;
  const fleet = await pairOf(room, 'fleet.ops');
  const mqtt = { url: fleet.url, ca: room.authority.ca, certificates: [fleet.cert] };
  writeFileSync(join(dir, 'ops.pem'), ops.privateKey.export({ type: 'pkcs8', format: 'pem' }), {
    mode: 0o600,
  });
  writeFileSync(join(dir, 'fleet.yaml'), JSON.stringify({ mqtt, sign: 'ops.pem' }));
  const store = new FleetStore(dir);
  store.addBox(SITE, BOX, Date.now());
  store.close();
  const query = async (...words: string[]): Promise<Program> => {
    const program = start(t, 'env', [
      '-C',
      ROOT,
      process.execPath,
      '--input-type=module',
      '-e',
      FLEET,
      '--',
      ...words,
      '--dir',
      dir,
    ]);
    await program.exit;
    return program;
  };
  await waitUntil(t, 'online', () => box.last !== undefined, SLOW_MS);

  const logs = await query('logs', BOX, '--since', '2h');
  const doctor = await query('doctor', `${SITE}/${BOX}`, '--json');
  const renewal = await query('cert', 'renew', BOX);
  t.match(logs, { code: 0, err: /^fleet: older lines were left out: \d+ lines, \d+ bytes\n$/ });
  const lines = logs.out.split('\n').slice(0, -1);
  t.match(lines.at(-4), /camera rtsp:\/\/\*\*\*@192\.0\.2\.7\/main\?\*\*\* is away$/, 'newest last');
  t.notMatch(logs.out, /hunter2|aHVudGVyMg/);
  t.notOk(logs.out.includes('\u001b'), 'nothing that a terminal obeys');
  const bytes = Buffer.byteLength(logs.out);
  t.ok(bytes > 300_000 && bytes <= 1_000_000, `${bytes} bytes, of text that hardly packs`);
  t.match(readFileSync(join(dir, 'asked'), 'utf8'), /--unit=vigie\* --since=-7200s --reverse/);

  const checks = doctor.out
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  t.match(doctor, { err: '' });
  const checksByName = new Map(checks.map((check) => [check['name'], check]));
  t.match(checksByName.get('broker'), { state: 'ok', detail: /^online since /, remedy: null });
  t.match(checksByName.get('mode'), { state: 'failed', remedy: /./ }, 'what the running agent knows');
  t.ok(
    ['config', 'files', 'state', 'disk', 'clock'].every((name) => checksByName.has(name)),
    [...checksByName.keys()].join(),
  );
  t.equal(doctor.code, 1, 'something failed');
  t.notMatch(doctor.out, /s3cret/);

  t.match(renewal, { code: 0, out: /root has received the command/ });
  t.match(
    box.orderText(RENEW_FILE),
    /"payloadType":"application\/vnd\.vigie\.command\+json"/,
    'as the room has signed it',
  );
  t.strictSame(
    box.entries
      .filter(({ type }) => type === 'command')
      .map((entry) => Reflect.get(entry, 'op'))
      .sort(),
    ['doctor', 'logs', 'renew-certificate'],
    'on record as every command',
  );
  const fleetStore = new FleetStore(dir);
  const actions = fleetStore.audit(3).map(({ action }) => action);
  fleetStore.close();
  t.match(actions, [/^renew-certificate req/, /^doctor req/, /^logs req/], 'and at the room');

  helper.close();
  rmSync(join(dir, 'logs.sock'), { force: true });
  t.match(await query('logs', BOX), {
    code: 2,
    err: /^fleet: refused by .*: unavailable: no log can be read: .*vigie-logs\.socket\n$/,
  });
});

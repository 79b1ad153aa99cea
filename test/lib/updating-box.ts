/**
 * A box under vigie-root in a test: the real program, a real release server, and a systemctl that records its calls.
 */
import { spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import type { Authorisation } from '../../agent/contract/authorisation.ts';
import { releaseName } from '../../agent/contract/release.ts';
import {
  type ChangeRecord,
  UPDATE_ORDER_TYPE,
  type UpdateOrder,
  type UpdaterStatus,
} from '../../agent/contract/update.ts';
import { AUTHORITY_FILE, BOX_FILE, JOURNAL_FILE } from '../../agent/orders/restraint-folder.ts';
import { signCheckpoint, verifierKey } from '../../agent/restraint/journal/note.ts';
import type { State, Target } from '../../scripts/products/root/change/record.ts';
import { configOf } from './agent.ts';
import { AUTHORITY, authorised } from './authority.ts';
import { rootProgram } from './bundled.ts';
import { makeSigner, type Signer, signed, updateOrder } from './commands.ts';
import { scratch } from './paths.ts';
import { type Program, start } from './program.ts';
import { FAST_LEVEL, ReleaseRepository, sampleRelease, TestReleaseServer } from './release-server.ts';
import { BOX, SITE } from './room.ts';

export const UPDATER = rootProgram();

/** Stand-in for systemctl: running units are files. `broken` makes the agent crash at each start. */
const SYSTEMCTL = `#!/bin/sh
dir=\${0%/*}
echo "$*" >>"$dir/asked"
last=
for word in "$@"; do last=$word; done
case " $* " in
*' show '*)
  active=inactive restarts=0
  [ ! -e "$dir/up-$last" ] || active=active
  [ ! -e "$dir/up-$last" ] || [ ! -e "$dir/broken" ] || { active=activating restarts=7; }
  printf 'ActiveState=%s\\nNRestarts=%s\\nResult=exit-code\\nExecMainStatus=1\\n' "$active" "$restarts" ;;
*' restart vigie.service ') : >"$dir/up-vigie.service" ;;
*' stop '*) for word in "$@"; do rm -f "$dir/up-$word"; done ;;
*' start '*)
  for word in "$@"; do
    case $word in *.service | *.socket) : >"$dir/up-$word" ;; esac
    # What the unit runs, where the test says what that is.
    if [ "$word" = vigie-root.service ] && [ -x "$dir/on-run" ]; then
      setsid "$dir/on-run" >>"$dir/ran" 2>&1 &
      echo $! >>"$dir/pids"
    fi
  done ;;
esac
`;
/** Program of a release for the check without a running agent, and its output once it has read a configuration. */
const MAIN = `if (process.argv[2] === 'check')
  process.stdin.resume().on('end', () => console.log('{"ok":true,"problems":[]}'));
`;
const FILES = 100;

export interface BoxOptions {
  /** Folder of lib and state; a folder of the test's own by default. */
  readonly disk?: string;
  /** Folder of the configuration; a folder of the test's own by default. */
  readonly etc?: string;
  /** Number of published releases, from 1, each with a delta from the previous one. */
  readonly releases?: number;
  readonly healthyS?: number;
  readonly withinS?: number;
  /** True if the agent does not run. */
  readonly idle?: boolean;
}

export class UpdatingBox {
  readonly dir: string;
  readonly lib: string;
  /** Folder of root's own releases; empty unless the test installs one. */
  readonly rootLib: string;
  readonly state: string;
  readonly agentState: string;
  /** Root's folder of the restraints. */
  readonly folder: string;
  /** Root's configuration file. */
  readonly config: string;
  readonly signer: Signer = makeSigner('ops', ['update', 'configure']);
  readonly repository: ReleaseRepository;
  readonly server: TestReleaseServer;
  readonly #t: Test;
  readonly #trees: string[];
  /** The agent's report of its state. */
  report = { mode: 'active', frames: true, journal: true, camera: 'ok', answers: true, drips: false };
  #counter = 0;

  static async make(t: Test, options: BoxOptions = {}): Promise<UpdatingBox> {
    const dir = scratch(t);
    const repository = new ReleaseRepository(join(dir, 'repository'), FAST_LEVEL);
    const trees: string[] = [];
    for (let seq = 1; seq <= (options.releases ?? 2); seq += 1) {
      const release = { seq, version: versionOf(seq) };
      const tree = await sampleRelease(join(dir, 'trees'), { ...release, files: filesOf(seq) });
      if (seq > 1) await repository.addRelease(tree, release, { [seq - 1]: String(trees.at(-1)) });
      trees.push(tree);
    }
    repository.publish();
    const server = await TestReleaseServer.start(repository.dir);
    t.teardown(() => server.stop());
    const box = new UpdatingBox(t, dir, { repository, server, trees }, options);
    // Processes that a unit has started end before the folders are deleted.
    t.teardown(() => box.begunEnd());
    await box.#furnish(options);
    return box;
  }

  private constructor(
    t: Test,
    dir: string,
    {
      repository,
      server,
      trees,
    }: { repository: ReleaseRepository; server: TestReleaseServer; trees: string[] },
    { disk = join(dir, 'disk'), etc = dir }: BoxOptions,
  ) {
    this.#t = t;
    this.dir = dir;
    this.repository = repository;
    this.server = server;
    this.#trees = trees;
    this.lib = join(disk, 'lib');
    this.rootLib = join(disk, 'root-lib');
    this.state = join(disk, 'updater');
    this.agentState = join(dir, 'agent');
    this.folder = join(dir, 'restraint');
    this.config = join(etc, 'vigie.yaml');
  }

  async #furnish({ healthyS = 1, withinS = 60, idle = false }: BoxOptions): Promise<void> {
    const { dir, lib, agentState, config } = this;
    mkdirSync(join(lib, 'releases'), { recursive: true });
    for (const folder of [agentState, this.state, dirname(config)]) mkdirSync(folder, { recursive: true });
    // The check of a release runs its code as the user of the agent, and not as root.
    if (process.geteuid?.() === 0) {
      for (const folder of [dir, dirname(lib), dirname(dirname(lib))]) chmodSync(folder, 0o711);
    }
    this.writeRequest(1);
    symlinkSync(`releases/${releaseName(1, versionOf(1))}`, join(lib, 'current'));
    mkdirSync(join(dir, 'bin'));
    writeFileSync(join(dir, 'bin/systemctl'), SYSTEMCTL, { mode: 0o755 });
    const up = ['vigie-vision.socket', ...(idle ? [] : ['vigie.service'])];
    for (const unit of up) writeFileSync(join(dir, `bin/up-${unit}`), '');
    writeFileSync(join(dir, 'bin/apt-get'), '#!/bin/sh\necho Inst libc6\n', { mode: 0o755 });
    writeFileSync(join(dir, 'boot-id'), 'boot-1\n');
    const { publicKey } = this.signer.config;
    const key = `{ name: ops, may: [update, configure], publicKey: "${publicKey}" }`;
    this.configure(
      `site: ${SITE}\nbox: ${BOX}\ncamera: { source: "test:pattern" }\ncommands: { keys: [${key}] }\nmqtt: { url: "mqtt://127.0.0.1:1", ack: broker }\n`,
    );
    for (const place of [lib, config]) spawnSync('sync', ['-f', place]);
    this.setHealthTimes({ healthyS, withinS });
    await this.#answer();
  }

  /**
   * Authorises the box in root's eyes: an authorisation, and the record of the box and its authority. Returns the
   * entries of the configuration that name the files.
   */
  authorise(
    change: Partial<Authorisation> = {},
  ): Record<'authorisation' | 'authorityKey', string | undefined> {
    const content = {
      site: SITE,
      box: BOX,
      camera: { source: 'test:pattern' },
      mqtt: { url: 'mqtt://127.0.0.1:1' },
    };
    const { authorisation, authorityKey } = authorised(configOf(content), join(this.dir, 'order'), change);
    const pem = AUTHORITY.publicKey.export({ type: 'spki', format: 'pem' });
    writeFileSync(join(this.folder, AUTHORITY_FILE), pem);
    const record = { version: 1, site: SITE, box: BOX, masks: [] };
    writeFileSync(join(this.folder, BOX_FILE), JSON.stringify(record));
    return { authorisation, authorityKey };
  }

  setHealthTimes({ healthyS, withinS }: { readonly healthyS: number; readonly withinS: number }): void {
    const times = `healthyS: ${healthyS}\nwithinS: ${withinS}\n`;
    writeFileSync(join(this.dir, 'update.yaml'), `url: "${this.server.url}"\nboard: pc\n${times}`);
  }

  /** Resolves when the processes that `systemctl start` began have ended. */
  async begunEnd(): Promise<void> {
    const file = join(this.dir, 'bin/pids');
    const processIds = existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
    for (const pid of processIds) while (existsSync(`/proc/${pid}`)) await sleep(50);
  }

  configure(yaml: string): void {
    writeFileSync(this.config, yaml);
    chmodSync(this.config, 0o640);
  }

  #answer(): Promise<void> {
    let [analysed, entries] = [0, 0];
    const { privateKey } = generateKeyPairSync('ed25519');
    const origin = `vigie/${SITE}/${BOX}`;
    const verifier = verifierKey(origin, privateKey);
    mkdirSync(this.folder);
    // Root's record of the journal, as the agent would have it kept.
    const recordHead = (): void => {
      const head = signCheckpoint({ origin, size: entries, root: Buffer.alloc(32) }, privateKey);
      writeFileSync(
        join(this.folder, JOURNAL_FILE),
        JSON.stringify({ version: 1, verifierKey: verifier, head }),
      );
    };
    recordHead();
    const agent = createServer((_, response) => {
      const { mode, frames, journal, camera, answers, drips } = this.report;
      if (frames) analysed += 1;
      if (journal) entries += 1;
      if (journal) recordHead();
      const report = {
        mode,
        frames: { analysed: frames ? analysed : 0 },
        camera: { state: camera },
        mqtt: null,
      };
      if (drips) {
        const dripping = setInterval(() => response.write(' '), 500);
        response.on('close', () => clearInterval(dripping));
      } else if (answers) response.end(JSON.stringify({ report }));
      else response.destroy();
    });
    this.#t.teardown(() => agent.close());
    return new Promise((resolve) => agent.listen(join(this.agentState, 'agent.sock'), resolve));
  }

  /** Installs the complete folder of a release on this box. */
  writeRequest(seq: number): void {
    cpSync(this.treeOf(seq), join(this.lib, 'releases', releaseName(seq, versionOf(seq))), {
      recursive: true,
    });
  }

  treeOf(seq: number): string {
    return String(this.#trees[seq - 1]);
  }

  places(): string[] {
    const { dir, lib, rootLib, state, agentState, config } = this;
    return [
      ...['--root-lib', rootLib, '--first-root', join(dir, 'first-root')],
      ...['--lib', lib, '--state', state, '--agent-state', agentState, '--config', config],
      ...['--settings', join(dir, 'update.yaml'), '--root', this.repository.rootFile],
      ...[
        '--first-release',
        join(dir, 'first-release'),
        '--run',
        join(dir, 'run'),
        '--boot-id',
        join(dir, 'boot-id'),
      ],
      ...['--systemctl', join(dir, 'bin/systemctl'), '--apt-get', join(dir, 'bin/apt-get')],
      ...['--timedatectl', 'false', '--folder', this.folder, '--agent-user', 'nobody'],
    ];
  }

  start(command: string, env: Readonly<Record<string, string>> = {}): Program {
    const set = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    return start(this.#t, 'env', [...set, process.execPath, UPDATER, command, ...this.places()]);
  }

  /** Runs a command to its end. */
  async run(command: string, env: Readonly<Record<string, string>> = {}): Promise<Program> {
    const program = this.start(command, env);
    await program.exit;
    return program;
  }

  /** Replaces the order file atomically, as the agent does. Returns the order. */
  order(change: Partial<UpdateOrder> = {}, signer = this.signer): UpdateOrder {
    const order = this.orderOf(change);
    this.writeOrder(signed(signer, order, UPDATE_ORDER_TYPE));
    return order;
  }

  orderOf(change: Partial<UpdateOrder> = {}, nowMs = Date.now()): UpdateOrder {
    this.#counter += 1;
    const seq = change.seq ?? 2;
    const names = { rollout: `spring-${seq}`, site: SITE, box: BOX, counter: this.#counter };
    return updateOrder({ ...names, seq, version: versionOf(seq), ...change }, nowMs);
  }

  writeOrder(bytes: Uint8Array): void {
    const file = join(this.agentState, 'update-desired.dsse.json');
    writeFileSync(`${file}.new`, bytes);
    renameSync(`${file}.new`, file);
  }

  /** Makes the next start another boot, in which the same units run again. */
  reboot(): void {
    this.#boots += 1;
    writeFileSync(join(this.dir, 'boot-id'), `boot-${this.#boots}\n`);
  }
  #boots = 1;

  get current(): string {
    return readlinkSync(join(this.lib, 'current')).replace('releases/', '');
  }

  /** The record as stored on the disk. */
  get rawRecord(): State {
    return JSON.parse(readFileSync(join(this.state, 'state.json'), 'utf8')) as State;
  }

  /** The record, with the change of the release at its top. */
  get record() {
    const { release, ...shared } = this.rawRecord;
    const nameOf = (target: Target | null) => target && { seq: target.number, version: target.name };
    const { trial } = release;
    return {
      ...shared,
      ...release,
      target: nameOf(release.target),
      previous: nameOf(shared.previous),
      trial: trial && { ...trial, from: nameOf(trial.from) },
    };
  }

  /** Writes the record with these changes in the change of the release, or beside it. */
  setRecord(release: Partial<State['release']>, shared: Partial<State> = {}): void {
    const record = this.rawRecord;
    const newRecord = { ...record, ...shared, release: { ...record.release, ...release } };
    writeFileSync(join(this.state, 'state.json'), JSON.stringify(newRecord));
  }

  get status(): UpdaterStatus {
    return JSON.parse(readFileSync(join(this.state, 'status.json'), 'utf8')) as UpdaterStatus;
  }

  get history(): ChangeRecord[] {
    const file = join(this.state, 'history.jsonl');
    if (!existsSync(file)) return [];
    return readFileSync(file, 'utf8')
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as ChangeRecord);
  }

  /** Calls of systemctl since the last call of this method, without queries. */
  calls(): string[] {
    const file = join(this.dir, 'bin/asked');
    const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(0, -1) : [];
    writeFileSync(file, '');
    return lines.filter((line) => !line.startsWith('show')).map((line) => line.replace('--quiet ', ''));
  }

  /** Makes the agent crash at every start. */
  breakAgent(): void {
    writeFileSync(join(this.dir, 'bin/broken'), '');
  }
}

export const versionOf = (seq: number): string => `0.${seq}.0`;

/** A hundred files, of which a dozen change from release to release. */
function filesOf(seq: number): Record<string, string> {
  const files: Record<string, string> = { 'dist/agent/cli/main.js': MAIN };
  for (let i = 0; i < FILES; i += 1) {
    const content = i % 8 === 0 ? `release ${seq} ` : 'always the same ';
    files[`dist/part-${i % 10}/file-${i}.js`] = content.repeat(200 + i);
  }
  return files;
}

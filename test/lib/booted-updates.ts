/**
 * A booted box that receives releases. It is installed from the packages and has a broker inside. A web server on its
 * loopback identifies boxes by certificate. The signed repository holds releases made from the installed one by small
 * changes.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { type ReleaseKind, type ReleaseVersion, releaseName } from '../../agent/contract/release.ts';
import { type ChangeRecord, UPDATE_ORDER_TYPE, type UpdateOrder } from '../../agent/contract/update.ts';
import { manifestText, parseManifest } from '../../scripts/lib/manifest.ts';
import { BootedBox, PATIENCE_MS } from './booted-box.ts';
import { BOX, buildPackage, provision, rootPackage, SITE } from './box-package.ts';
import { makeSigner, signed, updateOrder } from './commands.ts';
import { installedContainer } from './installed-root.ts';
import { type Container, ownArch } from './nspawn.ts';
import { scratch } from './paths.ts';
import { FAST_LEVEL, ReleaseRepository } from './release-server.ts';
import { waitUntil } from './room.ts';

/** Port of the server, on the container's own loopback. */
const PORT = 8443;
const STATE = '/var/lib/vigie-root';

export interface MadeRelease {
  readonly seq: number;
  readonly version: string;
  readonly tree: string;
  readonly what: ReleaseKind;
}

export interface Times {
  readonly healthyS: number;
  readonly withinS: number;
}

export class BootedUpdates {
  readonly container: Container;
  readonly box: BootedBox;
  readonly installed: MadeRelease;
  readonly #t: Test;
  readonly #dir: string;
  readonly #repository: ReleaseRepository;
  readonly #signer = makeSigner('ops', ['update']);
  #nginx: ChildProcess | undefined;
  #counter = 0;
  readonly #orderedMs = new Map<string, number>();
  #seq: number;

  /** Boots a box and waits until it analyses video. */
  static async make(t: Test): Promise<BootedUpdates> {
    const deb = buildPackage(ownArch());
    const container = await installedContainer(t, rootPackage(), deb);
    const updates = new BootedUpdates(t, container, deb);
    await updates.#furnish();
    return updates;
  }

  private constructor(t: Test, container: Container, deb: string) {
    this.#t = t;
    this.#dir = scratch(t);
    this.container = container;
    this.box = new BootedBox(t, this.container);
    this.#repository = new ReleaseRepository(join(this.#dir, 'repository'), FAST_LEVEL);
    execFileSync('dpkg-deb', ['-x', deb, join(this.#dir, 'package')]);
    const tree = join(this.#dir, 'package/usr/share/vigie/first-release');
    this.installed = { ...versionOf(tree), tree };
    this.#seq = this.installed.seq;
  }

  async #furnish(): Promise<void> {
    const { container } = this;
    const { publicKey } = this.#signer.config;
    const keys = `commands: { keys: [{ name: ops, may: [update], publicKey: "${publicKey}" }] }\n`;
    const authority = await provision(this.#t, container, { more: keys, fps: 1 });
    container.run('chown', '-R', 'mosquitto:', '/etc/mosquitto/pki');
    const server = await authority.broker();
    writeFileSync(
      join(this.#dir, 'nginx.conf'),
      nginxConf(this.#dir, { ...server, ca: authority.ca, root: this.#repository.dir }),
    );
    container.write('/etc/vigie-root/root.json', readFileSync(this.#repository.rootFile));
    this.setHealthTimes({ healthyS: 5, withinS: 60 });
    await this.boot();
    await this.box.watches('installed');
  }

  setHealthTimes({ healthyS, withinS }: Times, extraLines = ''): void {
    const yaml = `url: https://localhost:${PORT}/\nhealthyS: ${healthyS}\nwithinS: ${withinS}\n${extraLines}`;
    this.container.write('/etc/vigie-root/update.yaml', yaml);
  }

  async boot(): Promise<void> {
    this.#nginx?.kill('SIGKILL');
    await this.container.boot(this.#t);
    const words = ['nginx', '-p', this.#dir, '-c', join(this.#dir, 'nginx.conf')];
    const [program = '', ...args] = this.container.inNetwork(...words);
    const nginx = spawn(program, args, { stdio: 'ignore' });
    this.#t.teardown(() => nginx.kill('SIGKILL'));
    this.#nginx = nginx;
  }

  /**
   * Publishes one more signed release: the base release with these files changed, as a box that has the base would
   * fetch it.
   */
  async release(
    from: MadeRelease,
    files: Readonly<Record<string, string | Buffer>>,
    says: Partial<ReleaseVersion> = {},
  ): Promise<MadeRelease> {
    this.#seq += 1;
    const seq = this.#seq;
    const version = `0.1.${seq}`;
    const tree = join(this.#dir, 'trees', releaseName(seq, version));
    mkdirSync(dirname(tree), { recursive: true });
    execFileSync('cp', ['-al', from.tree, tree]);
    const versionFile = { ...versionOf(from.tree), ...says, seq, version };
    const changes = { ...files, VERSION: `${JSON.stringify(versionFile)}\n` };
    const entries = new Map(
      parseManifest(readFileSync(join(from.tree, 'MANIFEST'), 'utf8')).map((entry) => [entry.path, entry]),
    );
    for (const [path, content] of Object.entries(changes)) {
      // Never write into a file that another release shares.
      rmSync(join(tree, path), { force: true });
      for (let dir = dirname(path); dir !== '.' && !entries.has(dir); dir = dirname(dir))
        entries.set(dir, { path: dir, type: 'dir', mode: 0o755 });
      mkdirSync(dirname(join(tree, path)), { recursive: true, mode: 0o755 });
      const mode = path === 'dist/agent/cli/main.js' ? 0o755 : 0o644;
      writeFileSync(join(tree, path), content, { mode });
      const sha256 = createHash('sha256').update(content).digest('hex');
      entries.set(path, { path, type: 'file', mode, size: Buffer.byteLength(content), sha256 });
    }
    rmSync(join(tree, 'MANIFEST'));
    writeFileSync(join(tree, 'MANIFEST'), manifestText([...entries.values()]));
    const { what: kind, stateReads, stateWrites } = versionFile;
    // Packing the agent's full tree would take a minute, and no box here requests it.
    const full = 'whole.full.tar.zst';
    if (kind === 'release') this.#repository.addFile(full, Buffer.from('not needed'));
    const release = {
      what: kind,
      seq,
      version,
      stateReads,
      stateWrites,
      ...(kind === 'release' && { full }),
    };
    await this.#repository.addRelease(tree, release, { [from.seq]: from.tree });
    this.#repository.publish();
    return { what: kind, seq, version, tree };
  }

  /** Publishes a retained order as the room; the agent passes it to root. Returns the rollout's name. */
  order({ what: kind, seq, version }: MadeRelease, change: Partial<UpdateOrder> = {}): string {
    this.#counter += 1;
    const nowMs = Date.now();
    const names = { rollout: `rollout-${this.#counter}`, site: SITE, box: BOX };
    const order = updateOrder(
      { ...names, counter: this.#counter, what: kind, seq, version, ...change },
      nowMs,
    );
    this.container.write('/root/order', signed(this.#signer, order, UPDATE_ORDER_TYPE));
    const topic = `vigie/${SITE}/${BOX}/update/desired`;
    const words = ['-h', '127.0.0.1', '-p', '1883', '-q', '1', '-r', '-t', topic, '-f', '/root/order'];
    const result = this.container.run('mosquitto_pub', ...words);
    if (result.status !== 0) throw new Error(`the order does not go out: ${result.err}`);
    this.#orderedMs.set(order.rollout, nowMs);
    return order.rollout;
  }

  get current(): string {
    return this.link('vigie/current');
  }

  /** Name of the release that a link below /usr/lib points to. */
  link(name: string): string {
    return readlinkSync(join(this.container.root, 'usr/lib', name)).replace('releases/', '');
  }

  /** Phase of root's updater, from its own record instead of the report. */
  get phase(): string {
    return this.#change('release').phase ?? 'none';
  }

  get reason(): string {
    return this.#change('release').reason ?? '';
  }

  #change(kind: ReleaseKind): { phase?: string; reason?: string | null } {
    return (this.#json('state.json') as Partial<Record<ReleaseKind, object>>)[kind] ?? {};
  }

  /** Phases of a rollout, as the journal will receive them. */
  phases(rollout: string): ChangeRecord[] {
    const file = join(this.container.root, STATE, 'history.jsonl');
    if (!existsSync(file)) return [];
    const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
    return lines.map((line) => JSON.parse(line) as ChangeRecord).filter((one) => one.rollout === rollout);
  }

  /**
   * Waits until the rollout has ended in the given phase, and prints how long each step took. Returns the reason of the
   * end.
   */
  async ends(rollout: string, phase: ChangeRecord['phase'], withinMs = PATIENCE_MS): Promise<string> {
    const last = (): ChangeRecord | undefined => this.phases(rollout).at(-1);
    const over = (): boolean => ['confirmed', 'rolled-back', 'failed'].includes(last()?.phase ?? '');
    try {
      await waitUntil(this.#t, `${rollout} ends`, over, withinMs);
    } catch (error) {
      this.#t.comment(this.phase, this.reason);
      this.#t.comment(this.container.run('journalctl', '--no-pager', '-o', 'short-precise', '-n', '80').out);
      throw error;
    }
    const reason = last()?.reason ?? '';
    const orderedMs = this.#orderedMs.get(rollout) ?? 0;
    const steps = this.phases(rollout).map((one) => {
      return `${one.phase} ${((Date.parse(one.at) - orderedMs) / 1000).toFixed(1)} s`;
    });
    this.#t.equal(last()?.phase, phase, `after the order: ${steps.join(', ')}; ${reason}`);
    return reason;
  }

  /** Cuts the power as soon as the condition holds. */
  async cutWhen(label: string, isSo: () => boolean): Promise<void> {
    for (const endMs = performance.now() + PATIENCE_MS; performance.now() < endMs; ) {
      if (isSo()) return await this.container.cutPower();
      await sleep(2);
    }
    this.#t.comment(this.container.run('journalctl', '--no-pager', '-o', 'short-precise', '-n', '60').out);
    throw new Error(`${label}: it never was so; ${this.phase}: ${this.reason}`);
  }

  /** Starts the updater as the timer does, which waits two minutes after a boot. */
  goOn(): void {
    this.container.run('systemctl', '--no-block', 'start', 'vigie-root.service');
  }

  #json(name: string): object {
    const file = join(this.container.root, STATE, name);
    return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as object) : {};
  }
}

function versionOf(tree: string): ReleaseVersion {
  return JSON.parse(readFileSync(join(tree, 'VERSION'), 'utf8')) as ReleaseVersion;
}

/** Server configuration that admits boxes only, by the room's certificate, and logs every request. */
function nginxConf(
  dir: string,
  { cert, key, ca, root }: { cert: string; key: string; ca: string; root: string },
): string {
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  return `daemon off;
master_process off;
pid ${dir}/nginx.pid;
error_log ${dir}/error.log;
events {}
http {
  log_format plain '$status $uri';
  access_log ${dir}/access.log plain;
  ${temp.map((kind) => `${kind}_temp_path ${dir}/${kind};`).join(' ')}
  server {
    listen 127.0.0.1:${PORT} ssl;
    ssl_certificate ${cert};
    ssl_certificate_key ${key};
    ssl_client_certificate ${ca};
    ssl_verify_client on;
    root ${root};
  }
}
`;
}

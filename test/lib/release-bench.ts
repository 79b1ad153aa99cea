/**
 * A bench for the update machine of root's program: real records and folders, with a made-up source, units and clock.
 */
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import type { AgentError } from '../../agent/base/errors.ts';
import { releaseName } from '../../agent/contract/release.ts';
import { UPDATE_ORDER_TYPE, type UpdateOrder } from '../../agent/contract/update.ts';
import { manifestText } from '../../scripts/lib/manifest.ts';
import { Machine } from '../../scripts/products/root/change/machine.ts';
import type { Change } from '../../scripts/products/root/change/record.ts';
import { ReleasePayload, releaseOf, targetOf } from '../../scripts/products/root/change/release-payload.ts';
import { RootPayload } from '../../scripts/products/root/change/root-payload.ts';
import { type Shared, Store } from '../../scripts/products/root/change/store.ts';
import { clockProblem } from '../../scripts/products/root/clock.ts';
import { DEFAULT_PLACES, orderFile } from '../../scripts/products/root/paths.ts';
import type { ReleaseSource } from '../../scripts/products/root/release-source.ts';
import { ReleaseFolder } from '../../scripts/products/root/releases.ts';
import type { Units } from '../../scripts/products/root/units.ts';
import { makeSigner, signed } from '../lib/commands.ts';
import { scratch } from '../lib/paths.ts';
import { BOX, SITE } from '../lib/room.ts';

export const DAY_MS = 86_400_000;
/** Wednesday, noon in Paris. */
export const NOON = Date.parse('2026-11-25T11:00:00.000Z');
export const version = (seq: number): string => `0.${seq}.0`;
export const iso = (ms: number): string => new Date(ms).toISOString();

/** Root's own record of a box whose agent has never run. */
const NOTHING_RECORDED = { journalSize: () => null, authorisedUntil: () => null };

export class Bench {
  readonly dir: string;
  readonly output: string[] = [];
  readonly requests: string[] = [];
  readonly ops = makeSigner('ops', ['update']);
  nowMs = NOON;
  boottimeS = 1000;
  boot = 'boot-1';
  synced = false;
  /** Error that each download raises. */
  downloadError: AgentError | undefined;
  misfit: string | undefined;
  #counter = 0;
  readonly lib: string;
  readonly stateDir: string;
  readonly agentState: string;
  readonly releases: ReleaseFolder;
  readonly store: Store;
  readonly payload: ReleasePayload;
  readonly machine: Machine;

  constructor(t: Test) {
    this.dir = scratch(t);
    this.lib = join(this.dir, 'lib');
    this.stateDir = join(this.dir, 'state');
    this.agentState = join(this.dir, 'agent');
    const places = {
      ...DEFAULT_PLACES,
      lib: this.lib,
      rootLib: join(this.dir, 'root'),
      state: this.stateDir,
      agentState: this.agentState,
      settings: join(this.dir, 'update.yaml'),
    };
    for (const dir of [join(this.lib, 'releases'), this.stateDir, this.agentState])
      mkdirSync(dir, { recursive: true });
    const clock = {
      wallMs: () => this.nowMs,
      boottimeS: () => this.boottimeS,
      bootId: () => this.boot,
      synced: () => this.synced,
      sleep: () => Promise.resolve(),
    };
    const say = (line: string): void => void this.output.push(line);
    this.releases = new ReleaseFolder(this.lib);
    const current = () => {
      const release = this.releases.current();
      return release && targetOf(release);
    };
    this.store = new Store(this.stateDir, clock, {
      say,
      onChange: () => undefined,
      remains: { current, beforeTrial: () => undefined },
    });
    const note = (call: string, units: readonly string[] = []): Promise<void> => {
      this.requests.push([call, ...units].join(' '));
      return Promise.resolve();
    };
    const units: Units = {
      wereStarted: (unitNames) => Promise.resolve(unitNames.slice(0, 1)),
      stop: (units) => note('stop', units),
      start: (units) => note('start', units),
      restart: (unit) => note('restart', [unit]),
      resetFailed: () => Promise.resolve(),
      state: () => Promise.resolve({ active: true, gaveUp: undefined, restarts: 0 }),
    };
    const source: ReleaseSource = {
      metadata: () => null,
      find: (_what, { seq }) => {
        if (this.downloadError !== undefined) return Promise.reject(this.downloadError);
        this.fetches += 1;
        return Promise.resolve({
          seqMin: 1,
          misfit: () => this.misfit,
          download: () => (this.rotten === undefined ? Promise.resolve() : Promise.reject(this.rotten)),
          stage: () => {
            const error = this.stageErrors.shift();
            return error === undefined ? Promise.resolve(this.writeRequest(seq)) : Promise.reject(error);
          },
        });
      },
    };
    const { releases } = this;
    const health = (): Promise<undefined> => Promise.resolve(undefined);
    this.payload = new ReleasePayload({
      places,
      releases,
      units,
      clock,
      health,
      own: NOTHING_RECORDED,
      say,
      source: () => Promise.resolve(source),
    });
    const root = new RootPayload({
      places,
      releases: new ReleaseFolder(places.rootLib),
      units,
      clock,
      health,
      own: NOTHING_RECORDED,
      say,
      source: () => Promise.resolve(source),
    });
    const keys = [this.ops.config, this.searcher.config];
    this.machine = new Machine({
      store: this.store,
      payloads: { release: this.payload, configuration: this.payload as never, root },
      orders: {
        file: (kind) => orderFile(places, kind),
        reader: () => ({ site: SITE, box: BOX, keys, wallMs: () => Number.POSITIVE_INFINITY }),
        take: (_kind, order) => ({ target: targetOf(order as UpdateOrder) }),
      },
      clock,
      clockDoubt: () =>
        clockProblem(clock, {
          seenMs: this.store.state.seenMs,
          madeMs: Date.parse('2026-02-01T00:00:00.000Z'),
        }),
      units,
      locked: (action) => action(),
      mode: () => Promise.resolve(undefined),
      isLawful: () => false,
      say,
    });
    this.writeRequest(1);
    releases.point({ seq: 1, version: version(1) });
    this.store.load();
    this.set({}, { boot: this.boot });
  }
  fetches = 0;
  /** Errors of the next stages. */
  stageErrors: AgentError[] = [];
  /** Error of the archive. */
  rotten: AgentError | undefined;

  get state() {
    const { release, ...shared } = this.store.state;
    return { ...shared, ...release, target: release.target && releaseOf(release.target) };
  }

  get phase(): string {
    return this.store.state.release.phase;
  }

  /** Changes the record without the machine's knowledge. */
  set(change: Partial<Change>, shared: Shared = {}): void {
    this.store.put('release', { ...this.store.state.release, ...change }, shared);
  }

  writeRequest(seq: number): void {
    const dir = join(this.lib, 'releases', releaseName(seq, version(seq)));
    mkdirSync(dir, { recursive: true });
    const versionFile = {
      what: 'release',
      seq,
      version: version(seq),
      arch: 'amd64',
      stateWrites: 1,
      stateReads: [1, 1],
    };
    const text = JSON.stringify(versionFile);
    writeFileSync(join(dir, 'VERSION'), text, { mode: 0o644 });
    chmodSync(dir, 0o755);
    const sha256 = createHash('sha256').update(text).digest('hex');
    const entry = { path: 'VERSION', type: 'file', mode: 0o644, size: text.length, sha256 } as const;
    writeFileSync(join(dir, 'MANIFEST'), manifestText([entry]));
    const madeS = Date.parse('2026-02-01T00:00:00.000Z') / 1000;
    utimesSync(join(dir, 'VERSION'), madeS, madeS);
  }

  order(change: Partial<UpdateOrder> = {}, signer = this.ops): Buffer {
    this.#counter += 1;
    const [rollout, seq, counter] = ['spring', change.seq ?? 2, this.#counter];
    const dates = { notBefore: iso(this.nowMs - 60_000), notAfter: iso(this.nowMs + 7 * DAY_MS) };
    const order: UpdateOrder = {
      rollout,
      site: SITE,
      box: BOX,
      action: 'install',
      counter,
      ...dates,
      window: null,
      what: 'release',
      seq,
      version: version(seq),
      ...change,
    };
    const bytes = signed(signer, order, UPDATE_ORDER_TYPE);
    this.put(bytes);
    return bytes;
  }

  put(bytes: Uint8Array): void {
    writeFileSync(join(this.agentState, 'update-desired.dsse.json'), bytes);
  }

  async run(): Promise<string> {
    await this.machine.run(() => undefined);
    return this.phase;
  }
  readonly searcher = makeSigner('desk', ['search']);

  /** Starts the machine as a program of root's starts. */
  async start(): Promise<void> {
    this.store.load();
    await this.payload.heal(this.store.state);
    await this.machine.recover(true);
    this.machine.tidy();
  }

  /** Reboots as after a power cut: another boot, and empty memory. */
  async reboot(): Promise<void> {
    this.boot = `${this.boot}-next`;
    this.boottimeS = 20;
    await this.start();
  }
}

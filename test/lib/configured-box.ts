/**
 * A box whose configuration changes, by the room's order or on site. Its files are real; its agent and systemd are
 * simulated.
 */
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import type { Test } from 'tap';
import { AgentError } from '../../agent/base/errors.ts';
import { shownSha256, withoutSecrets, withSecretsOf } from '../../agent/config/secrets.ts';
import type { Authorisation } from '../../agent/contract/authorisation.ts';
import type { CommandKey, MaskConfig } from '../../agent/contract/config.ts';
import { ConfigReply, previousFile } from '../../agent/contract/config-trial.ts';
import type { Mode } from '../../agent/contract/mode.ts';
import { CONFIG_ORDER_FILE, CONFIG_ORDER_TYPE, type ConfigOrder } from '../../agent/contract/update.ts';
import { ConfigurationPayload } from '../../scripts/products/root/change/configuration-payload.ts';
import { assessTrials } from '../../scripts/products/root/change/judge.ts';
import { Machine } from '../../scripts/products/root/change/machine.ts';
import type { AgentHealth, UnitState } from '../../scripts/products/root/change/probation.ts';
import type { TrialStart } from '../../scripts/products/root/change/record.ts';
import { ReleasePayload } from '../../scripts/products/root/change/release-payload.ts';
import { ConfigurationRequests } from '../../scripts/products/root/change/requests.ts';
import { Store } from '../../scripts/products/root/change/store.ts';
import { clockProblem } from '../../scripts/products/root/clock.ts';
import {
  fullTextProblems,
  trialValidator,
} from '../../scripts/products/root/configuration/trial-validator.ts';
import { DEFAULT_PLACES } from '../../scripts/products/root/paths.ts';
import { ReleaseFolder } from '../../scripts/products/root/releases.ts';
import { readOrderReader } from '../../scripts/products/root/settings.ts';
import type { Units } from '../../scripts/products/root/units.ts';
import { makeSigner, type Signer, signed } from './commands.ts';
import { scratch } from './paths.ts';
import { PROPOSAL } from './proposal.ts';

const DAY_MS = 86_400_000;
/** A Thursday noon in Paris. */
const NOON_MS = Date.parse('2026-11-26T11:00:00.000Z');
const MADE_MS = Date.parse('2026-02-01T00:00:00.000Z');
let counter = 1000;

export class ConfiguredBox {
  readonly signer: Signer = makeSigner('desk', ['configure']);
  /** Folder of the configuration, the agent and root. */
  readonly dir: string;
  readonly state: string;
  readonly own: string;
  readonly file: string;
  readonly initialText: string;
  readonly output: string[] = [];
  boot = 'first';
  boottimeS = 1000;
  wallMs = NOON_MS;
  clockSynced = false;
  mode: Mode = 'active';
  camera = 'ok';
  authorisation: Authorisation | undefined;
  blackened: readonly MaskConfig[] = [];
  env: NodeJS.ProcessEnv = {};
  /** True if systemd refuses its commands. */
  refuses = false;
  restarts = 0;
  /** Text with which the agent has started. */
  running = '';
  onSleep: (() => void | Promise<void>) | undefined;
  store!: Store;
  machine!: Machine;
  requests!: ConfigurationRequests;
  #payload!: ConfigurationPayload;
  readonly #clock = {
    boottimeS: () => this.boottimeS,
    bootId: () => this.boot,
    wallMs: () => this.wallMs,
    synced: () => this.clockSynced,
    sleep: (ms: number) => this.#sleep(ms),
  };
  #journal = 10;
  #analysed = 100;
  /** Root's own record: `mode` is what it can verify. */
  readonly #record = {
    journalSize: () => this.#journal,
    authorisedUntil: () => null,
    isLawful: (_before: TrialStart | null, to: Mode) => to === this.mode,
  };

  constructor(
    t: Test,
    {
      dir = scratch(t),
      extraLines = '',
      content,
    }: { dir?: string; extraLines?: string; content?: string } = {},
  ) {
    this.dir = join(dir, 'etc');
    this.state = join(dir, 'state');
    this.own = join(dir, 'root');
    for (const folder of [this.dir, this.state, join(this.own, 'releases')])
      mkdirSync(folder, { recursive: true });
    this.file = join(this.dir, 'vigie.yaml');
    const { publicKey } = this.signer.config;
    this.initialText =
      content ??
      `site: s # where
box: box-1
camera: { source: "rtsp://admin:hunter2@10.0.0.2/main" }
zones:
  - id: yard # behind the house
    polygon: [[0, 0], [1, 0], [1, 1]]
rules:
  - { id: stay, kind: loitering, zone: yard, afterS: 9, purpose: safety }
commands: { keys: [{ name: desk, publicKey: ${publicKey}, may: [configure] }] }
mqtt: { url: "mqtt://127.0.0.1:1", ack: broker }
${extraLines}`;
    writeFileSync(this.file, this.initialText);
    chmodSync(this.file, 0o640);
    this.running = this.initialText;
    this.begin();
  }

  /** Starts a program of root's, with the content of the disk. */
  begin(): void {
    const { file } = this;
    const say = (line: string): void => void this.output.push(line);
    const clock = this.#clock;
    const units: Units = {
      wereStarted: () => Promise.resolve([]),
      stop: () => Promise.resolve(),
      start: () => Promise.resolve(),
      restart: () => this.#systemd(() => this.start()),
      resetFailed: () => Promise.resolve(),
      state: () => Promise.resolve(this.#unit()),
    };
    const health = (): Promise<AgentHealth | undefined> => Promise.resolve(this.#health());
    const places = {
      ...DEFAULT_PLACES,
      lib: this.own,
      rootLib: join(this.own, 'root'),
      state: this.own,
      agentState: this.state,
      config: file,
    };
    this.store = new Store(this.own, clock, {
      say,
      onChange: () => undefined,
      remains: {
        current: () => null,
        beforeTrial: (kind) =>
          kind === 'configuration' && existsSync(previousFile(file)) ? null : undefined,
      },
    });
    const trialContext = {
      env: this.env,
      authorisation: () => this.authorisation,
      wallMs: () => this.wallMs,
    };
    this.#payload = new ConfigurationPayload({
      file,
      units,
      health,
      own: this.#record,
      say,
      orderedFile: join(this.own, 'ordered-configuration.yaml'),
      healthyS: () => 20,
      validator: {
        filled: withSecretsOf,
        shownSha256,
        problems: (text, previous, may) =>
          Promise.resolve(
            fullTextProblems(text, previous, {
              ...trialContext,
              files: true,
              may: may as CommandKey['may'],
              blackened: () => this.blackened,
            }),
          ),
      },
    });
    const releases = new ReleaseFolder(this.own);
    const release = new ReleasePayload({
      places,
      releases,
      units,
      clock,
      health,
      own: this.#record,
      say,
      source: () => Promise.reject(new AgentError('config', 'none')),
    });
    const payload = this.#payload;
    this.machine = new Machine({
      store: this.store,
      payloads: { release, configuration: payload, root: release },
      orders: {
        file: (kind) => join(this.state, kind === 'configuration' ? CONFIG_ORDER_FILE : 'none'),
        reader: () => ({ ...readOrderReader(file, {}), wallMs: () => Number.POSITIVE_INFINITY }),
        take: (_kind, order) => payload.take(order as ConfigOrder),
      },
      clock,
      clockDoubt: () => clockProblem(clock, { seenMs: this.store.state.seenMs, madeMs: MADE_MS }),
      units,
      locked: (action) => action(),
      mode: () => Promise.resolve(this.#health()?.mode),
      isLawful: (before, to) => this.#record.isLawful(before, to),
      say,
    });
    const validator = trialValidator({
      env: this.env,
      authorisation: () => {
        if (this.authorisation === undefined) throw new AgentError('config', 'none');
        return this.authorisation;
      },
      wallMs: () => Date.now(),
    });
    this.requests = new ConfigurationRequests({
      file,
      machine: this.machine,
      payload,
      clock,
      validator,
    });
    this.store.load();
  }

  /** The file as the room has it, changed. */
  changedText(change: (text: string) => string = (text) => text.replace('afterS: 9', 'afterS: 3')): string {
    return change(withoutSecrets(this.initialText) ?? '');
  }

  /** The changed configuration as the box runs it. */
  get targetText(): string {
    return withSecretsOf(this.changedText(), this.initialText);
  }

  content(change: Partial<ConfigOrder> = {}): ConfigOrder {
    const yaml = change.yaml ?? this.changedText();
    counter += 1;
    return {
      rollout: `r${counter}`,
      site: 's',
      box: 'box-1',
      action: 'install',
      counter,
      notBefore: new Date(this.wallMs - DAY_MS).toISOString(),
      notAfter: new Date(this.wallMs + DAY_MS).toISOString(),
      window: null,
      revision: 7,
      sha256: createHash('sha256').update(yaml).digest('hex'),
      yaml,
      ...change,
    };
  }

  /** Writes an order to the request spool, as the agent does. */
  writeRequest(change: Partial<ConfigOrder> = {}, by = this.signer): ConfigOrder {
    const order = this.content(change);
    this.writeBytes(signed(by, order, CONFIG_ORDER_TYPE));
    return order;
  }

  writeBytes(bytes: Uint8Array): void {
    writeFileSync(join(this.state, CONFIG_ORDER_FILE), bytes);
  }

  start(): void {
    this.restarts += 1;
    this.running = this.text;
    this.#journal += 2;
    this.#analysed = 0;
  }

  /** Starts the machine again; what is over is settled before the agent starts. */
  async powerUp(name: string): Promise<void> {
    this.boot = name;
    this.boottimeS = 10;
    this.begin();
    await this.machine.recover(true);
    this.machine.tidy();
    this.start();
  }

  /** Runs the units, which carry out changes and check the trial, until no work is left. */
  async follow(): Promise<void> {
    this.begin();
    await this.machine.recover(false);
    await this.machine.run(() => undefined);
    await this.assess();
    await this.machine.run(() => undefined);
  }

  async assess(): Promise<void> {
    const { machine, store } = this;
    const payload = this.#payload;
    await assessTrials({
      machine,
      store,
      payloads: { release: payload as never, configuration: payload, root: payload as never },
      clock: this.#clock,
      unit: () => Promise.resolve(this.#unit()),
      health: () => Promise.resolve(this.#health()),
      own: this.#record,
    });
  }

  /** Sends a request as the page does. */
  async ask(request: object): Promise<ConfigReply> {
    const reply = await this.requests.answer(JSON.stringify(request));
    if (!Value.Check(ConfigReply, reply)) throw new Error(`no reply: ${JSON.stringify(reply)}`);
    if (/hunter2|geheim/.test(JSON.stringify([reply, this.output]))) throw new Error('a password is shown');
    return reply;
  }

  /** Starts a trial and returns its id. */
  async try(proposal = PROPOSAL): Promise<string> {
    const { trial, refused: refusal, problems } = await this.ask({ op: 'try', proposal });
    if (trial === null) throw new Error(`not tried: ${refusal} ${JSON.stringify(problems)}`);
    return trial.id;
  }

  get text(): string {
    return readFileSync(this.file, 'utf8');
  }

  get status() {
    const { phase, rollout, target, reason, refusal } = this.store.state.configuration;
    return {
      phase,
      rollout,
      reason,
      revision: target?.number,
      sha256: target?.name,
      refusal: refusal?.reason,
      n: this.store.state.last?.n ?? 0,
    };
  }

  /** Names of files left beside the configuration. */
  get leftoverFiles(): string[] {
    return readdirSync(this.dir).filter((name) => name !== 'vigie.yaml' && !name.endsWith('.new'));
  }

  #systemd(action: () => void): Promise<void> {
    if (this.refuses) return Promise.reject(new AgentError('unavailable', 'systemd refuses'));
    action();
    return Promise.resolve();
  }

  async #sleep(ms: number): Promise<void> {
    this.boottimeS += ms / 1000;
    this.wallMs += ms;
    if (!this.running.includes('# blind')) this.#analysed += 5;
    await this.onSleep?.();
  }

  #unit(): UnitState {
    const crashes = this.running.includes('# crash');
    return { active: !crashes, gaveUp: undefined, restarts: crashes ? 3 : 0 };
  }

  #health(): AgentHealth | undefined {
    if (this.running.includes('# mute')) return undefined;
    return {
      mode: this.running.includes('# unauthorised') ? 'unauthorised' : this.mode,
      analysed: this.mode === 'active' ? this.#analysed : 0,
      camera: this.camera,
      broker: this.running.includes('# lockout') ? 'connecting' : 'online',
    };
  }
}

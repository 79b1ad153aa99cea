/** A box whose room orders configurations: real files and orders, and an agent and a systemd that are made up. */
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { AgentError } from '../../agent/base/errors.ts';
import type { AgentHealth, UnitState } from '../../agent/base/probation.ts';
import { loadConfig } from '../../agent/config/load.ts';
import { shownSha256, withoutSecrets, withSecretsOf } from '../../agent/config/secrets.ts';
import type { Authorisation } from '../../agent/contract/authorisation.ts';
import type { MaskConfig } from '../../agent/contract/config.ts';
import type { Mode } from '../../agent/contract/mode.ts';
import {
  CONFIG_ORDER_FILE,
  CONFIG_ORDER_TYPE,
  type ConfigOrder,
  type ConfigOrderStatus,
} from '../../agent/contract/update.ts';
import { ConfigOrders } from '../../scripts/programs/root/configuration/config-order.ts';
import { followOrders } from '../../scripts/programs/root/configuration/order-probation.ts';
import type { TrialInstallOptions } from '../../scripts/programs/root/configuration/trial-install.ts';
import { wholeProblems } from '../../scripts/programs/root/configuration/trial-judge.ts';
import { makeSigner, type Signer, signed } from './commands.ts';
import { scratch } from './paths.ts';

const DAY_MS = 86_400_000;
/** A Thursday noon in Paris. */
const NOON_MS = Date.parse('2026-11-26T11:00:00.000Z');
let counter = 1000;

export class OrderedBox {
  readonly desk: Signer = makeSigner('desk', ['configure']);
  readonly dir: string;
  readonly state: string;
  readonly file: string;
  readonly former: string;
  readonly said: string[] = [];
  boot = 'first';
  boottimeS = 1000;
  wallMs = NOON_MS;
  clockSynced = false;
  mode: Mode = 'active';
  camera = 'ok';
  order: Authorisation | undefined;
  blackened: readonly MaskConfig[] = [];
  /** Whether systemd does what it is told. */
  refuses = false;
  restarts = 0;
  timerAtS: number | undefined;
  /** The text with which the agent has started. */
  running = '';
  #journal = 10;
  #analysed = 100;
  onSleep: (() => void) | undefined;

  constructor(t: Test, { dir = scratch(t), more = '' }: { dir?: string; more?: string } = {}) {
    this.dir = join(dir, 'etc');
    this.state = join(dir, 'state');
    for (const made of [this.dir, this.state]) mkdirSync(made, { recursive: true });
    this.file = join(this.dir, 'vigie.yaml');
    const { publicKey } = this.desk.config;
    this.former = `site: s # where
box: box-1
camera: { source: "rtsp://admin:hunter2@10.0.0.2/main" }
zones:
  - id: yard # behind the house
    polygon: [[0, 0], [1, 0], [1, 1]]
rules:
  - { id: stay, kind: loitering, zone: yard, afterS: 9, purpose: safety }
commands: { keys: [{ name: desk, publicKey: ${publicKey}, may: [configure] }] }
mqtt: { url: "mqtt://127.0.0.1:1", ack: broker }
${more}`;
    writeFileSync(this.file, this.former);
    chmodSync(this.file, 0o640);
    this.running = this.former;
  }

  /** The file as the room has it, changed. */
  shown(change: (text: string) => string = (text) => text.replace('afterS: 9', 'afterS: 3')): string {
    return change(withoutSecrets(this.former) ?? '');
  }

  /** The same as the box runs it. */
  get wanted(): string {
    return withSecretsOf(this.shown(), this.former);
  }

  content(change: Partial<ConfigOrder> = {}): ConfigOrder {
    const yaml = change.yaml ?? this.shown();
    counter += 1;
    return {
      rollout: 'r1',
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

  /** As the agent does. */
  lay(change: Partial<ConfigOrder> = {}, by = this.desk): ConfigOrder {
    const order = this.content(change);
    this.layBytes(signed(by, order, CONFIG_ORDER_TYPE));
    return order;
  }

  layBytes(bytes: Uint8Array): void {
    writeFileSync(join(this.state, CONFIG_ORDER_FILE), bytes);
  }

  orders(more: Partial<TrialInstallOptions> = {}): ConfigOrders {
    const systemd = (act: () => void) => () => {
      if (this.refuses) throw new AgentError('unavailable', 'systemd refuses');
      act();
    };
    return new ConfigOrders({
      file: this.file,
      stateDir: this.state,
      reader: () => {
        const { site, box, commands } = loadConfig(this.file, { env: {}, mode: 'check', files: false });
        return { site, box, keys: commands.keys };
      },
      judge: {
        filled: withSecretsOf,
        shownSha256,
        problems: (text, former, may) =>
          wholeProblems(text, former, {
            env: {},
            files: true,
            may,
            order: () => this.order,
            wallMs: () => this.wallMs,
            blackened: () => this.blackened,
          }),
      },
      agent: {
        startTimer: systemd(() => {
          this.timerAtS = this.boottimeS + 120;
        }),
        stopTimer: () => {
          this.timerAtS = undefined;
        },
        restart: systemd(() => this.start()),
      },
      clockSynced: () => this.clockSynced,
      say: (line) => this.said.push(line),
      clock: {
        boottimeS: () => this.boottimeS,
        bootId: () => this.boot,
        wallMs: () => this.wallMs,
      },
      ...more,
    });
  }

  start(): void {
    this.restarts += 1;
    this.running = this.text;
    this.#journal += 2;
    this.#analysed = 0;
  }

  /** Another start of the machine: what is over is settled before the agent starts. */
  powerUp(name: string): void {
    this.boot = name;
    this.boottimeS = 10;
    this.timerAtS = undefined;
    this.orders().settle();
    this.start();
  }

  /** The unit's program, until it ends. Returns whether somebody is to look again. */
  follow(orders = this.orders()): Promise<boolean> {
    return followOrders({
      orders,
      seen: async () => ({ unit: this.#unit(), health: this.#health() }),
      alone: async (act) => act(),
      clock: {
        nowMs: () => this.boottimeS * 1000,
        sleep: async (ms) => {
          this.boottimeS += ms / 1000;
          this.wallMs += ms;
          if (!this.running.includes('# blind')) this.#analysed += 5;
          this.onSleep?.();
        },
      },
    });
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
      journalEntries: this.#journal,
    };
  }

  get text(): string {
    return readFileSync(this.file, 'utf8');
  }

  get status(): ConfigOrderStatus {
    return JSON.parse(readFileSync(join(this.dir, 'config-order.json'), 'utf8')) as ConfigOrderStatus;
  }

  /** Beside configuration and status. */
  get left(): string[] {
    const known = ['vigie.yaml', 'config-order.json'];
    return readdirSync(this.dir).filter((name) => !known.includes(name) && !name.endsWith('.new'));
  }
}

/** Whatever was cut off, after the next starts the file is one of both, and what is said of it is true. */
export function consistent(box: OrderedBox): string | undefined {
  const { text, wanted, former, status, left, running } = box;
  if (left.length > 0) return `left: ${left.join(' ')}`;
  if (running !== text) return 'the agent runs with another one';
  if (text === wanted && status.phase === 'confirmed') return undefined;
  if (text === former && status.phase === 'rolled-back') return undefined;
  return `${status.phase} (${status.reason}) with ${text === wanted ? 'the new' : text === former ? 'the former' : 'a foreign'} file`;
}

/**
 * Under which names this box may be asked. A browser that was led here under another one (DNS rebinding) says that name
 * in Host, and gets nothing.
 */
import { hostname, networkInterfaces } from 'node:os';
import type { Clock } from '../../base/clock.ts';

/** A cable is plugged in, an address is given: seen so soon. */
const LOOK_EVERY_MS = 5000;
/** Where NetworkManager puts a shared connection: the hotspot. */
const HOTSPOT_ADDRESS = '10.42.0.1';
const HOST = /^(\[[0-9a-f:.]{2,45}\]|[a-z0-9.-]{1,253})(?::(\d{1,5}))?$/;
const HTTPS_PORT = 443;

export class OwnNames {
  readonly #clock: Pick<Clock, 'nowMs'>;
  #names: ReadonlySet<string> = new Set();
  #lookAtMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Pick<Clock, 'nowMs'>) {
    this.#clock = clock;
  }

  /** `host` as in the header; `box`: as the agent knows it. */
  isOwn(host: string, port: number, box: string | undefined): boolean {
    const [, name, asked] = HOST.exec(host.toLowerCase()) ?? [];
    if (name === undefined || Number(asked ?? HTTPS_PORT) !== port) return false;
    return name === `${box}.local` || this.#known().has(name.startsWith('[') ? plainIpv6(name) : name);
  }

  #known(): ReadonlySet<string> {
    const nowMs = this.#clock.nowMs();
    if (nowMs >= this.#lookAtMs) {
      this.#lookAtMs = nowMs + LOOK_EVERY_MS;
      const addresses = ownAddresses().map((each) => (each.includes(':') ? plainIpv6(`[${each}]`) : each));
      this.#names = new Set([localName(), 'localhost', '127.0.0.1', '[::1]', HOTSPOT_ADDRESS, ...addresses]);
    }
    return this.#names;
  }
}

/** As avahi announces it. */
export function localName(): string {
  return `${hostname().split('.')[0]?.toLowerCase() ?? 'localhost'}.local`;
}

/** Of all interfaces, the loopback too. */
export function ownAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((of) => (of ?? []).map(({ address }) => address));
}

/** `[0:0::1]` → `[::1]`; what is no address stays as it is, and is nobody's. */
function plainIpv6(name: string): string {
  return URL.canParse(`https://${name}/`) ? new URL(`https://${name}/`).hostname : name;
}

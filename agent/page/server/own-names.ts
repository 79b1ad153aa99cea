/**
 * Checks that a request names this box. A browser that was led here under another name (DNS rebinding) sends that name
 * in Host, and is refused.
 */
import { hostname, networkInterfaces } from 'node:os';
import type { Clock } from '../../base/clock.ts';
import { HOTSPOT_ADDRESS } from '../../contract/hotspot.ts';

/** Delay before a new cable or address is noticed. */
const CHECK_EVERY_MS = 5000;
const HOST = /^(\[[0-9a-f:.]{2,45}\]|[a-z0-9.-]{1,253})(?::(\d{1,5}))?$/;
const HTTPS_PORT = 443;

export class OwnNames {
  readonly #clock: Pick<Clock, 'nowMs'>;
  #names: ReadonlySet<string> = new Set();
  #checkAtMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Pick<Clock, 'nowMs'>) {
    this.#clock = clock;
  }

  /** `host` is from the header; `box` is the name that the agent knows. */
  isOwn(host: string, port: number, box: string | undefined): boolean {
    const [, name, requestedPort] = HOST.exec(host.toLowerCase()) ?? [];
    if (name === undefined || Number(requestedPort ?? HTTPS_PORT) !== port) return false;
    return name === `${box}.local` || this.#ownAddresses().has(name.startsWith('[') ? plainIpv6(name) : name);
  }

  #ownAddresses(): ReadonlySet<string> {
    const nowMs = this.#clock.nowMs();
    if (nowMs >= this.#checkAtMs) {
      this.#checkAtMs = nowMs + CHECK_EVERY_MS;
      const addresses = ownAddresses().map((each) => (each.includes(':') ? plainIpv6(`[${each}]`) : each));
      this.#names = new Set([localName(), 'localhost', '127.0.0.1', '[::1]', HOTSPOT_ADDRESS, ...addresses]);
    }
    return this.#names;
  }
}

/** Name in the form that avahi announces. */
export function localName(): string {
  return `${hostname().split('.')[0]?.toLowerCase() ?? 'localhost'}.local`;
}

/** Addresses of all interfaces, including the loopback. */
export function ownAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((of) => (of ?? []).map(({ address }) => address));
}

/** `[0:0::1]` → `[::1]`; text that is not an address stays unchanged, and matches nothing. */
function plainIpv6(name: string): string {
  return URL.canParse(`https://${name}/`) ? new URL(`https://${name}/`).hostname : name;
}

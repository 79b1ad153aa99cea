/**
 * The box's own Wi-Fi, for a technician's phone where no cable is at hand: for a quarter of an hour from power-up, and not
 * while an order that is more than a permit to install holds: then the room opens it by a signed command, for as long as
 * that says, or a cable is used.
 *
 * INVARIANTS: the passphrase is in no argument and no variable: NetworkManager reads it from a file of root's in /run, which
 * is gone with the hotspot. Whatever ends this program, the hotspot ends: its unit takes it down as well.
 * LIMITS: OPEN_MS; RUN_MS_MAX however often the room asks; order and room are looked at again every LOOK_EVERY_MS.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { writeAtomically } from '../../../../agent/base/atomic-file.ts';
import type { Clock } from '../../../../agent/base/clock.ts';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { hotspotName } from '../../../../agent/contract/hotspot.ts';

const run = promisify(execFile);

const PROFILE = 'vigie-hotspot';
/** Enough to find the phone and the label; a box on its pole is not a Wi-Fi that passers-by see. */
const OPEN_MS = 15 * 60_000;
/** The longest that one command may ask for; vigie-hotspot.service ends it a minute later. */
const RUN_MS_MAX = 60 * 60_000;
const LOOK_EVERY_MS = 10_000;
const NMCLI_WITHIN_MS = 30_000;
/** WPA: 8 to 63 printable characters (IEEE 802.11, J.4.1); none of them a blank, which nobody sees on a label. */
const PASSPHRASE = /^[\x21-\x7e]{8,63}$/;
const FILE_BYTES_MAX = 256;

/** What is wrong with a file that holds the passphrase, or undefined. */
export function hotspotKeyProblem(text: string): string | undefined {
  if (PASSPHRASE.test(text.trim())) return undefined;
  return 'is no passphrase; must be one line of 8 to 63 letters, digits and signs, without blanks';
}

/** Throws AgentError `config`. */
export function readHotspotKey(file: string): string {
  let text = '';
  try {
    if (statSync(file).size <= FILE_BYTES_MAX) text = readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new AgentError('config', `${file}: cannot be read (${messageOf(error)})`, error);
  }
  const problem = hotspotKeyProblem(text);
  if (problem !== undefined) throw new AgentError('config', `${file}: ${problem}`);
  return text;
}

/** NetworkManager's profile (nm-settings-keyfile(5)): WPA2 and WPA3, and an address for the phone. */
export function hotspotProfile(box: string, passphrase: string): string {
  const hex = createHash('sha256').update(`vigie hotspot of ${box}`).digest('hex');
  // The same for a box each time: version 8 is for a maker's own scheme (RFC 9562, 5.8).
  const uuid = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
  return `[connection]
id=${PROFILE}
uuid=${uuid}
type=wifi
autoconnect=false

[wifi]
mode=ap
band=bg
ssid=${hotspotName(box)}

[wifi-security]
key-mgmt=wpa-psk
proto=rsn;
pairwise=ccmp;
group=ccmp;
pmf=2
psk=${passphrase.replaceAll('\\', '\\\\')}

[ipv4]
method=shared
address1=10.42.0.1/24

[ipv6]
method=disabled
`;
}

export interface HotspotOptions {
  readonly box: string;
  readonly passphrase: string;
  /** Below /run: gone with the next start of the machine. */
  readonly profileFile: string;
  readonly clock: Pick<Clock, 'nowMs' | 'sleep'>;
  /** Why it must be off where the room has not opened it; undefined: it may be open. */
  refusal(): string | undefined;
  /** For how many minutes from now the room wants it open, once for each command; undefined: it has not asked. */
  requested(): number | undefined;
  /** It was started for a command of the room, not by power-up. */
  readonly onRequest: boolean;
  /** One line for the log. */
  say(line: string): void;
  /** For tests. */
  readonly nmcli?: string;
}

export class Hotspot {
  readonly #options: HotspotOptions;
  readonly #stop = new AbortController();
  /** By the room, monotonic. */
  #grantedUntilMs = Number.NEGATIVE_INFINITY;

  constructor(options: HotspotOptions) {
    this.#options = options;
  }

  /** Ends when its time is over, an order has come, or it is told to stop. Rejects with `unavailable`. */
  async open(): Promise<void> {
    const { clock, profileFile, box, passphrase, say, onRequest } = this.#options;
    const isGranted = this.#isGranted();
    if (onRequest && !isGranted) return say('no hotspot: the room has not asked for it');
    const refusal = isGranted ? undefined : this.#options.refusal();
    if (refusal !== undefined) return say(`no hotspot: ${refusal}`);
    const missing = await this.#missing();
    if (missing !== undefined) return say(`no hotspot: ${missing}`);
    try {
      mkdirSync(dirname(profileFile), { recursive: true });
      writeAtomically(profileFile, hotspotProfile(box, passphrase));
      await this.#nmcli('connection', 'load', profileFile);
      await this.#nmcli('connection', 'up', PROFILE);
      const openedMs = clock.nowMs();
      const ownUntilMs = onRequest ? openedMs : openedMs + OPEN_MS;
      const leftMs = (): number => {
        const untilMs = this.#isGranted() ? Math.max(ownUntilMs, this.#grantedUntilMs) : ownUntilMs;
        return Math.min(untilMs, openedMs + RUN_MS_MAX) - clock.nowMs();
      };
      const minutes = Math.ceil(leftMs() / 60_000);
      say(`hotspot ${hotspotName(box)} is open for ${minutes} min: https://10.42.0.1/`);
      for (let left = leftMs(); left > 0 && this.#mayStay(); left = leftMs())
        await clock.sleep(Math.min(LOOK_EVERY_MS, left), this.#stop.signal);
    } finally {
      rmSync(profileFile, { force: true });
      await this.#down();
    }
    say(`hotspot ${hotspotName(box)} is closed`);
  }

  stop(): void {
    this.#stop.abort();
  }

  #mayStay(): boolean {
    if (this.#stop.signal.aborted) return false;
    return this.#isGranted() || this.#options.refusal() === undefined;
  }

  /** The room wants it open now. */
  #isGranted(): boolean {
    const { clock, requested, say } = this.#options;
    const minutes = requested();
    if (minutes !== undefined) {
      say(`the room opens the hotspot for ${minutes} min`);
      this.#grantedUntilMs = Math.max(this.#grantedUntilMs, clock.nowMs() + minutes * 60_000);
    }
    return clock.nowMs() < this.#grantedUntilMs;
  }

  /** What this box lacks for a hotspot; no mistake of anybody. */
  async #missing(): Promise<string | undefined> {
    try {
      const devices = await this.#nmcli('--terse', '--fields', 'TYPE', 'device');
      return devices.split('\n').includes('wifi') ? undefined : 'there is no Wi-Fi device';
    } catch (error) {
      return `NetworkManager does not answer (${messageOf(error)})`;
    }
  }

  async #down(): Promise<void> {
    try {
      await this.#nmcli('connection', 'delete', PROFILE);
    } catch (error) {
      this.#options.say(`the hotspot was not open, or cannot be closed: ${messageOf(error)}`);
    }
  }

  async #nmcli(...options: readonly string[]): Promise<string> {
    const { nmcli = 'nmcli' } = this.#options;
    try {
      const { stdout } = await run(nmcli, options, { timeout: NMCLI_WITHIN_MS });
      return stdout;
    } catch (error) {
      throw new AgentError('unavailable', `nmcli ${options.join(' ')}: ${messageOf(error)}`, error);
    }
  }
}

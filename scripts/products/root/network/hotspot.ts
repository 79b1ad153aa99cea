/**
 * Runs the box's own Wi-Fi, for a technician's phone on a site without a cable. It is open for a quarter of an hour
 * after power-up. A radio that appears within this time gets what is left of it.
 *
 * It stays closed while an authorisation is valid that is not only for installation. The room can then open it by a
 * signed command for a limited time, or a cable is used.
 *
 * INVARIANTS:
 * - The passphrase is in no argument and no variable. NetworkManager reads it from a file of root's in /run, which is
 *   removed with the hotspot.
 * - However this program ends, the hotspot ends: its unit takes it down as well.
 * - The phone reaches the box and nothing behind it, whatever other programs set: the profile's routing rule refuses
 *   each packet from the hotspot that is not for the box. The profile changes no setting for forwarding.
 *
 * LIMITS: OPEN_MS; RUN_MS_MAX however often the room asks. Both include the wait for a radio. Authorisation, room and
 * radio are checked again every POLL_EVERY_MS.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { writeAtomically } from '../../../../agent/base/atomic-file.ts';
import type { Clock } from '../../../../agent/base/clock.ts';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { HOTSPOT_ADDRESS, hotspotName } from '../../../../agent/contract/hotspot.ts';

const run = promisify(execFile);

const PROFILE = 'vigie-hotspot';
const DHCP_UNIT = 'vigie-hotspot-dhcp';
/** Time after power-up, ms: enough to find the phone and the label. Afterwards passers-by see no Wi-Fi. */
const OPEN_MS = 15 * 60_000;
/** The longest that one command may ask for, ms. vigie-hotspot.service ends it a minute later. */
const RUN_MS_MAX = 60 * 60_000;
const POLL_EVERY_MS = 10_000;
const TOOL_WITHIN_MS = 30_000;
/**
 * WPA: 8 to 63 printable characters (IEEE 802.11, J.4.1). A blank is not allowed, because it is invisible on a label.
 */
const PASSPHRASE = /^[\x21-\x7e]{8,63}$/;
const FILE_BYTES_MAX = 256;

/** Returns the validation error of a file with the passphrase, or undefined. */
export function hotspotKeyProblem(text: string): string | undefined {
  if (PASSPHRASE.test(text.trim())) return undefined;
  return 'is not a passphrase; must be one line of 8 to 63 letters, digits and signs, without blanks';
}

/** Reads the passphrase. Throws AgentError `config`. */
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

/**
 * Returns NetworkManager's profile (nm-settings-keyfile(5)): WPA2 and WPA3, and the box's address. The rule comes after
 * the kernel's own for local addresses and before all others (ip-rule(8)).
 */
export function hotspotProfile(box: string, passphrase: string, device: string): string {
  const hex = createHash('sha256').update(`vigie hotspot of ${box}`).digest('hex');
  // Constant for a box: version 8 is for a vendor's own scheme (RFC 9562, 5.8).
  const uuid = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
  return `[connection]
id=${PROFILE}
uuid=${uuid}
type=wifi
interface-name=${device}
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
method=manual
address1=${HOTSPOT_ADDRESS}/24
routing-rule1=priority 1 from 0.0.0.0/0 iif ${device} type prohibit

[ipv6]
method=disabled
routing-rule1=priority 1 from ::/0 iif ${device} type prohibit
`;
}

export interface HotspotOptions {
  readonly box: string;
  readonly passphrase: string;
  /** File below /run, removed at the next start of the machine. */
  readonly profileFile: string;
  readonly clock: Pick<Clock, 'nowMs' | 'sleep'>;
  /** Returns why it must be off unless the room has opened it; undefined if it may be open. */
  refusal(): string | undefined;
  /**
   * Returns for how many minutes from now the room wants it open, once per command; undefined if the room has not
   * asked.
   */
  requested(): number | undefined;
  /** True if a command of the room started it, and not power-up. */
  readonly onRequest: boolean;
  say(line: string): void;
  /** Replaced in tests. */
  readonly nmcli?: string;
  readonly systemctl?: string;
}

export class Hotspot {
  readonly #options: HotspotOptions;
  readonly #stop = new AbortController();
  /** End of the room's grant, on the monotonic clock. */
  #grantedUntilMs = Number.NEGATIVE_INFINITY;

  constructor(options: HotspotOptions) {
    this.#options = options;
  }

  /**
   * Resolves when its time is over, an authorisation has become valid, or it is stopped. Rejects with `unavailable`.
   */
  async open(): Promise<void> {
    const { clock, profileFile, box, passphrase, say, onRequest } = this.#options;
    const isGranted = this.#isGranted();
    if (onRequest && !isGranted) return say('no hotspot: the room has not requested it');
    const refusal = isGranted ? undefined : this.#options.refusal();
    if (refusal !== undefined) return say(`no hotspot: ${refusal}`);
    const startedMs = clock.nowMs();
    const ownUntilMs = onRequest ? startedMs : startedMs + OPEN_MS;
    const leftMs = (): number => {
      const untilMs = this.#isGranted() ? Math.max(ownUntilMs, this.#grantedUntilMs) : ownUntilMs;
      return Math.min(untilMs, startedMs + RUN_MS_MAX) - clock.nowMs();
    };
    const device = await this.#device(leftMs);
    if (device === undefined) return;
    try {
      mkdirSync(dirname(profileFile), { recursive: true });
      writeAtomically(profileFile, hotspotProfile(box, passphrase, device));
      await this.#nmcli('connection', 'load', profileFile);
      await this.#nmcli('connection', 'up', PROFILE);
      await this.#giveAddresses(device);
      const minutes = Math.ceil(leftMs() / 60_000);
      say(`hotspot ${hotspotName(box)} is open for ${minutes} min: https://${HOTSPOT_ADDRESS}/`);
      for (let remainingMs = leftMs(); remainingMs > 0 && this.#mayStay(); remainingMs = leftMs())
        await clock.sleep(Math.min(POLL_EVERY_MS, remainingMs), this.#stop.signal);
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

  /** Reports whether the room wants it open now. */
  #isGranted(): boolean {
    const { clock, requested, say } = this.#options;
    const minutes = requested();
    if (minutes !== undefined) {
      say(`the room opens the hotspot for ${minutes} min`);
      this.#grantedUntilMs = Math.max(this.#grantedUntilMs, clock.nowMs() + minutes * 60_000);
    }
    return clock.nowMs() < this.#grantedUntilMs;
  }

  /** Waits for a Wi-Fi device that can be used. Returns undefined, and reports why, if the time is over first. */
  async #device(leftMs: () => number): Promise<string | undefined> {
    const { clock, refusal, say } = this.#options;
    let missing = '';
    for (let remainingMs = leftMs(); remainingMs > 0 && this.#mayStay(); remainingMs = leftMs()) {
      const radio = await this.#radio();
      if ('device' in radio) return radio.device;
      if (radio.missing !== missing) say(`waits for a radio: ${radio.missing}`);
      missing = radio.missing;
      await clock.sleep(Math.min(POLL_EVERY_MS, remainingMs), this.#stop.signal);
    }
    const order = this.#isGranted() ? undefined : refusal();
    say(`no hotspot: ${order ?? missing}`);
    return undefined;
  }

  /** Returns a Wi-Fi device, one without a connection if there is any, or what is missing. */
  async #radio(): Promise<{ readonly device: string } | { readonly missing: string }> {
    let output: string;
    try {
      output = await this.#nmcli('--terse', '--fields', 'DEVICE,TYPE,STATE', 'device');
    } catch (error) {
      return { missing: `NetworkManager does not answer (${messageOf(error)})` };
    }
    const radios = output
      .split('\n')
      .map((line) => line.split(':'))
      .filter(([, type]) => type === 'wifi')
      .map(([name = '', , state = '']) => ({ name, state }));
    const usable = radios.filter(({ state }) => state !== 'unavailable' && state !== 'unmanaged');
    const device = (usable.find(({ state }) => state === 'disconnected') ?? usable[0])?.name;
    if (device !== undefined) return { device };
    const states = radios.map(({ name, state }) => `${name} is ${state}`).join(', ');
    return { missing: states === '' ? 'there is no Wi-Fi device' : `${states} (nmcli device, rfkill)` };
  }

  /** Starts the unit that gives phones their addresses. It ends with the hotspot's. */
  async #giveAddresses(device: string): Promise<void> {
    const { systemctl = 'systemctl' } = this.#options;
    const unit = `${DHCP_UNIT}@${device}.service`;
    try {
      await run(systemctl, ['start', unit], { timeout: TOOL_WITHIN_MS });
    } catch (error) {
      const message = `phones get no address (${messageOf(error)}); see journalctl -u ${unit}, is dnsmasq-base installed?`;
      throw new AgentError('unavailable', message, error);
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
      // The states of devices are words, and translated otherwise.
      const env = { ...process.env, LC_ALL: 'C' };
      const { stdout } = await run(nmcli, options, { timeout: TOOL_WITHIN_MS, env });
      return stdout;
    } catch (error) {
      throw new AgentError('unavailable', `nmcli ${options.join(' ')}: ${messageOf(error)}`, error);
    }
  }
}

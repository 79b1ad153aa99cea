/**
 * Keys with which the demo's room sends commands to its box. The signer holds the room's key. A magistrate's key,
 * which the authorisation of the demo names, approves questions about persons.
 */
import { generateKeyPairSync } from 'node:crypto';
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { AgentError, messageOf } from '../../../agent/base/errors.ts';
import type { CommandKey, Keyholder } from '../../../agent/contract/config.ts';
import { AgentProcess } from '../../lib/agent-process.ts';
import type { KeyPair } from '../../lib/certificates.ts';

const PROGRAM = fileURLToPath(new URL('../../products/room/signer/main.js', import.meta.url));
const START_WITHIN_MS = 15_000;

export interface SignerPlaces {
  /** Folder for keys and the socket. */
  readonly dir: string;
  /** Folder for the signer's log. */
  readonly outDir: string;
  readonly site: string;
  readonly timeZone: string;
  /** Address of the broker for the room's programs. */
  readonly url: string;
  readonly ca: string;
  readonly pair: KeyPair;
}

export class RoomSigner {
  readonly #process: AgentProcess;
  readonly #logPath: string;
  readonly #key: CommandKey;
  readonly socket: string;
  /** Files for `scripts/room tracks`: room.yaml, and the approver's key. */
  readonly room: string;
  readonly magistrate: string;
  /** Approvers for the authorisation. */
  readonly approvers: Keyholder[];

  constructor({ dir, outDir, site, timeZone, url, ca, pair: { cert, key } }: SignerPlaces) {
    const sealed = join(dir, 'sealed');
    mkdirSync(sealed, { mode: 0o700 });
    this.socket = join(dir, 'signer.sock');
    this.room = join(dir, 'room.yaml');
    this.magistrate = join(dir, 'magistrate.pem');
    this.#logPath = join(outDir, 'signer.log');
    writeFileSync(this.room, JSON.stringify({ site, timeZone, mqtt: { url, ca, cert, key } }));
    const sign = join(dir, 'desk.pem');
    this.#key = { ...newKey('desk', sign), may: ['search', 'tracks'] };
    this.approvers = [
      newKey('magistrate', this.magistrate),
      newKey('deputy-magistrate', join(dir, 'deputy-magistrate.pem')),
    ];
    const options = ['--room', this.room, '--sign', sign, '--socket', this.socket, '--sealed', sealed];
    const command = [process.execPath, '--enable-source-maps', PROGRAM, ...options];
    this.#process = new AgentProcess(command, process.env, this.#logPath);
  }

  /** Adds the room's key to the configuration of the box. */
  addKeys(config: string): void {
    appendFileSync(config, `\ncommands: ${JSON.stringify({ keys: [this.#key] })}\n`);
  }

  /** Resolves when the signer listens; `exitReason` resolves when it ends. Throws AgentError `unavailable`. */
  async start(): Promise<{ readonly exitReason: Promise<string> }> {
    const exitReason = this.#process.start().then(({ reason }) => reason);
    const enough = new AbortController();
    const late = sleep(START_WITHIN_MS, 'it did not say its socket', { signal: enough.signal });
    const outcome = await Promise.race([
      this.#process.matchingLine(/^Signer for /),
      exitReason,
      late.catch(messageOf),
    ]);
    enough.abort();
    if (typeof outcome !== 'string') return { exitReason };
    await this.#process.stop();
    throw new AgentError('unavailable', `the signer did not start (${outcome}); its log: ${this.#logPath}`);
  }

  stop(): Promise<void> {
    return this.#process.stop();
  }
}

/** Creates a key pair and writes the private key into the file. */
function newKey(name: string, file: string): Keyholder {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  writeFileSync(file, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  return { name, publicKey: publicKey.export({ type: 'spki', format: 'der' }).toString('base64') };
}

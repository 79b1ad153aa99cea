/** Keyholders of a fleet, each with a folder of their own as if it were another machine, and the room. */
import { spawnSync } from 'node:child_process';
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { closeSync, copyFileSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { AgentError } from '../../agent/base/errors.ts';
import { readLockedKey, unlockKey } from '../../scripts/products/fleet/release/keyholder-key.ts';
import { publishRoot } from '../../scripts/products/fleet/release/publish.ts';
import { Repository } from '../../scripts/products/fleet/release/repository.ts';
import { firstRoot } from '../../scripts/products/fleet/release/root.ts';
import { signedDigest } from '../../scripts/products/fleet/release/root-check.ts';
import {
  addSignature,
  checkOrigin,
  readSigningFile,
  signingFileOf,
  trustedRoot,
  writeSigningFile,
} from '../../scripts/products/fleet/release/signing-file.ts';
import { bundled } from './bundled.ts';
import { type Output, WarmProgram } from './warm-program.ts';

/** The built program. */
export const FLEET = bundled('scripts/products/fleet');

const warm = new WarmProgram('scripts/products/fleet');

/** Runs the program in a thread. */
export function fleet(...args: readonly string[]): Output {
  return warm.runSync(args);
}

/** Runs the program as a process, with a file as its descriptor 3. */
function started(args: readonly string[], third: number | 'ignore' = 'ignore'): Output {
  const { status, stdout, stderr } = spawnSync(process.execPath, [FLEET, ...args], {
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'pipe', third],
  });
  return { code: status, out: stdout, err: stderr };
}

/** Passphrase of every keyholder's keys in tests. */
export const PASSPHRASE = 'correct horse battery';

/**
 * Makes a pair as `fleet release keygen` does; a keyholder's key has cheaper derivation, so that tests do not wait for
 * it.
 */
export function keyPair(file: string, hasPassphrase = true): string {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const locked = hasPassphrase ? { cipher: 'aes-256-cbc', passphrase: PASSPHRASE } : {};
  writeFileSync(file, privateKey.export({ type: 'pkcs8', format: 'pem', ...locked }), { mode: 0o600 });
  writeFileSync(`${file}.pub`, publicKey.export({ type: 'spki', format: 'pem' }));
  return file;
}

/** SHA-256 of the root that a signing file proposes, as a reader of it would name it. */
export const rootDigest = (file: string): string => signedDigest(readSigningFile(file).metadata);

export class Fleet {
  readonly dir: string;
  readonly repository: Repository;
  readonly onlineKey: string;
  #hasSigned = false;

  constructor(dir: string) {
    this.dir = dir;
    this.repository = new Repository(join(dir, 'repository'));
    for (const name of ['room', 'anna', 'ben', 'carl']) mkdirSync(join(dir, name));
    for (const name of ['anna', 'ben', 'carl']) {
      for (const role of ['root', 'targets']) keyPair(this.key(name, role));
    }
    this.onlineKey = keyPair(join(dir, 'room/online.key'), false);
  }

  key(keyholder: string, role: string): string {
    return join(this.dir, keyholder, `${role}.key`);
  }

  /** Opens a keyholder's key. */
  unlocked(file: string): KeyObject {
    return unlockKey(readLockedKey(file), PASSPHRASE);
  }

  /** Makes the first root, signed by two and published; each keyholder gets it. */
  begin(): Output[] {
    const root = join(this.dir, 'room/root1.json');
    const all = [
      this.#startedInRepository([
        'root',
        'init',
        '--root-key',
        ...this.#keyholders('root'),
        '--targets-key',
        ...this.#keyholders('targets'),
        '--online-key',
        `${this.onlineKey}.pub`,
        '--out',
        root,
      ]),
      this.sign('root', root, 'anna'),
      this.sign('root', root, 'ben'),
      this.publish('root', root),
    ];
    this.trust('anna', 'ben', 'carl');
    return all;
  }

  /** Does the same in this process, in a tenth of the time. */
  async beginQuickly(): Promise<void> {
    const [rootKey, targetsKey] = [this.#keyholders('root'), this.#keyholders('targets')];
    const nowMs = Date.now();
    // The start is a moment ago, so that the expiry, which has whole seconds, differs from that of the next root.
    const first = firstRoot({ rootKey, targetsKey, onlineKey: `${this.onlineKey}.pub` }, nowMs - 60_000);
    const file = join(this.dir, 'room/root1.json');
    writeSigningFile(file, signingFileOf(this.repository, first));
    for (const keyholder of ['anna', 'ben']) {
      const { code, err } = this.signQuickly('root', file, keyholder);
      if (code !== 0) throw new Error(err);
    }
    const online = [createPrivateKey(readFileSync(this.onlineKey))];
    await publishRoot(this.repository, file, { online, nowMs, agreed: rootDigest(file) });
    this.trust('anna', 'ben', 'carl');
  }

  /** Public keys of all keyholders, as the program receives them. */
  #keyholders(role: 'root' | 'targets'): string[] {
    return ['anna', 'ben', 'carl'].map((name) => `${name}=${this.key(name, role)}.pub`);
  }

  /** Copies the newest root to the keyholders' folders. */
  trust(...keyholders: readonly string[]): void {
    for (const name of keyholders) copyFileSync(this.rootFile, join(this.dir, name, 'root.json'));
  }

  get rootFile(): string {
    return join(this.repository.dir, 'metadata/root.json');
  }

  /** Copies the file to the keyholder's folder, signs it there, and copies it back. */
  sign(
    kind: 'release' | 'root',
    file: string,
    keyholder: string,
    key = this.key(keyholder, kind === 'root' ? 'root' : 'targets'),
  ): Output {
    const copy = join(this.dir, keyholder, basename(file));
    copyFileSync(file, copy);
    const passphrase = join(this.dir, 'passphrase');
    writeFileSync(passphrase, `${PASSPHRASE}\n`);
    const fd = openSync(passphrase, 'r');
    const agreed = kind === 'root' ? ['--agree', rootDigest(copy)] : ['--yes'];
    const words = [kind, 'sign', copy, '--key', key, ...agreed];
    // The first is a process, as at a keyholder's machine; a thread has the descriptors of its process.
    const output = this.#hasSigned
      ? fleet(...words, '--passphrase-fd', String(fd))
      : started([...words, '--passphrase-fd', '3'], fd);
    this.#hasSigned = true;
    closeSync(fd);
    if (output.code === 0) copyFileSync(copy, file);
    return output;
  }

  /** Does the same in this process, in a tenth of the time. */
  signQuickly(
    kind: 'release' | 'root',
    file: string,
    keyholder: string,
    key = this.key(keyholder, kind === 'root' ? 'root' : 'targets'),
  ): Output {
    try {
      const content = readSigningFile(file);
      checkOrigin(content, file, trustedRoot(key, undefined), Date.now());
      addSignature(content, this.unlocked(key));
      writeSigningFile(file, content);
      return { code: 0, out: '', err: '' };
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      return { code: 1, out: '', err: error.message };
    }
  }

  inRepository(...args: readonly string[]): Output {
    return fleet(...args, '--repository', this.repository.dir);
  }

  #startedInRepository(args: readonly string[]): Output {
    return started([...args, '--repository', this.repository.dir]);
  }

  publish(kind: 'release' | 'root', file: string, ...extraArgs: readonly string[]): Output {
    const agreed = kind === 'root' ? ['--agree', rootDigest(file)] : [];
    return this.inRepository(kind, 'publish', file, '--online-key', this.onlineKey, ...agreed, ...extraArgs);
  }
}

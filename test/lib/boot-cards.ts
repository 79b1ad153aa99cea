/** Boot partitions of cards, as a technician fills them, and the command of root's program that takes their files. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { CertificateAuthority } from '../../scripts/lib/certificates.ts';
import { provisionBootPartition } from '../../scripts/products/root/card/boot-partition-command.ts';
import { scratch } from './paths.ts';

export interface BootCard {
  readonly from: string;
  readonly to: string;
  readonly result: () => string;
}

interface Pair {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** Cards whose certificates one authority has issued. */
export class BootCards {
  readonly #dir: string;
  readonly #authority: CertificateAuthority;
  readonly #pairs = new Map<string, Pair>();
  #started: Promise<void> | undefined;

  constructor(t: { teardown(fn: () => void): void }) {
    this.#dir = join(scratch(t), 'authority');
    this.#authority = new CertificateAuthority(this.#dir);
  }

  /**
   * Makes a complete boot partition and an empty /etc/vigie. All cards of a box have the same key and certificate,
   * except for one that is made `isNew`.
   */
  async make(t: Test, box = 'box-1', isNew = false): Promise<BootCard> {
    const dir = scratch(t);
    const [from, to] = [join(dir, 'firmware/vigie'), join(dir, 'etc')];
    for (const folder of [join(from, 'pki'), join(to, 'pki')]) mkdirSync(folder, { recursive: true });
    const { cert, key } = await this.#pair(box, isNew);
    writeFileSync(join(from, 'pki/ca.crt'), readFileSync(this.#authority.ca));
    writeFileSync(join(from, 'pki/box.crt'), cert);
    writeFileSync(join(from, 'pki/box.key'), key);
    writeFileSync(join(from, 'vigie.yaml'), configOfCard(to));
    return { from, to, result: () => readFileSync(join(from, 'result.txt'), 'utf8') };
  }

  authorityKey(): Buffer {
    return readFileSync(join(this.#dir, 'ca.key'));
  }

  async #pair(box: string, isNew: boolean): Promise<Pair> {
    this.#started ??= this.#authority.start();
    await this.#started;
    const firstPair = this.#pairs.get(box);
    if (firstPair !== undefined && !isNew) return firstPair;
    const { cert, key } = await this.#authority.client(box);
    const pair = { cert: readFileSync(cert), key: readFileSync(key) };
    this.#pairs.set(box, pair);
    return pair;
  }
}

export function configOfCard(to: string, extraLines = ''): string {
  const pki = join(to, 'pki');
  return `site: s
box: box-1
camera: { source: "rtsp://admin:hunter2@10.0.0.2/main" }
rules: []
mqtt: { url: "mqtts://room:8883", ca: ${pki}/ca.crt, cert: ${pki}/box.crt, key: ${pki}/box.key, ack: broker }
${extraLines}`;
}

/** The same command in this process; others here prove the program's start and exit code. */
export function takeHere({ from, to }: BootCard): { code: number; output: string } {
  let output = '';
  const streams = [process.stdout, process.stderr].map((stream) => ({ stream, write: stream.write }));
  const collect = (text: string | Uint8Array): boolean => {
    output += text.toString();
    return true;
  };
  for (const { stream } of streams) stream.write = collect;
  try {
    return { code: provisionBootPartition({ from, to }), output };
  } finally {
    for (const { stream, write } of streams) stream.write = write;
  }
}

/** Stills, sealed as vision seals them, and the authority's end: Debian's age. */
import { execFileSync, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import type { MaskConfig } from '../../agent/contract/config.ts';
import type { SizePx } from '../../agent/contract/geometry.ts';
import type { Still } from '../../agent/contract/picture.ts';
import type { SealedEvidence } from '../../agent/contract/sealed-evidence.ts';
import { Sealer } from '../../agent/vision/redact/sealer.ts';
import { stillFrom } from './pictures.ts';

/** Reason why this machine cannot open sealed files as an authority would, or false. */
export function ageUnavailable(): string | false {
  const { status } = spawnSync('age', ['--version']);
  return status === 0 ? false : 'Debian’s age is not installed: scripts/setup --for test does it';
}

export interface Authority {
  /** File of its secret key. */
  readonly keyFile: string;
  /** Its public key. */
  readonly recipient: string;
}

/** A new key pair, made by Debian's age-keygen. */
export function makeAuthority(dir: string, name: string): Authority {
  const keyFile = join(dir, `${name}.key`);
  execFileSync('age-keygen', ['-o', keyFile], { stdio: 'pipe' });
  const recipient = execFileSync('age-keygen', ['-y', keyFile], { encoding: 'utf8' }).trim();
  return { keyFile, recipient };
}

/** Result of Debian's age for a sealed file: its content, or its error message. */
export function openSealed(
  bytes: Uint8Array,
  keyFile: string,
): { content: Buffer | undefined; error: string } {
  const { status, stdout, stderr } = spawnSync('age', ['--decrypt', '-i', keyFile], {
    input: bytes,
    maxBuffer: 16_777_216,
  });
  return { content: status === 0 ? stdout : undefined, error: String(stderr) };
}

export type JpegStill = Still & { readonly jpeg: Uint8Array };

/** A gradient of colours with grain, in which every place is distinct. */
export async function stillOf({ widthPx, heightPx }: SizePx, grain = 20): Promise<JpegStill> {
  const rgb = Buffer.alloc(widthPx * heightPx * 3);
  let state = 1;
  for (let i = 0; i < rgb.length; i += 1) {
    state = (state * 48_271) % 2_147_483_647;
    const x = Math.floor(i / 3) % widthPx;
    rgb[i] = Math.min(255, 60 + (120 * x) / widthPx + (60 * i) / rgb.length + (state % (grain + 1)));
  }
  const raw = { width: widthPx, height: heightPx, channels: 3 } as const;
  const jpeg = await sharp(rgb, { raw })
    .jpeg({ quality: 95 })
    .withExif({ IFD0: { Copyright: 'exif-of-the-camera' } })
    .toBuffer();
  return { ...stillFrom(jpeg, { widthPx, heightPx }), jpeg };
}

export function sealed(
  { jpeg, source }: Pick<JpegStill, 'jpeg' | 'source'>,
  recipients: readonly string[],
  masks: readonly MaskConfig[] = [],
): Promise<SealedEvidence> {
  return new Sealer(recipients).seal(stillFrom(jpeg, source, { masks }));
}

/** Program whose system calls can be traced: seals a JPEG of 320 × 240. */
if (process.argv[2] === 'seal') {
  const [, , , still = '', recipient = '', out] = process.argv;
  const { readFileSync } = await import('node:fs');
  const source = { widthPx: 320, heightPx: 240 };
  const { bytes } = await sealed({ source, jpeg: readFileSync(still) }, [recipient]);
  if (out !== undefined) writeFileSync(out, bytes);
  process.stdout.write(`${bytes.length}\n`);
}

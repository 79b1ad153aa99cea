/**
 * Makes and compares the digests by which an authorisation pins the keys of a camera's address, such as `token`. An
 * authorisation is not secret and such a key may be a credential, so the authorisation holds scrypt (RFC 7914) of it,
 * with a salt of its own.
 *
 * LIMITS: anyone who has the authorisation can guess a short value. One digest costs 32 MiB and a second of a
 * Raspberry Pi 4, once for each value and salt in a process.
 */
import { randomBytes, scryptSync } from 'node:crypto';
import type { Authorisation } from '../contract/authorisation.ts';
import {
  authorisedForm,
  type CameraSource,
  configuredStream,
  parseAuthorisedStream,
  shownAuthorised,
} from '../contract/camera-address.ts';
import { HIDDEN } from '../contract/camera-target.ts';

/** OWASP's least cost at 32 MiB. `maxmem` must exceed 128 × N × r bytes. */
const COST = { N: 32_768, r: 8, p: 3, maxmem: 48 * 1_048_576 } as const;
const SALT_BYTES = 16;
const DIGEST_BYTES = 32;
/** Digests kept in memory: those of a box's two streams under a few authorisations. */
const DIGESTS_MAX = 32;
const digests = new Map<string, string>();

/** Returns the text by which an authorisation pins `value`: `scrypt-<salt>-<digest>` in hex. */
function pinText(value: string, salt: string): string {
  const name = `${salt} ${value}`;
  const digest = digests.get(name) ?? scryptSync(value, salt, DIGEST_BYTES, COST).toString('hex');
  digests.delete(name);
  digests.set(name, digest);
  const [oldest = name] = digests.keys();
  if (digests.size > DIGESTS_MAX) digests.delete(oldest);
  return `scrypt-${salt}-${digest}`;
}

/** Returns a salt for the pins of one authorisation. */
export function newSalt(): string {
  return randomBytes(SALT_BYTES).toString('hex');
}

/** Returns the text by which an authorisation names the source. Empty if there is none or it cannot be parsed. */
export function authorisedAddress(source: string | undefined, salt = newSalt()): string {
  const stream = configuredStream(source);
  return stream === undefined ? '' : authorisedForm(stream, (value) => pinText(value, salt));
}

/** Reports whether the text of `authorisedAddress` names the configured stream. */
export function namesStream(text: string, stream: CameraSource | undefined): boolean {
  const namedStream = parseAuthorisedStream(text);
  if ('fault' in namedStream || namedStream.address !== stream?.address) return false;
  return namedStream.pins.every(({ value }, n) => {
    const [, salt = ''] = value.split('-');
    return pinText(stream.pins[n]?.value ?? '', salt) === value;
  });
}

/**
 * Reports whether the authorisation may name the stream of a copy of the configuration. A hidden key is not compared;
 * the box does that.
 */
export function mayNameCamera(
  authorisation: Pick<Authorisation, 'camera' | 'substream'>,
  stream: CameraSource | undefined,
): boolean {
  if (stream?.pins.every(({ value }) => value === HIDDEN) !== true) return namesCamera(authorisation, stream);
  const isNamed = (text: string | undefined): boolean =>
    text !== undefined && shownAuthorised(text) === stream.address;
  return isNamed(authorisation.camera) || isNamed(authorisation.substream);
}

/** Reports whether the authorisation allows analysis of the stream: as the camera's main stream or its second. */
export function namesCamera(
  { camera, substream }: Pick<Authorisation, 'camera' | 'substream'>,
  stream: CameraSource | undefined,
): boolean {
  return namesStream(camera, stream) || (substream !== undefined && namesStream(substream, stream));
}

/**
 * Determines the rules that an authorisation covers, and reads its file and the authority's key.
 *
 * INVARIANTS:
 * - Fails closed: an authorisation that is not positively valid is refused with the reason.
 * - A rule runs only if an entry names its kind, its zone or line and its purpose. Its place must lie inside the
 *   outline that the authorisation gives for it.
 * - Of several matching entries, the first counts.
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs';
import { AgentError, messageOf } from '../base/errors.ts';
import { AUTHORISATION_BYTES_MAX, type Authorisation } from '../contract/authorisation.ts';
import type { Config } from '../contract/config.ts';
import type { PointNorm } from '../contract/geometry.ts';
import type { RuleGrant } from '../contract/permit.ts';
import { covers } from '../contract/polygon.ts';
import type { RuleConfig } from '../contract/rule-config.ts';
import { keyIdOf, publicKeyOf } from '../orders/dsse.ts';

/** Group and others must not be able to change the key that the box obeys. */
const OTHERS_WRITE = 0o022;

export interface Coverage {
  readonly rule: string;
  /** Undefined if the rule does not run. */
  readonly grant: RuleGrant | undefined;
  /** Reason why the rule does not run. */
  readonly reason: string | undefined;
}

type DrawnPlaces = Pick<Config, 'zones' | 'lines'>;

/** Returns the coverage of each rule of the configuration. */
export function coverageOf(
  authorisation: Authorisation,
  config: DrawnPlaces & Pick<Config, 'rules'>,
): Coverage[] {
  return config.rules.map((rule) => {
    const entry = entryFor(authorisation, rule);
    const reason = typeof entry === 'string' ? entry : outlineProblem(authorisation, rule, config);
    if (typeof entry === 'string' || reason !== undefined) return { rule: rule.id, grant: undefined, reason };
    const { legalBasis, shadow = false } = entry;
    const validUntil = authorisation.notAfter;
    return { rule: rule.id, grant: { legalBasis, validUntil, shadow }, reason: undefined };
  });
}

/** True if the authorisation has an outline for a zone or line, and the place lies inside it. */
export function isOutlined(
  authorisation: Authorisation,
  list: keyof DrawnPlaces,
  id: string,
  places: DrawnPlaces,
): boolean {
  const outline = authorisation.outlines?.find((one) => one.id === id);
  const points = pointsOf(list, id, places);
  return outline !== undefined && points !== undefined && covers(outline.polygon, points);
}

/** Returns the entry that names the rule, or the reason why none does. */
function entryFor(
  { order, installation, rules }: Authorisation,
  rule: RuleConfig,
): Authorisation['rules'][number] | string {
  if (installation === true) return `${order} is an installation authorisation: no rule runs under it`;
  const place = placeOf(rule).id;
  const ofKind = rules.filter(({ kind }) => kind === rule.kind);
  const ofPlace = ofKind.filter(({ zones }) => zones === 'all' || zones.includes(place));
  const entry = ofPlace.find(({ purpose }) => purpose === rule.purpose);
  if (entry !== undefined) return entry;
  if (ofKind.length === 0) return `authorisation ${order} does not name ${rule.kind}`;
  if (ofPlace.length === 0) return `authorisation ${order} names ${rule.kind}, but not for ${place}`;
  const purposes = ofPlace.map(({ purpose }) => purpose).join(', ');
  return `authorisation ${order} names ${rule.kind} for ${place} with the purpose ${purposes}, not ${rule.purpose}`;
}

function outlineProblem({ order, outlines = [] }: Authorisation, rule: RuleConfig, places: DrawnPlaces) {
  const { list, id } = placeOf(rule);
  const outline = outlines.find((one) => one.id === id);
  if (outline === undefined) return undefined;
  const points = pointsOf(list, id, places) ?? [];
  if (points.length > 0 && covers(outline.polygon, points)) return undefined;
  const placeKind = list === 'zones' ? 'zone' : 'line';
  return `the ${placeKind} ${id} does not lie inside the outline that authorisation ${order} gives for it; draw it inside that outline`;
}

function placeOf(rule: RuleConfig): { readonly list: keyof DrawnPlaces; readonly id: string } {
  return 'zone' in rule ? { list: 'zones', id: rule.zone } : { list: 'lines', id: rule.line };
}

function pointsOf(
  list: keyof DrawnPlaces,
  id: string,
  { zones, lines }: DrawnPlaces,
): readonly PointNorm[] | undefined {
  if (list === 'zones') return zones.find((zone) => zone.id === id)?.polygon;
  const line = lines.find((one) => one.id === id);
  return line && [line.from, line.to];
}

/** Returns the keys whose signatures end a suspension, by keyid. */
export function resumeKeysOf({ resumeKeys }: Authorisation): ReadonlyMap<string, KeyObject> {
  const keys = resumeKeys.map(({ publicKey }) => publicKeyOf(publicKey));
  return new Map(keys.map((key) => [keyIdOf(key), key]));
}

/** Reads the authority's public key, PEM. Throws AgentError `config` in one line. */
export function readAuthorityKey(file: string): KeyObject {
  const pem = readFile(file, 'authorityKey', ({ mode }) => {
    if ((mode & OTHERS_WRITE) === 0) return;
    const octal = (mode & 0o777).toString(8).padStart(4, '0');
    throw new AgentError(
      'config',
      `authorityKey ${file} can be changed by others (mode ${octal}); chmod 0644`,
    );
  });
  let key: KeyObject;
  try {
    key = createPublicKey(pem);
  } catch {
    throw new AgentError('config', `authorityKey ${file} does not contain a public key in PEM form`);
  }
  if (key.asymmetricKeyType === 'ed25519' && !pem.includes('PRIVATE KEY')) return key;
  const problem = pem.includes('PRIVATE KEY')
    ? 'a private key, which belongs on no box'
    : 'not of type ed25519';
  throw new AgentError(
    'config',
    `authorityKey ${file} is ${problem}; \`vigie-oversight keygen\` makes a pair`,
  );
}

/**
 * Reads an authorisation file. `name`: the configuration key that names the file. `judge` checks the file that is
 * actually read, and throws if it must not be read. Throws AgentError `config` in one line.
 */
export function readAuthorisationFile(
  file: string,
  name: 'authorisation' | 'installation' = 'authorisation',
  validate?: (stat: Stats) => void,
): Buffer {
  const bytes = readFile(file, name, validate);
  if (bytes.length <= AUTHORISATION_BYTES_MAX) return bytes;
  const message = `${name} ${file}: more than ${AUTHORISATION_BYTES_MAX} bytes; not an authorisation`;
  throw new AgentError('config', message);
}

/** Reads one byte more than any of these files may have, which suffices to detect a wrong file. */
function readFile(file: string, subject: string, validate?: (stat: Stats) => void): Buffer {
  try {
    // A pipe would block on opening.
    const fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const stat = fstatSync(fd);
      if (!stat.isFile()) throw new AgentError('config', `${subject} ${file} is not a file`);
      validate?.(stat);
      const bytes = Buffer.alloc(AUTHORISATION_BYTES_MAX + 1);
      return bytes.subarray(0, readSync(fd, bytes));
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if (error instanceof AgentError) throw error;
    throw new AgentError('config', `${subject} ${file} cannot be read: ${messageOf(error)}`, error);
  }
}

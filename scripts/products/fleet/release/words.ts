/** Describes metadata to be signed in plain words: how it differs from the published metadata. */
import type { Key, Root, TargetFile, Targets } from '@tufjs/models';
import type { ReleaseKind } from '../../../../agent/contract/release.ts';
import { fingerprintOf, keyholderOf, keysOf, type RoleName } from './metadata.ts';
import { type Offered, offered } from './repository.ts';

/** Number of digits of a fingerprint that people compare by telephone: 128 bits. */
const FINGERPRINT_DIGITS = 32;

/** Names of the programs for people. */
export const PROGRAM_NAMES = {
  release: 'the agent',
  root: 'root’s program',
} as const satisfies Record<ReleaseKind, string>;

/** Names of the state that each program writes, whose version is signed. */
const FORM_NAMES = { release: 'state form', root: 'record form' } as const satisfies Record<
  ReleaseKind,
  string
>;

/** Returns a name such as "release 412 of the agent". */
export function releaseOf({ seq, what: kind }: Pick<Offered['custom'], 'seq' | 'what'>): string {
  return `release ${seq} of ${PROGRAM_NAMES[kind]}`;
}

/** Returns why a new release may not have its number; undefined if it may. */
export function numberProblem(
  release: Pick<Offered['custom'], 'seq' | 'what'>,
  usedSeqs: ReadonlySet<number>,
): string | undefined {
  const newest = Math.max(0, ...usedSeqs);
  if (usedSeqs.has(release.seq))
    return `${releaseOf(release)}: the number was published before; one is never given twice, of either program`;
  if (release.seq > newest) return undefined;
  return `${releaseOf(release)} is older than the newest, ${newest}; numbers grow over both programs`;
}

export function bytesText(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1_000_000 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}

export function releaseWords({ custom }: Offered, targets: Targets): string {
  const { what: kind, version, arch, boards, node, seqMin, stateWrites, stateReads, full, deltas } = custom;
  const size = (name: string): string => bytesText(targets.targets[name]?.length ?? 0);
  const small = Object.entries(deltas).map(([from, name]) => `${size(name)} from ${from}`);
  return [
    `${releaseOf(custom)}, version ${version}, ${arch}: boards ${boards.join(', ')}`,
    `node from ${node[0]}, below ${node[1]}`,
    `no way back below ${seqMin}`,
    `${FORM_NAMES[kind]} ${stateWrites}, reads ${stateReads[0]} to ${stateReads[1]}`,
    `${size(full)} in full${small.length === 0 ? '' : `, ${small.join(', ')}`}`,
  ].join('; ');
}

/** Returns a line for each release and file that is added, removed or changed. */
export function targetsWords(before: Targets | undefined, after: Targets): string[] {
  const [was, is] = [before === undefined ? [] : offered(before), offered(after)];
  const byPath = (all: readonly Offered[]) => new Map(all.map((one) => [one.target.path, one]));
  const [wasNamed, isNamed] = [byPath(was), byPath(is)];
  const ofReleases = new Set([...was, ...is].flatMap(filesOf));
  const lines = [
    ...is.filter(({ target }) => !wasNamed.has(target.path)).map((one) => `+ ${releaseWords(one, after)}`),
    ...was
      .filter(({ target }) => !isNamed.has(target.path))
      .map(
        ({ custom }) =>
          `- ${releaseOf(custom)}, version ${custom.version}, ${custom.arch} is offered no more`,
      ),
  ];
  const paths = new Set([...Object.keys(before?.targets ?? {}), ...Object.keys(after.targets)]);
  for (const path of paths) {
    const [old, now] = [before?.targets[path], after.targets[path]];
    if (old !== undefined && now !== undefined && !old.equals(now))
      lines.push(`! ${path} becomes another file`);
    else if (now !== undefined && !ofReleases.has(path)) lines.push(`! ${path} belongs to no release`);
  }
  return lines.length === 0 ? ['the same releases as before'] : lines;
}

/** Returns the target paths of a release: its manifest and its archives. */
export function filesOf({
  target,
  custom,
}: {
  readonly target: TargetFile;
  readonly custom: Offered['custom'];
}): string[] {
  const { full, deltas } = custom;
  return [target.path, full, ...Object.values(deltas)];
}

/** Returns the keyholders of each role; for the first root with fingerprints. */
export function rootWords(before: Root | undefined, after: Root): string[] {
  return Object.keys(after.roles).flatMap((role) => {
    const keys = keysOf(after, role as RoleName);
    const line = `${role}: ${after.roles[role]?.threshold} of ${keys.map(keyholderOf).join(', ')}`;
    return before === undefined ? [line, ...keys.map((key) => `  ${keyWords(key)}`)] : [line];
  });
}

/** Returns a line for each difference between two roots, including signed dates and the keys of all roles. */
export function rootDifferences(before: Root, after: Root): string[] {
  const roles = [...new Set([...Object.keys(before.roles), ...Object.keys(after.roles)])];
  const values = [
    ['spec_version', before.specVersion, after.specVersion],
    ['consistent_snapshot', before.consistentSnapshot, after.consistentSnapshot],
    ['expires', before.expires, after.expires],
  ] as const;
  return [
    ...roles.flatMap((role) => roleDifferences(role, before, after)),
    ...values.flatMap(([name, was, is]) => (was === is ? [] : [`${name}: ${is} instead of ${was}`])),
  ];
}

function roleDifferences(role: string, before: Root, after: Root): string[] {
  const [was, is] = [before.roles[role], after.roles[role]];
  if (was === undefined) return [`${role}: the role is added`];
  if (is === undefined) return [`${role}: the role is removed`];
  const byFingerprint = (root: Root) =>
    new Map(keysOf(root, role as RoleName).map((key) => [fingerprintOf(key), key]));
  const [old, now] = [byFingerprint(before), byFingerprint(after)];
  const added = [...now].flatMap(([id, key]) => (old.has(id) ? [] : [`${role}: + ${keyWords(key)}`]));
  const removed = [...old].flatMap(([id, key]) => (now.has(id) ? [] : [`${role}: - ${keyWords(key)}`]));
  const renamed = [...now].flatMap(([id, key]) => {
    const previous = old.get(id);
    return previous === undefined || keyholderOf(previous) === keyholderOf(key)
      ? []
      : [`${role}: the key of ${keyholderOf(previous)} is named ${keyholderOf(key)}`];
  });
  const threshold =
    was.threshold === is.threshold ? [] : [`${role}: ${is.threshold} must sign instead of ${was.threshold}`];
  return [...threshold, ...added, ...removed, ...renamed];
}

/** Returns keyholder and fingerprint in the form of keygen, for comparison by telephone. */
export const keyWords = (key: Key): string =>
  `${keyholderOf(key)}, fingerprint ${fingerprintOf(key).slice(0, FINGERPRINT_DIGITS)}`;

/** Returns a line such as "1 of 2 signatures (anna); one more of ben, chris". */
export function signatureWords(signers: readonly Key[], root: Root, role: RoleName): string {
  const { threshold = 0 } = root.roles[role] ?? {};
  const has = new Set(signers.map(({ keyID }) => keyID));
  const otherKeys = keysOf(root, role).filter(({ keyID }) => !has.has(keyID));
  const by = signers.length === 0 ? '' : ` (${signers.map(keyholderOf).join(', ')})`;
  const missing = threshold - signers.length;
  const missingText =
    missing <= 0 ? '; that is enough' : `; ${missing} more of ${otherKeys.map(keyholderOf).join(', ')}`;
  return `${signers.length} of ${threshold} signatures${by}${missingText}`;
}

/** What is to be signed, in plain words: how it differs from what is published. */
import type { Key, Root, TargetFile, Targets } from '@tufjs/models';
import { manifestPatchTarget } from '../../../../agent/contract/release.ts';
import { fingerprintOf, holderOf, keysOf, type RoleName } from './metadata.ts';
import { type Offered, offered } from './repository.ts';

export function bytesText(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1_000_000 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}

export function releaseWords({ custom }: Offered, targets: Targets): string {
  const { seq, version, arch, boards, node, seqMin, stateWrites, stateReads, full, deltas } = custom;
  const size = (name: string): string => bytesText(targets.targets[name]?.length ?? 0);
  const small = Object.entries(deltas).map(([from, name]) => `${size(name)} from ${from}`);
  return [
    `release ${seq}, version ${version}, ${arch}: boards ${boards.join(', ')}`,
    `node from ${node[0]}, below ${node[1]}`,
    `no way back below ${seqMin}`,
    `state form ${stateWrites}, reads ${stateReads[0]} to ${stateReads[1]}`,
    `${size(full)} whole${small.length === 0 ? '' : `, ${small.join(', ')}`}`,
  ].join('; ');
}

/** A line for each release and file that comes, goes, or is another than before. */
export function targetsWords(before: Targets | undefined, after: Targets): string[] {
  const [was, is] = [before === undefined ? [] : offered(before), offered(after)];
  const named = (all: readonly Offered[]) => new Map(all.map((one) => [one.target.path, one]));
  const [wasNamed, isNamed] = [named(was), named(is)];
  const ofReleases = new Set([...was, ...is].flatMap(filesOf));
  const lines = [
    ...is.filter(({ target }) => !wasNamed.has(target.path)).map((one) => `+ ${releaseWords(one, after)}`),
    ...was
      .filter(({ target }) => !isNamed.has(target.path))
      .map(
        ({ custom }) =>
          `- release ${custom.seq}, version ${custom.version}, ${custom.arch} is offered no more`,
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

/** Target paths: of its manifest, its archives, and the differences of its manifest. */
export function filesOf({
  target,
  custom,
}: {
  readonly target: TargetFile;
  readonly custom: Offered['custom'];
}): string[] {
  const { seq, version, arch, full, deltas } = custom;
  const patches = Object.keys(deltas).map((from) => manifestPatchTarget(Number(from), seq, version, arch));
  return [target.path, full, ...Object.values(deltas), ...patches];
}

/** Who holds which key, and who comes and goes. */
export function rootWords(before: Root | undefined, after: Root): string[] {
  return (['root', 'targets', 'snapshot', 'timestamp'] as const).flatMap((role) => {
    const { threshold = 0 } = after.roles[role] ?? {};
    const keys = keysOf(after, role);
    const were = new Map((before === undefined ? [] : keysOf(before, role)).map((key) => [key.keyID, key]));
    const line = `  ${role}: ${threshold} of ${keys.map(holderOf).join(', ')}`;
    if (before === undefined) return [line, ...keys.map((key) => `    ${keyWords(key)}`)];
    const [stay, gone] = [new Set(keys.map(({ keyID }) => keyID)), [...were.values()]];
    const formerly = before.roles[role]?.threshold ?? 0;
    return [
      line,
      ...(formerly === threshold ? [] : [`    ! ${formerly} had to sign until now`]),
      ...keys.filter(({ keyID }) => !were.has(keyID)).map((key) => `    + ${keyWords(key)}`),
      ...gone.filter(({ keyID }) => !stay.has(keyID)).map((key) => `    - ${keyWords(key)}`),
    ];
  });
}

/** With the fingerprint that keygen prints, so that holders can compare it by telephone. */
const keyWords = (key: Key): string => `${holderOf(key)}, fingerprint ${fingerprintOf(key).slice(0, 32)}`;

/** "1 of 2 signatures (anna); one more of ben, chris". */
export function signatureWords(signers: readonly Key[], root: Root, role: RoleName): string {
  const { threshold = 0 } = root.roles[role] ?? {};
  const has = new Set(signers.map(({ keyID }) => keyID));
  const others = keysOf(root, role).filter(({ keyID }) => !has.has(keyID));
  const by = signers.length === 0 ? '' : ` (${signers.map(holderOf).join(', ')})`;
  const missing = threshold - signers.length;
  const more = missing <= 0 ? '; that is enough' : `; ${missing} more of ${others.map(holderOf).join(', ')}`;
  return `${signers.length} of ${threshold} signatures${by}${more}`;
}

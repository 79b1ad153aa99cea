/**
 * File that travels between machines until enough keyholders have signed it. It contains the metadata to be signed and
 * the published metadata, so that a keyholder sees the difference on an offline machine.
 *
 * INVARIANT: no content of the file is trusted on its own. Its roots are followed from the keyholder's own root, as on a
 * box, and these roots must have signed its published metadata.
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { type Metadata, MetadataKind, type Root, Targets } from '@tufjs/models';
import { writeAtomically } from '../../../../agent/base/atomic-file.ts';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { jsonOf } from '../../../../agent/base/json.ts';
import {
  bytesOf,
  expiryProblem,
  isSigned,
  keyFor,
  keyholderOf,
  metadataOf,
  readMetadata,
  SPECIFICATION,
  signedBytes,
  signersOf,
  signWith,
} from './metadata.ts';
import type { Repository } from './repository.ts';
import { checkRoot, signedDigest } from './root-check.ts';
import { rootDifferences, rootWords, signatureWords, targetsWords } from './words.ts';

/** Maximum size, bytes; 50 roots and the releases of some years are below a megabyte. */
const FILE_BYTES_MAX = 8_388_608;

/**
 * Maximum number of skipped versions; each interrupted publication leaves one. A list with the highest possible number
 * would be the last that boxes accept.
 */
const VERSIONS_SKIPPED_MAX = 100;

const SigningForm = Type.Object(
  {
    form: Type.Literal('vigie-signing-1'),
    /** All published roots, from the first on. */
    roots: Type.Array(Type.Object({}, { additionalProperties: true })),
    /** The published targets; null before the first release. */
    published: Type.Union([Type.Object({}, { additionalProperties: true }), Type.Null()]),
    /** The metadata to be signed, with its present signatures. */
    metadata: Type.Object({}, { additionalProperties: true }),
    /** Unverified note by the maker, for people. */
    note: Type.String({ maxLength: 500 }),
  },
  { additionalProperties: false },
);

export interface SigningFile {
  readonly roots: readonly Metadata<Root>[];
  readonly published: Metadata<Targets> | undefined;
  readonly metadata: Metadata<Root> | Metadata<Targets>;
  readonly note: string;
}

export const isOfRoot = (metadata: SigningFile['metadata']): metadata is Metadata<Root> =>
  metadata.signed.type === MetadataKind.Root;

export function signingFileOf(
  repository: Repository,
  metadata: SigningFile['metadata'],
  note = '',
): SigningFile {
  return { roots: repository.roots(), published: repository.targets(), metadata, note };
}

export function writeSigningFile(file: string, { roots, published, metadata, note }: SigningFile): void {
  const content: Static<typeof SigningForm> = {
    form: 'vigie-signing-1',
    roots: roots.map((root) => root.toJSON()),
    published: published?.toJSON() ?? null,
    metadata: metadata.toJSON(),
    note,
  };
  writeAtomically(file, `${JSON.stringify(content, null, 1)}\n`, 0o644);
}

/** Reads and checks the form only. Throws AgentError `config`, one line. */
export function readSigningFile(file: string): SigningFile {
  let text: string;
  try {
    if (statSync(file).size > FILE_BYTES_MAX) throw new Error(`more than ${FILE_BYTES_MAX} bytes`);
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new AgentError('config', `${file}: cannot be read (${messageOf(error)})`, error);
  }
  const value = jsonOf(text);
  if (!Value.Check(SigningForm, value)) {
    throw new AgentError(
      'config',
      `${file}: not a file for signing (from \`fleet release make\`, \`fleet root rotate\`…)`,
    );
  }
  const { _type } = Object((value.metadata as { signed?: unknown }).signed) as { _type?: unknown };
  return {
    roots: value.roots.map((root) => metadataOf('root', root, file)),
    published: value.published === null ? undefined : metadataOf('targets', value.published, file),
    metadata: metadataOf(_type === 'root' ? 'root' : 'targets', value.metadata, file),
    note: value.note,
  };
}

/** Checks that each root is signed by the previous one and by its own keys. Throws AgentError `corrupt`. */
export function checkChain(roots: readonly Metadata<Root>[], place: string): void {
  for (const [at, root] of roots.entries()) {
    const before = roots[at - 1] ?? root;
    const follows = root.signed.version === before.signed.version + (at === 0 ? 0 : 1);
    if (follows && isSigned(root, before.signed, 'root') && isSigned(root, root.signed, 'root')) continue;
    throw new AgentError(
      'corrupt',
      `${place}: root ${root.signed.version} is not signed by the keys that must sign it`,
    );
  }
}

/**
 * Checks the origin of a signing file; called before each signature and publication.
 *
 * @throws AgentError denied: its base does not belong to this fleet or is out of date, or this fleet's commands would
 * not make its proposal
 */
export function checkOrigin(
  content: SigningFile,
  file: string,
  trusted: Metadata<Root> | undefined,
  nowMs: number,
): void {
  const { roots, metadata } = content;
  const newest = roots.at(-1);
  if (trusted !== undefined) {
    const { version } = trusted.signed;
    if (newest !== undefined && newest.signed.version < version) {
      throw new AgentError(
        'denied',
        `${file}: is stale: made with root ${newest.signed.version}, and root ${version} is the fleet's; make it again`,
      );
    }
    const same = roots[version - 1];
    if (same === undefined || !bytesOf(same).equals(bytesOf(trusted))) {
      throw new AgentError('denied', `${file}: is of another fleet: its root ${version} is not yours`);
    }
    checkChain(roots.slice(version - 1), file);
  }
  const before = isOfRoot(metadata)
    ? (newest?.signed.version ?? 0)
    : (believed(content)?.signed.version ?? 0);
  if (metadata.signed.version <= before) {
    throw new AgentError(
      'denied',
      `${file}: is stale: ${metadata.signed.type} ${before} is published, and this is ${metadata.signed.version}`,
    );
  }
  if (isOfRoot(metadata)) checkRoot(metadata.signed, { previous: newest?.signed, nowMs, place: file });
  else checkTargets(metadata.signed, believed(content) ?? content.published, nowMs, file);
}

/** Throws AgentError `denied`, one line, for a list that no command of `fleet release` would make. */
function checkTargets(
  targets: Targets,
  published: Metadata<Targets> | undefined,
  nowMs: number,
  place: string,
): void {
  const problem =
    targetsVersionProblem(targets, published) ??
    expiryProblem('targets', targets.expires, nowMs) ??
    targetsFormProblem(targets);
  if (problem !== undefined) throw new AgentError('denied', `${place}: ${problem}`);
}

function targetsVersionProblem(
  targets: Targets,
  published: Metadata<Targets> | undefined,
): string | undefined {
  const versionMax = (published?.signed.version ?? 0) + 1 + VERSIONS_SKIPPED_MAX;
  if (!Number.isSafeInteger(targets.version) || targets.version > versionMax)
    return `is targets ${targets.version}; the highest number that is accepted now is ${versionMax}; make it again`;
  return undefined;
}

/** Refuses delegations and unknown fields: they are not shown, so no one may sign them. */
function targetsFormProblem(targets: Targets): string | undefined {
  if (targets.delegations !== undefined)
    return 'gives releases to another role (delegations); there must be none';
  const { version, expires } = targets;
  const canonical = new Targets({ specVersion: SPECIFICATION, version, expires, targets: targets.targets });
  return signedBytes(canonical).equals(signedBytes(targets))
    ? undefined
    : 'holds fields that `fleet release` does not make';
}

/** Throws AgentError `denied` if the repository has changed since, or is another one. */
export function checkAgainst(repository: Repository, content: SigningFile, file: string): void {
  const { metadata, roots, published } = content;
  const now = repository.roots();
  if (
    now.length > 0 &&
    roots.length > 0 &&
    !bytesOf(now[0] as Metadata<Root>).equals(bytesOf(roots[0] as Metadata<Root>))
  ) {
    throw new AgentError('denied', `${file}: is of another fleet than ${repository.dir}`);
  }
  if (roots.length !== now.length) {
    throw new AgentError(
      'denied',
      `${file}: is stale: made when root ${roots.length} was published, and now it is root ${now.length}; make it again`,
    );
  }
  const [then, newest] = [published?.signed.version ?? 0, repository.targets()?.signed.version ?? 0];
  if (!isOfRoot(metadata) && then !== newest) {
    throw new AgentError(
      'denied',
      `${file}: is stale: made when targets ${then} were published, and now they are ${newest}; make it again`,
    );
  }
}

/** Reads the keyholder's trusted root, beside the key. Without one only a first root can be signed. */
export function trustedRoot(keyFile: string, rootFile: string | undefined): Metadata<Root> | undefined {
  const file = rootFile ?? join(dirname(keyFile), 'root.json');
  if (!existsSync(file)) {
    if (rootFile !== undefined) throw new AgentError('config', `--root ${file}: is not there`);
    return undefined;
  }
  const root = readMetadata('root', readFileSync(file), file);
  checkChain([root], file);
  return root;
}

/** Returns the published targets if the keys of the newest root have signed them; else undefined, without a comparison. */
function believed({ roots, published }: SigningFile): Metadata<Targets> | undefined {
  const newest = roots.at(-1);
  if (newest === undefined || published === undefined) return undefined;
  return isSigned(published, newest.signed, 'targets') ? published : undefined;
}

/** Returns the lines that a person must read before signing. */
export function describe(content: SigningFile): string[] {
  const { metadata, roots, note } = content;
  const published = believed(content);
  const newest = roots.at(-1)?.signed;
  const { version, expires } = metadata.signed;
  const expiryText = `good until ${expires}`;
  const lines = isOfRoot(metadata)
    ? [
        `Root ${version}, ${newest === undefined ? 'the first' : `after root ${newest.version}`}; ${expiryText}`,
        ...rootWords(newest, metadata.signed).map((line) => `  ${line}`),
        ...differences(content).map((line) => `  difference: ${line}`),
        `  SHA-256 of this root: ${signedDigest(metadata)}`,
      ]
    : [
        `Releases: targets ${version}, after ${published === undefined ? 'none that the newest root’s keyholders have signed' : `targets ${published.signed.version}`}; ${expiryText}`,
        ...targetsWords(published?.signed, metadata.signed).map((line) => `  ${line}`),
      ];
  return [
    ...lines,
    ...(note === '' ? [] : [`  note of its maker: ${note}`]),
    ...progress({ metadata, roots }),
  ];
}

/**
 * Returns the differences of a proposed root from the newest published one; empty for the first root, which is entirely
 * new.
 */
export function differences({ metadata, roots }: Pick<SigningFile, 'metadata' | 'roots'>): string[] {
  const newest = roots.at(-1)?.signed;
  return newest === undefined || !isOfRoot(metadata) ? [] : rootDifferences(newest, metadata.signed);
}

function progress(content: Pick<SigningFile, 'metadata' | 'roots'>): string[] {
  const { metadata, roots } = content;
  const role = roleOf(metadata);
  const [first, own] = verifyingRoots(content).map((root) =>
    signatureWords(signersOf(metadata, root, role), root, role),
  );
  if (first === undefined) return [];
  if (own === undefined) return [first];
  return [`by root ${roots.at(-1)?.signed.version}: ${first}`, `by the new root: ${own}`];
}

export const roleOf = (metadata: SigningFile['metadata']): 'root' | 'targets' =>
  isOfRoot(metadata) ? 'root' : 'targets';

/** Returns the roots whose keys must sign it: the newest published one, and for a root its own. */
export function verifyingRoots({ metadata, roots }: Pick<SigningFile, 'metadata' | 'roots'>): Root[] {
  const newest = roots.at(-1)?.signed;
  return [...(newest === undefined ? [] : [newest]), ...(isOfRoot(metadata) ? [metadata.signed] : [])];
}

/** Reports whether it can be published. */
export function isComplete(content: SigningFile): boolean {
  const { metadata } = content;
  const all = verifyingRoots(content);
  return all.length > 0 && all.every((root) => isSigned(metadata, root, roleOf(metadata)));
}

/** Adds a signature; returns the keyholder's name. Throws AgentError `denied` if the key may not sign this. */
export function addSignature(content: SigningFile, key: KeyObject): string {
  const { metadata } = content;
  const role = roleOf(metadata);
  const all = verifyingRoots(content);
  const publicKey = createPublicKey(key);
  const roleKey = all.map((root) => keyFor(root, role, publicKey)).find((one) => one !== undefined);
  if (roleKey === undefined) {
    throw new AgentError('denied', `--key: may not sign ${role}: not a key of this fleet's ${role} role`);
  }
  if (all.some((root) => signersOf(metadata, root, role).some(({ keyID }) => keyID === roleKey.keyID))) {
    throw new AgentError('denied', `--key: ${keyholderOf(roleKey)} has signed this already`);
  }
  signWith(metadata, key, roleKey.keyID);
  return keyholderOf(roleKey);
}

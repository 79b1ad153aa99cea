/**
 * Release of the agent or of root's program: a folder in which every file is identified by its hash. Defines the signed
 * metadata (TUF targets, https://theupdateframework.github.io/specification/latest/) and the content. Root's program on
 * the box reads it; the release tools write it.
 */
import { type Static, Type } from '@sinclair/typebox';

const strict = { additionalProperties: false } as const;
const Seq = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
const Version = Type.String({ pattern: '^\\d{1,5}\\.\\d{1,5}\\.\\d{1,5}$' });
const NodeVersion = Type.String({ pattern: '^\\d{1,3}\\.\\d{1,3}\\.\\d{1,3}$' });
const Path = Type.String({ pattern: '^[A-Za-z0-9._-]{1,128}$' });

export const ARCHES = ['amd64', 'arm64'] as const;
export const Arch = Type.Union(ARCHES.map((arch) => Type.Literal(arch)));
export type Arch = Static<typeof Arch>;

/** Boards that the updater distinguishes (agent/base/board.ts). `generic`: any other board of its architecture. */
export const BOARDS = ['rpi4', 'rpi5', 'jetson', 'rk3588', 'pc', 'generic'] as const;
export const Board = Type.Union(BOARDS.map((board) => Type.Literal(board)));
export type Board = Static<typeof Board>;

/**
 * Form of the agent's data in its state folder. A release writes one form and reads a range of them. It is increased
 * for a change that the previous release cannot read; a rollback is then impossible.
 */
export const STATE_FORM = { writes: 1, reads: [1, 1] } as const;

/** Form of the record of root's program, in the same terms as STATE_FORM. */
export const RECORD_FORM = { writes: 1, reads: [1, 1] } as const;

/**
 * Programs of a box that are delivered as releases: the agent with its parts, and root's program. Also kinds of a
 * change.
 */
export const RELEASE_KINDS = ['release', 'root'] as const;
export const ReleaseKind = Type.Union(RELEASE_KINDS.map((kind) => Type.Literal(kind)));
export type ReleaseKind = Static<typeof ReleaseKind>;

/** File in each release, beside its folders, that identifies it. */
export const VERSION_FILE = 'VERSION';
/** List of every other file of the release: mtree(5), see scripts/lib/manifest.ts. */
export const MANIFEST_FILE = 'MANIFEST';

/** Content of VERSION_FILE, JSON. */
export const ReleaseVersion = Type.Object(
  {
    what: ReleaseKind,
    /** Grows with each release of either kind. A box never installs a lower one automatically. */
    seq: Seq,
    version: Version,
    /** Absent: for every architecture. */
    arch: Type.Optional(Arch),
    stateWrites: Type.Integer({ minimum: 1 }),
    stateReads: Type.Tuple([Type.Integer({ minimum: 1 }), Type.Integer({ minimum: 1 })]),
  },
  strict,
);
export type ReleaseVersion = Static<typeof ReleaseVersion>;

/** `custom` of the TUF target that is a release's MANIFEST. Other targets (the archives) have none. */
export const ReleaseTarget = Type.Object(
  {
    what: ReleaseKind,
    seq: Seq,
    version: Version,
    arch: Arch,
    boards: Type.Array(Board, { minItems: 1, maxItems: BOARDS.length, uniqueItems: true }),
    /** Lowest accepted version of Node, and the first one that is too new. */
    node: Type.Tuple([NodeVersion, NodeVersion]),
    /** Rollback to releases below it is forbidden. */
    seqMin: Seq,
    stateWrites: Type.Integer({ minimum: 1 }),
    stateReads: Type.Tuple([Type.Integer({ minimum: 1 }), Type.Integer({ minimum: 1 })]),
    /** Target path of the complete release, tar and zstd. */
    full: Path,
    /**
     * Target path of the MANIFEST and of the files changed since that seq, as complete files in this order; tar, and
     * zstd with that release's MANIFEST as dictionary.
     */
    deltas: Type.Record(Type.String({ pattern: '^[1-9]\\d{0,15}$' }), Path, { additionalProperties: false }),
    /** Total size of all files of the release, in bytes. */
    installedBytes: Type.Integer({ minimum: 1 }),
  },
  strict,
);
export type ReleaseTarget = Static<typeof ReleaseTarget>;

/** Returns the name of a folder below `releases/`. */
export function releaseName(seq: number, version: string): string {
  return `${seq}-${version}`;
}

/** Release for one architecture, from which its file names are derived. */
export interface ReleaseId {
  readonly what: ReleaseKind;
  readonly seq: number;
  readonly version: string;
  readonly arch: Arch;
}

const PREFIXES: Readonly<Record<ReleaseKind, string>> = { release: 'vigie', root: 'vigie-root' };

function pathOf({ what, seq, version, arch }: ReleaseId): string {
  return `${PREFIXES[what]}-${releaseName(seq, version)}-${arch}`;
}

/** Returns the target path of a release's MANIFEST. */
export const manifestTarget = (release: ReleaseId): string => `${pathOf(release)}.manifest`;

export const fullTarget = (release: ReleaseId): string => `${pathOf(release)}.full.tar.zst`;

export const deltaTarget = (fromSeq: number, release: ReleaseId): string =>
  `${pathOf(release)}.from-${fromSeq}.tar.zst`;

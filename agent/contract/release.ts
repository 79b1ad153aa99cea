/**
 * A release, of the agent or of root's program: a folder in which every file is known by its hash. What is signed of it (TUF
 * targets, https://theupdateframework.github.io/specification/latest/) and what lies in it. Read by root's program on the
 * box, and written by whoever makes one.
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

/** Boards that the updater tells apart (agent/base/board.ts); `generic`: any other of its architecture. */
export const BOARDS = ['rpi4', 'rpi5', 'jetson', 'rk3588', 'pc', 'generic'] as const;
export const Board = Type.Union(BOARDS.map((board) => Type.Literal(board)));
export type Board = Static<typeof Board>;

/**
 * The form of what the agent keeps in its state folder. A release writes one form and reads a span of them; it is put up
 * for a change that the release before cannot read, and then there is no way back to that.
 */
export const STATE_FORM = { writes: 1, reads: [1, 1] } as const;

/** The form of the record of root's program, as STATE_FORM is of the agent's. */
export const RECORD_FORM = { writes: 1, reads: [1, 1] } as const;

/** Programs of a box that come as releases: the agent with all that is its own, and root's program. Kinds of a change, too. */
export const RELEASE_KINDS = ['release', 'root'] as const;
export const ReleaseKind = Type.Union(RELEASE_KINDS.map((kind) => Type.Literal(kind)));
export type ReleaseKind = Static<typeof ReleaseKind>;

/** In each release, beside its folders: which one it is. */
export const VERSION_FILE = 'VERSION';
/** Every other file of it: mtree(5), see scripts/lib/manifest.ts. */
export const MANIFEST_FILE = 'MANIFEST';

/** Content of VERSION_FILE, JSON. */
export const ReleaseVersion = Type.Object(
  {
    what: ReleaseKind,
    /** Grows with each release of either kind; a box never goes to a lower one by itself. */
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
    /** At least, and below. */
    node: Type.Tuple([NodeVersion, NodeVersion]),
    /** Releases below it must not be gone back to. */
    seqMin: Seq,
    stateWrites: Type.Integer({ minimum: 1 }),
    stateReads: Type.Tuple([Type.Integer({ minimum: 1 }), Type.Integer({ minimum: 1 })]),
    /** Target path of the whole release, tar and zstd. */
    full: Path,
    /** Target path of what has changed since that seq, whole files; tar and zstd. */
    deltas: Type.Record(Type.String({ pattern: '^[1-9]\\d{0,15}$' }), Path, { additionalProperties: false }),
    /** Bytes of all files of the release. */
    installedBytes: Type.Integer({ minimum: 1 }),
  },
  strict,
);
export type ReleaseTarget = Static<typeof ReleaseTarget>;

/** Of a folder below `releases/`. */
export function releaseName(seq: number, version: string): string {
  return `${seq}-${version}`;
}

/** A release for one architecture: what its files are named by. */
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

/** Target path of a release's MANIFEST. */
export const manifestTarget = (release: ReleaseId): string => `${pathOf(release)}.manifest`;

export const fullTarget = (release: ReleaseId): string => `${pathOf(release)}.full.tar.zst`;

export const deltaTarget = (fromSeq: number, release: ReleaseId): string =>
  `${pathOf(release)}.from-${fromSeq}.tar.zst`;

/** The MANIFEST of a release as the difference from that of another, for `zstd --patch-from`. Beside each delta. */
export const manifestPatchTarget = (fromSeq: number, release: ReleaseId): string =>
  `${pathOf(release)}.from-${fromSeq}.manifest.zst`;

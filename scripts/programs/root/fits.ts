/** Whether a release is one for this box, as it is now. */
import type { Arch, Board, ReleaseKind, ReleaseTarget } from '../../../agent/contract/release.ts';

/** What a box says of itself. */
export interface BoxFacts {
  readonly board: Board;
  readonly arch: Arch;
  /** As `process.version` says it. */
  readonly node: string;
  /** Of the release that runs. */
  readonly seq: number;
  /** Form of the state that the running release writes. */
  readonly stateWrites: number;
  /** On the disk of releases, for root. */
  readonly freeBytes: number;
  /** What is to be fetched and written: the archive, and the files that are new. */
  readonly neededBytes: number;
}

/** What a release is called. */
export const TITLES: Readonly<Record<ReleaseKind, string>> = { release: 'release', root: 'root’s program' };
/** While both are there, the agent's journal and outbox go on growing. */
const SPACE_FACTOR = 2;

/** One line why this box does not take it, undefined where it does. */
export function misfit(custom: ReleaseTarget, box: BoxFacts): string | undefined {
  const { what, seq, version, arch, boards, node, stateReads } = custom;
  const [least, below] = node;
  const [oldest, newest] = stateReads;
  const name = `${TITLES[what]} ${seq}-${version}`;
  if (arch !== box.arch) return `${name} is for ${arch}, this box is ${box.arch}`;
  if (!boards.includes(box.board)) return `${name} is for ${boards.join(', ')}, this box is ${box.board}`;
  if (seq <= box.seq)
    return `${name} is not newer than ${box.seq}, which runs; a box goes to newer ones only`;
  if (compare(box.node, least) < 0 || compare(box.node, below) >= 0)
    return `${name} needs node from ${least} to below ${below}, this box has ${box.node.replace(/^v/, '')}`;
  if (box.stateWrites < oldest || box.stateWrites > newest)
    return `${name} reads state of form ${oldest} to ${newest}, the one that runs writes ${box.stateWrites}`;
  const wanted = SPACE_FACTOR * box.neededBytes;
  if (!(box.freeBytes >= wanted))
    return `${name} needs ${mib(wanted)} MiB free on the disk (twice what it brings), there are ${mib(box.freeBytes)}`;
  return undefined;
}

/** Of versions of three numbers; negative where the first is the older one. What has no number is older than all. */
function compare(one: string, other: string): number {
  const [a, b] = [one, other].map((text) => text.replace(/^v/, '').split('.').map(Number));
  for (let i = 0; i < 3; i += 1) {
    const by = (a?.[i] ?? -1) - (b?.[i] ?? -1);
    if (Number.isNaN(by)) return -1;
    if (by !== 0) return by;
  }
  return 0;
}

function mib(bytes: number): string {
  return (bytes / 1_048_576).toFixed(1);
}

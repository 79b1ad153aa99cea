/** Decides whether a release suits this box in its present state. */
import type { Arch, Board, ReleaseKind, ReleaseTarget } from '../../../agent/contract/release.ts';
import type { Forms } from './releases.ts';

/** Facts about the box that a release is checked against. */
export interface BoxFacts {
  readonly board: Board;
  readonly arch: Arch;
  /** Version of Node, in the form of `process.version`. */
  readonly node: string;
  /** Sequence number of the running release. */
  readonly seq: number;
  /** Forms of the running release; undefined if there is none, or if they are unknown. */
  readonly forms: Forms | undefined;
  /** Free bytes for root on the disk of releases. */
  readonly freeBytes: number;
  /** Number of bytes to download and write: the archive, and the new files. */
  readonly neededBytes: number;
}

/** Names of the two release kinds in messages. */
export const TITLES: Readonly<Record<ReleaseKind, string>> = { release: 'release', root: 'root’s program' };
/** Multiple of the needed space that must be free, because the agent's journal and outbox grow meanwhile. */
const SPACE_FACTOR = 2;

/** Returns one line why this box refuses the release; undefined if it accepts it. */
export function misfit(custom: ReleaseTarget, box: BoxFacts): string | undefined {
  const { what: kind, seq, version, arch, boards, node } = custom;
  const [least, nodeLimit] = node;
  const name = `${TITLES[kind]} ${seq}-${version}`;
  if (arch !== box.arch) return `${name} is for ${arch}, this box is ${box.arch}`;
  if (!boards.includes(box.board)) return `${name} is for ${boards.join(', ')}, this box is ${box.board}`;
  if (seq <= box.seq)
    return `${name} is not newer than ${box.seq}, which runs; a box goes to newer ones only`;
  if (compare(box.node, least) < 0 || compare(box.node, nodeLimit) >= 0)
    return `${name} needs node from ${least} to below ${nodeLimit}, this box has ${box.node.replace(/^v/, '')}`;
  const problem = box.forms && formsProblem(custom, box.forms);
  if (problem !== undefined) return `${name} ${problem}`;
  const spaceBytes = SPACE_FACTOR * box.neededBytes;
  if (!(box.freeBytes >= spaceBytes))
    return `${name} needs ${mib(spaceBytes)} MiB free on the disk (twice what it brings), there are ${mib(box.freeBytes)}`;
  return undefined;
}

/**
 * Returns why `next` cannot follow the running release: it does not read its state, or could not be judged by it. The
 * running root’s program rolls back a failed one, from the record that the failed one has written.
 */
export function formsProblem(
  next: Pick<ReleaseTarget, 'what' | keyof Forms>,
  running: Forms,
): string | undefined {
  if (!isWithin(running.stateWrites, next.stateReads))
    return `reads state of form ${next.stateReads.join(' to ')}, the one that runs writes ${running.stateWrites}`;
  if (next.what !== 'root' || isWithin(next.stateWrites, running.stateReads)) return undefined;
  return `writes a record of form ${next.stateWrites}, the one that runs reads ${running.stateReads.join(' to ')}; install one that reads both first`;
}

const isWithin = (form: number, [oldest, newest]: Forms['stateReads']): boolean =>
  form >= oldest && form <= newest;

/** Compares versions of three numbers; negative if the first is older. A version without numbers is older than all. */
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

/** Chooses the boxes that would accept a release, from their last reports, and how many bytes each would download. */
import type { TargetFile, Targets } from '@tufjs/models';
import { AgentError } from '../../../../agent/base/errors.ts';
import { type ReleaseKind, type ReleaseTarget, releaseName } from '../../../../agent/contract/release.ts';
import type { UpdateReport } from '../../../../agent/contract/update.ts';
import { misfit } from '../../root/fits.ts';
import { offered } from '../release/repository.ts';
import { PROGRAM_NAMES } from '../release/words.ts';
import type { BoxRow } from '../store.ts';
import type { RolloutBoxSpec } from './create.ts';

/** Ratio of unpacked to archived size: zstd compresses code to a third, and models less. */
const UNPACKED = 3;

/** The requested release, as a person names it. */
export interface ReleaseRequest {
  /**
   * A sequence number, which belongs to one release of either program, or a version. Of several with one version, the
   * newest counts.
   */
  readonly name: string;
  /** True for vigie-root; else a version means the agent's. */
  readonly isRoot?: boolean;
}

export interface Choice {
  readonly kind: ReleaseKind;
  readonly seq: number;
  readonly version: string;
  readonly takes: readonly RolloutBoxSpec[];
  /** Boxes that run it already. */
  readonly upToDate: readonly BoxRow[];
  readonly leftOut: readonly { readonly box: BoxRow; readonly reason: string }[];
}

/** Chooses the boxes. Throws AgentError `config` if the release is not offered. */
export function chooseBoxes(targets: Targets, request: ReleaseRequest, boxes: readonly BoxRow[]): Choice {
  const all = offered(targets).map(({ custom }) => custom);
  const target = chosenOf(all, request);
  const { what: kind, seq } = target;
  const releases = all.filter((custom) => custom.seq === seq);
  const takes: RolloutBoxSpec[] = [];
  const upToDate: BoxRow[] = [];
  const leftOut: { box: BoxRow; reason: string }[] = [];
  for (const box of boxes) {
    const candidate = candidateOf(box, releases, request.name);
    if (typeof candidate === 'string') leftOut.push({ box, reason: candidate });
    else if (RUNNING[kind](candidate.updater)?.seq === seq) upToDate.push(box);
    else {
      const spec = specOf(box, candidate, targets.targets, all);
      if (typeof spec === 'object') takes.push(spec);
      else leftOut.push({ box, reason: spec });
    }
  }
  return { kind, seq, version: target.version, takes, upToDate, leftOut };
}

function chosenOf(all: readonly ReleaseTarget[], { name, isRoot = false }: ReleaseRequest): ReleaseTarget {
  const kind: ReleaseKind = isRoot ? 'root' : 'release';
  const numbered = all.find(({ seq }) => String(seq) === name);
  if (numbered !== undefined && (numbered.what === 'root' || !isRoot)) return numbered;
  if (numbered !== undefined)
    throw new AgentError(
      'config',
      `--root: release ${name} is one of ${PROGRAM_NAMES[numbered.what]}; leave --root out`,
    );
  const match = all.find(({ what, version }) => what === kind && version === name);
  if (match !== undefined) return match;
  const other = all.find(({ version }) => version === name);
  if (other !== undefined)
    throw new AgentError(
      'config',
      `release ${name} of ${PROGRAM_NAMES[kind]} is not published, and release ${other.seq} of ${PROGRAM_NAMES[other.what]} has that version; ${isRoot ? 'leave --root out' : 'give --root'} if that one is meant`,
    );
  const candidates = all.filter(({ what }) => what === kind);
  const names = [...new Set(candidates.map(({ seq, version }) => releaseName(seq, version)))].slice(0, 5);
  throw new AgentError(
    'config',
    `release ${name} of ${PROGRAM_NAMES[kind]} is not published; published are ${names.join(', ') || 'none'}`,
  );
}

type Updater = NonNullable<UpdateReport['updater']>;

/** Returns the release of each program that a box runs. */
const RUNNING: Readonly<Record<ReleaseKind, (updater: Updater) => Updater['release']>> = {
  release: ({ release }) => release,
  root: ({ root }) => root.release,
};

/** A box's updater, and the release for its architecture. */
interface Candidate {
  readonly updater: Updater;
  readonly custom: ReleaseTarget;
}

/** Returns one line for a box that cannot have the release in any state. */
function candidateOf(
  { report, other, revoked_at: revoked }: BoxRow,
  releases: readonly ReleaseTarget[],
  version: string,
): Candidate | string {
  if (revoked !== null) return 'it is revoked';
  if (report === undefined) return 'it has not reported';
  if (other !== null) return 'it reports with another key than before (fleet box BOX)';
  const { updater } = report;
  if (updater === null) return 'it has no updater (package vigie-root)';
  const custom = releases.find(({ arch }) => arch === updater.arch);
  return custom === undefined ? `${version} is not there for ${updater.arch}` : { updater, custom };
}

/** Returns the box with its download, or one line why it refuses the release. */
function specOf(
  { site, box }: BoxRow,
  { updater, custom }: Candidate,
  targets: Record<string, TargetFile>,
  all: readonly ReleaseTarget[],
): RolloutBoxSpec | string {
  const { board, arch, node, freeBytes } = updater;
  const { what: kind } = custom;
  const release = RUNNING[kind](updater);
  if (release === null && kind === 'root')
    return 'its root’s program is of a package without releases; install the package vigie-root of today there';
  const seq = release?.seq ?? 0;
  const delta = custom.deltas[seq];
  const way = delta === undefined ? 'full' : 'delta';
  const bytes = targets[delta ?? custom.full]?.length ?? 0;
  const running = all.find((other) => other.what === kind && other.seq === seq && other.arch === arch);
  const reason = misfit(custom, {
    board,
    arch,
    node,
    seq,
    // The forms of a release that is no longer offered are known only to the box, which checks them again.
    forms: running,
    freeBytes,
    neededBytes: way === 'full' ? bytes + custom.installedBytes : bytes * (1 + UNPACKED),
  });
  return (
    reason ?? {
      site,
      box,
      board,
      fields: { what: kind, seq: custom.seq, version: custom.version },
      bytes,
      way,
    }
  );
}

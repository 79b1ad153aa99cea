/** Which boxes would take a release, by what they have reported last, and what each would load. */
import type { TargetFile, Targets } from '@tufjs/models';
import { AgentError } from '../../../../agent/base/errors.ts';
import type { ReleaseTarget } from '../../../../agent/contract/release.ts';
import type { UpdateReport } from '../../../../agent/contract/update.ts';
import { misfit } from '../../root/fits.ts';
import { offered } from '../release/repository.ts';
import type { BoxRow } from '../store.ts';
import type { RolloutBoxSpec } from './create.ts';

/** Files of an archive, unpacked: zstd makes a third of code, and less of a model. */
const UNPACKED = 3;

export interface Choice {
  readonly seq: number;
  readonly version: string;
  readonly takes: readonly RolloutBoxSpec[];
  /** They run it already. */
  readonly there: readonly BoxRow[];
  readonly left: readonly { readonly box: BoxRow; readonly why: string }[];
}

/** `version` may be a seq. Throws AgentError `config` where it is not offered. */
export function chooseBoxes(targets: Targets, version: string, boxes: readonly BoxRow[]): Choice {
  const all = offered(targets).map(({ custom }) => custom);
  // Of several with one version the newest.
  const chosen = all.find((custom) => custom.version === version || String(custom.seq) === version);
  if (chosen === undefined) {
    const known = [...new Set(all.map((custom) => custom.version))].slice(0, 5).join(', ');
    throw new AgentError('config', `release ${version} is not published; published are ${known || 'none'}`);
  }
  const { seq } = chosen;
  const releases = all.filter((custom) => custom.seq === seq);
  const takes: RolloutBoxSpec[] = [];
  const there: BoxRow[] = [];
  const left: { box: BoxRow; why: string }[] = [];
  for (const box of boxes) {
    const { report } = box;
    const why = whyNot(box, releases, version);
    if (report?.updater?.release?.seq === seq && why === undefined) there.push(box);
    else if (why !== undefined || report?.updater == null)
      left.push({ box, why: why ?? 'it has no updater' });
    else {
      const custom = releases.find(({ arch }) => arch === report.updater?.arch);
      const chosen = custom && specOf(box, report, custom, targets.targets, all);
      if (typeof chosen === 'object') takes.push(chosen);
      else left.push({ box, why: chosen ?? 'it is of another architecture' });
    }
  }
  return { seq, version: chosen.version, takes, there, left };
}

function whyNot(
  { report, other, revoked }: BoxRow,
  releases: readonly ReleaseTarget[],
  version: string,
): string | undefined {
  if (revoked !== null) return 'it is revoked';
  if (report === undefined) return 'it has not reported';
  if (other !== null) return 'it reports with another key than before (fleet box BOX)';
  if (report.updater === null) return 'it has no updater (package vigie-root)';
  const { arch } = report.updater;
  return releases.some((custom) => custom.arch === arch) ? undefined : `${version} is not there for ${arch}`;
}

/** Or one line why not. */
function specOf(
  { site, box }: BoxRow,
  { updater }: UpdateReport,
  custom: ReleaseTarget,
  targets: Record<string, TargetFile>,
  all: readonly ReleaseTarget[],
): RolloutBoxSpec | string {
  if (updater === null) return 'it has no updater';
  const { board, arch, node, release, freeBytes } = updater;
  const seq = release?.seq ?? 0;
  const delta = custom.deltas[seq];
  const way = delta === undefined ? 'full' : 'delta';
  const bytes = targets[delta ?? custom.full]?.length ?? 0;
  const running = all.find((other) => other.seq === seq && other.arch === arch);
  const why = misfit(custom, {
    board,
    arch,
    node,
    seq,
    // Of a release that is offered no more only the box knows; it looks again by itself.
    stateWrites: running?.stateWrites ?? custom.stateReads[1],
    freeBytes,
    neededBytes: way === 'full' ? bytes + custom.installedBytes : bytes * (1 + UNPACKED),
  });
  return why ?? { site, box, board, fields: { seq: custom.seq, version: custom.version }, bytes, way };
}

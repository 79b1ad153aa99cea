/** Builds the report of a simulated box, with the content and size of a real one. */
import type { Mode } from '../../../../agent/contract/mode.ts';
import type { Board } from '../../../../agent/contract/release.ts';
import type { ChangePhase, UpdateReport } from '../../../../agent/contract/update.ts';
import type { Release } from '../../root/releases.ts';

/** Progress of a box with the releases of one program. */
export interface Change {
  phase: ChangePhase;
  sinceMs: number;
  rollout: string | null;
  target: Release | undefined;
  running: Release;
  previous: Release | null;
  reason: string | null;
}

export function changeFrom(running: Release): Change {
  return {
    phase: 'idle',
    sinceMs: 0,
    rollout: null,
    target: undefined,
    running,
    previous: null,
    reason: null,
  };
}

export interface Reported {
  readonly site: string;
  readonly box: string;
  readonly board: Board;
  readonly mode: Mode;
  readonly key: string;
  readonly boot: string;
  readonly atMs: number;
  readonly release: Change;
  readonly root: Change;
  readonly order: number | null;
  readonly refusal: string | null;
  /** Entries of its journal; JOURNAL_FIRST of them are older than the simulation. */
  readonly journal: number;
}

export const JOURNAL_FIRST = 1000;
const time = (ms: number): string => new Date(ms).toISOString();

export function reportOf({ release, root, ...box }: Reported): UpdateReport {
  const at = time(box.atMs);
  const { site, box: name, key, boot, board, order, refusal, mode, journal } = box;
  const { previous, ...updater } = changeOf(release);
  const { previous: _, ...rootChange } = changeOf(root);
  return {
    site,
    box: name,
    key,
    at,
    boot,
    version: release.running.version,
    updater: {
      at,
      board,
      arch: 'arm64',
      os: 'debian-13.6',
      kernel: '6.12.47+rpt-rpi-2712',
      node: '20.20.2',
      ...updater,
      previous,
      bytes: null,
      root: rootChange,
      metadata: { root: 3, timestamp: 190, snapshot: 41, targets: 41 },
      osUpdates: { pending: 0, reboot: false },
      freeBytes: 12_345_678_901,
      history: journal - JOURNAL_FIRST,
    },
    order,
    refused: refusal,
    config: {
      sha256: '9f'.repeat(32),
      phase: 'idle',
      rollout: null,
      revision: 12,
      reason: null,
      order: null,
      refused: null,
    },
    mode,
    authorisation: '2026-77',
    orderNotAfter: null,
    certNotAfter: null,
    journalIndex: journal,
  };
}

function changeOf({ phase, sinceMs, rollout, target, running, previous, reason }: Change) {
  const shownTarget = rollout === null || target === undefined ? null : target;
  return { release: running, previous, phase, since: time(sinceMs), rollout, target: shownTarget, reason };
}

/** Reports the updater's state: in status.json for the agent, and as a screen for people. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { writeAtomically } from '../../../agent/base/atomic-file.ts';
import { messageOf } from '../../../agent/base/errors.ts';
import { printable } from '../../../agent/base/printable.ts';
import type { ReleaseKind } from '../../../agent/contract/release.ts';
import { STATUS_FILE, type UpdaterStatus } from '../../../agent/contract/update.ts';
import { counted } from '../../lib/counted.ts';
import { freeBytesOf, type Machine } from './board.ts';
import { REASON_CHARS_MAX, type State } from './change/record.ts';
import { releaseOf } from './change/release-payload.ts';
import { rebootAsked } from './os-updates.ts';
import type { Places } from './paths.ts';
import { nameOf, type Release, type ReleaseFolder } from './releases.ts';

const MODE = 0o644;
const MIB = 1_048_576;
const DAY_MS = 24 * 3_600_000;

export interface StatusOptions {
  readonly places: Places;
  readonly machine: Machine;
  readonly releases: Readonly<Record<ReleaseKind, ReleaseFolder>>;
  wallMs(): number;
  say(line: string): void;
}

export class StatusWriter {
  readonly #options: StatusOptions;

  constructor(options: StatusOptions) {
    this.#options = options;
  }

  of(state: State, bytes: UpdaterStatus['bytes'] = null): UpdaterStatus {
    const { places, machine, releases, wallMs } = this.#options;
    const { metadata, osUpdates, last } = state;
    const { phase, phaseStartedAt, rollout, target, trial } = state.release;
    // The record's own `previous` is the one before, until the trial has ended well.
    const former = phase === 'probation' ? (trial?.from ?? null) : state.previous;
    const previous = former === null ? null : releaseOf(former);
    const { configuration, root } = state;
    return {
      version: 1,
      at: new Date(wallMs()).toISOString(),
      ...machine,
      release: releases.release.current(),
      previous: previous !== null && releases.release.has(previous) ? previous : null,
      phase,
      since: phaseStartedAt,
      rollout,
      target: target === null ? null : releaseOf(target),
      reason: reasonOf(state.release),
      bytes,
      metadata,
      osUpdates: osUpdates === null ? null : { pending: osUpdates.pending, reboot: rebootAsked(places.run) },
      freeBytes: freeBytesOf(places.lib),
      history: last?.n ?? 0,
      root: {
        release: releases.root.current(),
        phase: root.phase,
        since: root.phaseStartedAt,
        rollout: root.rollout,
        target: root.target === null ? null : releaseOf(root.target),
        reason: reasonOf(root),
      },
      configuration: {
        phase: configuration.phase,
        rollout: configuration.rollout,
        target: configuration.target,
        former: configuration.trial?.from ?? null,
        reason: reasonOf(configuration),
      },
    };
  }

  /** Writes status.json. A failure is only logged, so that no update waits for it. */
  write(state: State, bytes: UpdaterStatus['bytes'] = null): void {
    const { places, say } = this.#options;
    try {
      writeAtomically(join(places.state, STATUS_FILE), `${JSON.stringify(this.of(state, bytes))}\n`, MODE);
    } catch (error) {
      say(`status not written: ${messageOf(error)}`);
    }
  }

  /** Reports whether the file must be written again, so that a reader can tell an idle updater from a dead one. */
  isOld(): boolean {
    const stat = statSync(join(this.#options.places.state, STATUS_FILE), { throwIfNoEntry: false });
    const ageMs = this.#options.wallMs() - (stat?.mtimeMs ?? 0);
    return ageMs < 0 || ageMs >= DAY_MS;
  }
}

function reasonOf({ reason, refusal }: State['release']): string | null {
  const parts = [
    ...(reason === null ? [] : [reason]),
    ...(refusal === null ? [] : [`an order was refused: ${refusal.reason}`]),
  ];
  return parts.length === 0 ? null : parts.join('; ').slice(0, REASON_CHARS_MAX);
}

/** Returns the lines of one screen. */
export function screenOf(status: UpdaterStatus): string[] {
  const { phase, since: phaseStart, target, rollout, reason, bytes, metadata, osUpdates } = status;
  const row = (name: string, value: string): string => `${name.padEnd(10)} ${value}`;
  const targetText =
    target === null ? '' : ` ${releaseText(target)}${rollout === null ? '' : ` of ${printable(rollout)}`}`;
  const lines = [
    row('release', releaseText(status.release)),
    row('previous', releaseText(status.previous)),
    row('phase', Date.parse(phaseStart) > 0 ? `${phase}${targetText}, since ${phaseStart}` : phase),
  ];
  if (reason !== null) lines.push(row('reason', printable(reason, REASON_CHARS_MAX)));
  if (bytes !== null) lines.push(row('fetched', `${bytes.done} of ${bytes.total} bytes`));
  const roles =
    metadata === null
      ? 'none verified yet'
      : Object.entries(metadata)
          .map((role) => role.join(' '))
          .join(', ');
  lines.push(
    row('metadata', roles),
    row(
      'machine',
      `${status.board}, ${status.arch}, ${printable(status.os)}, kernel ${printable(status.kernel)}, node ${status.node}`,
    ),
    row('free', `${Math.floor(status.freeBytes / MIB)} MiB`),
  );
  if (osUpdates !== null) {
    const reboot = osUpdates.reboot ? ', and a restart is required' : '';
    lines.push(
      row(
        'system',
        `${counted(osUpdates.pending, 'update of the system waits', 'updates of the system wait')}${reboot}`,
      ),
    );
  }
  const { configuration, root } = status;
  const rootsWanted = root.target === null ? '' : ` ${releaseText(root.target)}`;
  const rootsReason = root.reason === null ? '' : `: ${printable(root.reason, REASON_CHARS_MAX)}`;
  const rootsPhase = root.phase === 'idle' ? '' : `, ${root.phase}${rootsWanted}${rootsReason}`;
  lines.push(row('root', `${releaseText(root.release)}${rootsPhase}`));
  if (configuration.phase !== 'idle') {
    const { phase, target, rollout, reason } = configuration;
    const revision = target === null || target.number === 0 ? '' : ` revision ${target.number}`;
    const byPerson = target === null ? '' : ', tried at the box';
    const of = rollout === null ? byPerson : ` of ${printable(rollout)}`;
    const reasonText = reason === null ? '' : `: ${printable(reason, REASON_CHARS_MAX)}`;
    lines.push(row('config', `${phase}${revision}${of}${reasonText}`));
  }
  lines.push(row('history', counted(status.history, 'record')));
  return lines;
}

const releaseText = (release: UpdaterStatus['release'] | Release): string =>
  release === null ? 'none' : nameOf(release);

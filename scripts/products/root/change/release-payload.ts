/**
 * Changes the agent's release for the change machine. Fetches it from the room's server, stages it beside the one that
 * runs, and switches the link `current`. Base of root-payload.ts, which does so for vigie-root.
 *
 * INVARIANTS:
 * - Everything that runs is stopped before `current` moves, so processes of two releases never run together.
 * - Each step is idempotent.
 * - On the way back, only a failure of the link itself can prevent the box from running.
 */
import { rmSync } from 'node:fs';
import { withDeadline } from '../../../../agent/base/deadline.ts';
import { AgentError, messageOf, rethrowBug } from '../../../../agent/base/errors.ts';
import type { ReleaseKind } from '../../../../agent/contract/release.ts';
import { childUser } from '../agent-user.ts';
import { endOf } from '../child.ts';
import type { BoxClock } from '../clock.ts';
import { TITLES } from '../fits.ts';
import { type TrialStartOptions, trialStart } from '../own-record.ts';
import { type BoxOptions, downloadsDir, releaseProgram } from '../paths.ts';
import type { Offered, ReleaseSource } from '../release-source.ts';
import { nameOf, type Release, type ReleaseFolder, sameRelease } from '../releases.ts';
import { readSettings } from '../settings.ts';
import {
  AGENT_UNIT,
  JUDGE_UNIT,
  PAGE_SOCKET,
  PAGE_UNIT,
  type Units,
  VISION_SOCKET,
  VISION_UNIT,
} from '../units.ts';
import type { FinalVerdict, LeaveResult, Payload, ProbationTimes, Progress } from './payload.ts';
import {
  AT_REST,
  type Change,
  FIRST_TRIAL,
  type State,
  sameTarget,
  type Target,
  type Trial,
} from './record.ts';
import type { Installed, Relation } from './step.ts';
import type { Shared } from './store.ts';

/**
 * Sockets are stopped too. Otherwise a waiting connection would start its program again before `current` has moved, and
 * the new agent would talk to the old release's vision.
 */
const SOCKETS = [VISION_SOCKET, PAGE_SOCKET];
const STOPPED = [...SOCKETS, AGENT_UNIT, VISION_UNIT, PAGE_UNIT];
/** The agent starts vision. */
const STARTED = [...SOCKETS, AGENT_UNIT, PAGE_UNIT];
const SWITCH_WITHIN_S = 60;
const STAGE_WITHIN_S = 600;
/** Defaults if the settings cannot be read. */
const DEFAULT_TIMES: ProbationTimes = { healthyS: 60, withinS: 600 };

export interface ReleasePayloadOptions extends TrialStartOptions {
  readonly places: BoxOptions;
  readonly releases: ReleaseFolder;
  readonly units: Units;
  readonly clock: Pick<BoxClock, 'boottimeS' | 'bootId' | 'sleep'>;
  /** Returns the releases of the room's server. Throws AgentError `config` if the settings name no server. */
  source(): Promise<ReleaseSource>;
}

const PACKAGES: Readonly<Record<ReleaseKind, string>> = { release: 'vigie', root: 'vigie-root' };

export const releaseOf = ({ number: seq, name: version }: Target): Release => ({ seq, version });
export const targetOf = ({ seq, version }: Release): Target => ({ number: seq, name: version });

/** Finds a release. Invalid metadata is not a corrupt archive: it is a few kB, and may be different in a minute. */
async function findRelease(
  source: ReleaseSource,
  kind: ReleaseKind,
  release: Release,
  signal: AbortSignal,
): Promise<Offered | undefined> {
  try {
    return await source.find(kind, release, signal);
  } catch (error) {
    rethrowBug(error);
    throw error.kind === 'corrupt' ? new AgentError('unavailable', error.message, error) : error;
  }
}

export class ReleasePayload implements Payload {
  readonly kind: ReleaseKind = 'release';
  readonly needsActive = false;
  protected readonly options: ReleasePayloadOptions;
  #stage: (() => Promise<void>) | undefined;
  #learnt: Shared = {};

  constructor(options: ReleasePayloadOptions) {
    this.options = options;
  }

  relation(target: Target): Relation {
    const current = this.options.releases.current();
    if (current === null) return { is: 'new' };
    const release = releaseOf(target);
    if (sameRelease(current, release)) return { is: 'running' };
    if (release.seq > current.seq) return { is: 'new' };
    return { is: 'refused', reason: `${nameOf(release)} is not newer than ${nameOf(current)}, which runs` };
  }

  installed({ target, trial }: Change): Installed {
    const current = this.options.releases.current();
    if (current === null) return 'nothing';
    const is = targetOf(current);
    if (sameTarget(is, target)) return 'target';
    return sameTarget(is, trial?.from ?? null) ? 'from' : 'other';
  }

  learnt(): Shared {
    return this.#learnt;
  }

  async fetch(target: Target, signal: AbortSignal, progress: Progress): Promise<void> {
    const { seq, version } = releaseOf(target);
    const source = await this.options.source();
    this.#learnt = {};
    const offered = await findRelease(source, this.kind, { seq, version }, signal);
    this.#learnt = { metadata: source.metadata() };
    if (offered === undefined) {
      const message = `no ${TITLES[this.kind]} ${version} (${seq}) is signed for this box’s architecture, as far as the server knows`;
      throw new AgentError('unavailable', message);
    }
    const assertFits = (): void => {
      const reason = offered.misfit();
      if (reason !== undefined) throw new AgentError('denied', reason);
    };
    assertFits();
    await offered.download(signal, (done, total) => progress({ done, total }));
    // The disk may have filled since the first check.
    assertFits();
    if (this.kind === 'release') this.#learnt = { ...this.#learnt, targetSeqMin: offered.seqMin };
    this.#stage = () => offered.stage(withDeadline(STAGE_WITHIN_S * 1000));
  }

  async stage(): Promise<void> {
    if (this.#stage === undefined) throw new AgentError('bug', 'staged without having been fetched');
    await this.#stage();
    rmSync(downloadsDir(this.options.places, this.kind), { recursive: true, force: true });
  }

  /**
   * Verifies the staged release again. It may be days old, and shares files with the running release, so a write to one
   * changes both.
   */
  async verifyStaged({ target, order }: Change): Promise<void> {
    const { releases } = this.options;
    const release = target === null ? null : releaseOf(target);
    if (release === null || !releases.has(release))
      throw new AgentError('corrupt', 'the staged release has disappeared');
    const current = releases.current();
    // A person may roll back. An order never leads to an older release, even with a rebuilt record.
    if (order !== null && current !== null && release.seq <= current.seq)
      throw new AgentError('denied', `${nameOf(release)} is not newer than ${nameOf(current)}, which runs`);
    try {
      await releases.verify(release);
    } catch (error) {
      rethrowBug(error);
      throw new AgentError(error.kind, `the staged release is damaged: ${messageOf(error)}`, error);
    }
  }

  async trial(): Promise<Trial> {
    const { releases, units } = this.options;
    const started = await units.wereStarted(STARTED);
    const current = releases.current();
    return {
      ...FIRST_TRIAL,
      from: current === null ? null : targetOf(current),
      before: started.includes(AGENT_UNIT) ? await trialStart(this.options) : null,
      started,
    };
  }

  async enter(change: Change, { started }: Trial): Promise<readonly string[]> {
    const { releases, units, clock } = this.options;
    const { target } = change;
    const beganS = clock.boottimeS();
    const assertInTime = (): void => {
      if (clock.boottimeS() - beganS > SWITCH_WITHIN_S)
        throw new AgentError('unavailable', `it took longer than ${SWITCH_WITHIN_S} s`);
    };
    if (target === null) throw new AgentError('bug', 'a switch without a target');
    const current = releases.current();
    if (current !== null && this.installed(change) === 'other')
      throw new AgentError('denied', `${nameOf(current)} runs, which it did not begin from`);
    if (!releases.has(releaseOf(target)))
      throw new AgentError('corrupt', `${nameOf(releaseOf(target))} is not there any more`);
    // Finds a disk that refuses writes before anything is stopped.
    releases.prepare(releaseOf(target));
    await units.stop(STOPPED);
    assertInTime();
    releases.point(releaseOf(target));
    return [...started, JUDGE_UNIT];
  }

  async leave(change: Change, trial: Trial, booting: boolean): Promise<LeaveResult> {
    const { releases, units, places } = this.options;
    const { from, started } = trial;
    const starts = booting ? [] : started;
    if (from === null || !releases.has(releaseOf(from)))
      return { outcome: 'nothing', reason: 'no release to roll back to', starts };
    const installed = this.installed(change);
    const current = releases.current();
    // The record is old, or a person changed the release: what runs is neither of the two, and is left alone.
    if (installed === 'other' && current !== null)
      return { outcome: 'other', reason: `${nameOf(current)} runs, which it did not switch to`, starts };
    // Frees the downloads, which are no longer needed: a full disk has no space for a link.
    await this.#attempt('not removed', () =>
      Promise.resolve(rmSync(downloadsDir(places, this.kind), { recursive: true, force: true })),
    );
    // If the disk refuses here, what runs keeps running.
    if (installed !== 'from') releases.prepare(releaseOf(from));
    if (!booting) await this.#attempt('not stopped', () => units.stop(STOPPED));
    if (installed !== 'from') releases.point(releaseOf(from));
    return { outcome: 'from', reason: '', starts };
  }

  async restarts(): Promise<number> {
    return (await this.options.units.state(AGENT_UNIT)).restarts;
  }

  /** Tests only that the program starts: no agent ran before, so none runs now. */
  async startsAtAll(): Promise<FinalVerdict> {
    const { places, clock } = this.options;
    const words = [releaseProgram(places), '--version'];
    const limits = { clock, withinS: this.times().withinS, user: childUser(places.agentUser) };
    const problem = await endOf(words, limits);
    return problem === undefined ? { state: 'good' } : { state: 'bad', reason: `its program: ${problem}` };
  }

  proves(_change: Change): Promise<FinalVerdict> {
    return Promise.resolve({ state: 'good' });
  }

  confirmed({ target, trial }: Change, { targetSeqMin }: State): Shared {
    return { proven: target, previous: trial?.from ?? null, seqMin: targetSeqMin };
  }

  times(): ProbationTimes {
    const { places, say } = this.options;
    try {
      return readSettings(places.settings);
    } catch (error) {
      rethrowBug(error);
      say(
        `${messageOf(error)}; ${DEFAULT_TIMES.healthyS} s of health within ${DEFAULT_TIMES.withinS} s are required`,
      );
      return DEFAULT_TIMES;
    }
  }

  /** Removes releases that are not needed. Removes nothing while it is uncertain which ones stay. */
  tidy(state: State): void {
    const { phase, target } = state[this.kind];
    const { releases, say, places } = this.options;
    const isWaiting = phase === 'waiting';
    if (!AT_REST.has(phase) && !isWaiting) return;
    releases.sweep();
    // A paused download resumes later.
    if (!isWaiting) rmSync(downloadsDir(places, this.kind), { recursive: true, force: true });
    const current = releases.current();
    if (current === null) return;
    const stays = [targetOf(current), ...this.keptTargets(state), isWaiting ? target : null];
    for (const release of releases.list()) {
      if (stays.some((one) => sameTarget(one, targetOf(release)))) continue;
      say(`${TITLES[this.kind]} ${nameOf(release)} is removed`);
      releases.remove(release);
    }
  }

  /**
   * Restores `current` if it leads to no release: to the proven release, or during a switch to the one that ran before.
   * Chooses only intact releases, and none below `seqMin`.
   */
  async heal(state: State): Promise<void> {
    const { releases, say } = this.options;
    if (releases.current() !== null) return;
    const { phase, trial } = state[this.kind];
    const onTrial = !AT_REST.has(phase) && trial !== null ? trial.from : null;
    const candidates = [onTrial, ...this.keptTargets(state)].flatMap((one) =>
      one === null ? [] : [releaseOf(one)],
    );
    const seqMin = this.kind === 'release' ? state.seqMin : 0;
    for (const release of [...candidates, ...releases.list().reverse()]) {
      if (release.seq < seqMin || !(await this.#isIntact(release))) continue;
      say(`${releases.lib}/current led to no release; it leads to ${nameOf(release)} now`);
      return releases.point(release);
    }
    say(
      `no intact ${TITLES[this.kind]} of ${seqMin} or later is on this box; install the package ${PACKAGES[this.kind]} again`,
    );
  }

  /** Returns the releases that stay beside the running one, the best first. */
  protected keptTargets({ proven, previous }: State): (Target | null)[] {
    return [proven, previous];
  }

  async #isIntact(release: Release): Promise<boolean> {
    const { releases, say } = this.options;
    if (!releases.has(release)) return false;
    try {
      await releases.verify(release);
      return true;
    } catch (error) {
      rethrowBug(error);
      say(`${nameOf(release)}: ${messageOf(error)}`);
      return false;
    }
  }

  async #attempt(step: string, action: () => Promise<void>): Promise<void> {
    try {
      await action();
    } catch (error) {
      if (error instanceof AgentError) rethrowBug(error);
      this.options.say(`on the way back: ${step}: ${messageOf(error)}`);
    }
  }
}

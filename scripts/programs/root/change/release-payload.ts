/**
 * Releases of the agent as a payload of the change machine: one is fetched from the room's server, staged beside the one that
 * runs, and switched to by the link `current`. Those of root's own program are such ones, too (root-payload.ts).
 *
 * INVARIANTS: everything that runs is stopped before `current` moves, so that no process starts from one release while its
 * other half is of the other; each step can be done twice. On the way back only the link itself can keep the box from going on.
 */
import { execFile } from 'node:child_process';
import { rmSync } from 'node:fs';
import { promisify } from 'node:util';
import { AgentError, messageOf, rethrowBug } from '../../../../agent/base/errors.ts';
import type { ReleaseKind } from '../../../../agent/contract/release.ts';
import { childUser } from '../agent-user.ts';
import type { BoxClock } from '../clock.ts';
import { TITLES } from '../fits.ts';
import { type BoxOptions, downloadsDir, releaseProgram } from '../places.ts';
import { nameOf, type Release, type ReleaseFolder, sameRelease } from '../releases.ts';
import { readSettings } from '../settings.ts';
import type { Offered, ReleaseSource } from '../source.ts';
import {
  AGENT_UNIT,
  JUDGE_UNIT,
  PAGE_SOCKET,
  PAGE_UNIT,
  type Units,
  VISION_SOCKET,
  VISION_UNIT,
} from '../units.ts';
import { agentReport } from './agent-report.ts';
import type { FinalVerdict, JudgeTimes, Left, Payload, Progress } from './payload.ts';
import type { AgentHealth } from './probation.ts';
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
 * The sockets with them: what has connected to one and was not accepted would start its program again as soon as that is
 * stopped, before `current` has moved, and the new agent would talk to the old release's vision.
 */
const SOCKETS = [VISION_SOCKET, PAGE_SOCKET];
const STOPPED = [...SOCKETS, AGENT_UNIT, VISION_UNIT, PAGE_UNIT];
/** Vision is started by the agent. */
const STARTED = [...SOCKETS, AGENT_UNIT, PAGE_UNIT];
const SWITCH_WITHIN_S = 60;
const STAGE_WITHIN_S = 600;
/** For a program on a board that swaps. */
const START_WITHIN_MS = 60_000;
/** Where the settings cannot be read. */
const DEFAULT_TIMES: JudgeTimes = { healthyS: 60, withinS: 600 };

export interface ReleasePayloadOptions {
  readonly places: BoxOptions;
  readonly releases: ReleaseFolder;
  readonly units: Units;
  readonly clock: Pick<BoxClock, 'boottimeS' | 'bootId' | 'sleep'>;
  /** Releases of the room's server. Throws AgentError `config` where the settings name none. */
  source(): Promise<ReleaseSource>;
  health(): Promise<AgentHealth | undefined>;
  say(line: string): void;
}

const PACKAGES: Readonly<Record<ReleaseKind, string>> = { release: 'vigie', root: 'vigie-root' };

export const releaseOf = ({ number: seq, name: version }: Target): Release => ({ seq, version });
export const targetOf = ({ seq, version }: Release): Target => ({ number: seq, name: version });

/** Metadata that cannot be believed is a few kB and may be other metadata in a minute: it is no rotten archive. */
async function found(
  source: ReleaseSource,
  what: ReleaseKind,
  release: Release,
  signal: AbortSignal,
): Promise<Offered | undefined> {
  try {
    return await source.find(what, release, signal);
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
    const wanted = releaseOf(target);
    if (sameRelease(current, wanted)) return { is: 'running' };
    if (wanted.seq > current.seq) return { is: 'new' };
    return { is: 'refused', reason: `${nameOf(wanted)} is not newer than ${nameOf(current)}, which runs` };
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
    const offered = await found(source, this.kind, { seq, version }, signal);
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
    // Since it was looked at first, the disk may have filled.
    assertFits();
    if (this.kind === 'release') this.#learnt = { ...this.#learnt, targetSeqMin: offered.seqMin };
    this.#stage = () => offered.stage(AbortSignal.timeout(STAGE_WITHIN_S * 1000));
  }

  async stage(): Promise<void> {
    if (this.#stage === undefined) throw new AgentError('bug', 'staged without having been fetched');
    await this.#stage();
    rmSync(downloadsDir(this.options.places, this.kind), { recursive: true, force: true });
  }

  /** It may have been staged days ago, and shares files with the release that runs: who has written into one, wrote into both. */
  async verifyStaged({ target, order }: Change): Promise<void> {
    const { releases } = this.options;
    const release = target === null ? null : releaseOf(target);
    if (release === null || !releases.has(release))
      throw new AgentError('corrupt', 'what was staged is not there any more');
    const current = releases.current();
    // A person may go back; an order never leads to an older one, whatever the record was rebuilt from.
    if (order !== null && current !== null && release.seq <= current.seq)
      throw new AgentError('denied', `${nameOf(release)} is not newer than ${nameOf(current)}, which runs`);
    try {
      await releases.verify(release);
    } catch (error) {
      rethrowBug(error);
      throw new AgentError(error.kind, `what was staged is not intact: ${messageOf(error)}`, error);
    }
  }

  async trial(): Promise<Trial> {
    const { releases, units, health, say } = this.options;
    const started = await units.wereStarted(STARTED);
    const current = releases.current();
    return {
      ...FIRST_TRIAL,
      from: current === null ? null : targetOf(current),
      before: started.includes(AGENT_UNIT) ? await agentReport(health, say) : null,
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
    // A disk that refuses is found before anything is stopped.
    releases.prepare(releaseOf(target));
    await units.stop(STOPPED);
    assertInTime();
    releases.point(releaseOf(target));
    return [...started, JUDGE_UNIT];
  }

  async leave(change: Change, trial: Trial, booting: boolean): Promise<Left> {
    const { releases, units, places } = this.options;
    const { from, started } = trial;
    const starts = booting ? [] : started;
    if (from === null || !releases.has(releaseOf(from)))
      return { found: 'nothing', reason: 'no release to go back to', starts };
    const found = this.installed(change);
    const current = releases.current();
    // A record of an earlier day, or somebody's hand: what runs is none of the two, and is left alone.
    if (found === 'other' && current !== null)
      return { found: 'other', reason: `${nameOf(current)} runs, which it did not switch to`, starts };
    // What was fetched is of no use any more, and a full disk has no room for a link.
    await this.#attempt('not removed', () =>
      Promise.resolve(rmSync(downloadsDir(places, this.kind), { recursive: true, force: true })),
    );
    // A disk that refuses leaves what runs running.
    if (found !== 'from') releases.prepare(releaseOf(from));
    if (!booting) await this.#attempt('not stopped', () => units.stop(STOPPED));
    if (found !== 'from') releases.point(releaseOf(from));
    return { found: 'from', reason: '', starts };
  }

  async restarts(): Promise<number> {
    return (await this.options.units.state(AGENT_UNIT)).restarts;
  }

  /** Where no agent ran before none runs now: that the program starts is all that can be judged. */
  async startsAtAll(): Promise<FinalVerdict> {
    const { places } = this.options;
    const program = releaseProgram(places);
    try {
      const options = { timeout: START_WITHIN_MS, cwd: '/', ...childUser(places.agentUser) };
      await promisify(execFile)(process.execPath, [program, '--version'], options);
      return { state: 'good' };
    } catch (error) {
      return { state: 'bad', why: `its program does not start: ${messageOf(error).slice(0, 300)}` };
    }
  }

  proves(_change: Change): Promise<FinalVerdict> {
    return Promise.resolve({ state: 'good' });
  }

  confirmed({ target, trial }: Change, { targetSeqMin }: State): Shared {
    return { proven: target, previous: trial?.from ?? null, seqMin: targetSeqMin };
  }

  times(): JudgeTimes {
    const { places, say } = this.options;
    try {
      return readSettings(places.settings);
    } catch (error) {
      rethrowBug(error);
      say(
        `${messageOf(error)}; ${DEFAULT_TIMES.healthyS} s of health within ${DEFAULT_TIMES.withinS} s are asked for`,
      );
      return DEFAULT_TIMES;
    }
  }

  /** Nothing is removed while it is not certain which releases stay. */
  tidy(state: State): void {
    const { phase, target } = state[this.kind];
    const { releases, say, places } = this.options;
    const isWaiting = phase === 'waiting';
    if (!AT_REST.has(phase) && !isWaiting) return;
    releases.sweep();
    // A download that was paused goes on where it was.
    if (!isWaiting) rmSync(downloadsDir(places, this.kind), { recursive: true, force: true });
    const current = releases.current();
    if (current === null) return;
    const stays = [targetOf(current), ...this.kept(state), isWaiting ? target : null];
    for (const release of releases.list()) {
      if (stays.some((one) => sameTarget(one, targetOf(release)))) continue;
      say(`${TITLES[this.kind]} ${nameOf(release)} is removed`);
      releases.remove(release);
    }
  }

  /**
   * Puts `current` on a release where it leads to none: on the one that has proved itself; in a switch, on the one that ran
   * before. None below `seqMin` is chosen, and none that is not intact.
   */
  async heal(state: State): Promise<void> {
    const { releases, say } = this.options;
    if (releases.current() !== null) return;
    const { phase, trial } = state[this.kind];
    const onTrial = !AT_REST.has(phase) && trial !== null ? trial.from : null;
    const known = [onTrial, ...this.kept(state)].flatMap((one) => (one === null ? [] : [releaseOf(one)]));
    const seqMin = this.kind === 'release' ? state.seqMin : 0;
    for (const release of [...known, ...releases.list().reverse()]) {
      if (release.seq < seqMin || !(await this.#isIntact(release))) continue;
      say(`${releases.lib}/current led to no release; it leads to ${nameOf(release)} now`);
      return releases.point(release);
    }
    say(
      `no intact ${TITLES[this.kind]} of ${seqMin} or later is on this box; install the package ${PACKAGES[this.kind]} again`,
    );
  }

  /** Releases that stay beside the one that runs, the best first. */
  protected kept({ proven, previous }: State): (Target | null)[] {
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

  async #attempt(what: string, act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (error) {
      if (error instanceof AgentError) rethrowBug(error);
      this.options.say(`on the way back: ${what}: ${messageOf(error)}`);
    }
  }
}

/**
 * Changes vigie-root itself for the change machine, as a release in a folder of its own with a second link. `boot` and
 * `judge`, which must survive a bad release, are started through the link `judge`. That link stays on the previous
 * release until the new one is confirmed.
 *
 * INVARIANTS:
 * - During a trial, `judge` leads to the previous release.
 * - A release is confirmed only if its judge works (judge-check.ts) and a rehearsal shows that it can be replaced
 *   (rehearsal.ts). Any other defect can then be fixed by an order.
 * - The agent is restarted in the switch, and with it the programs that it needs at its start.
 *
 * LIMITS: PROVES_WITHIN times the time of a probation for the rehearsal.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { rethrowBug } from '../../../../agent/base/errors.ts';
import { MANIFEST_FILE } from '../../../../agent/contract/release.ts';
import { endOf } from '../child.ts';
import { flagsOf, ROOT_PROGRAM, rehearsalDir } from '../paths.ts';
import { nameOf, type Release, ReleaseFolder, sameRelease } from '../releases.ts';
import { RUN_UNIT } from '../units.ts';
import { judgeProblem } from './judge-check.ts';
import { attemptLater } from './outcome.ts';
import type { FinalVerdict, LeaveResult } from './payload.ts';
import { AT_REST, type Change, type State, type Target, type Trial } from './record.ts';
import { ReleasePayload, type ReleasePayloadOptions, releaseOf } from './release-payload.ts';
import type { Shared } from './store.ts';

/** Commands that must succeed: the one that reads the record, and the one that runs before the agent at boot. */
const CHECKED = ['status', 'boot'] as const;
/**
 * Multiple of the probation time, an hour with the default settings, because the network may be unreachable for a
 * while. Meanwhile nothing changes and the agent runs.
 */
const PROVES_WITHIN = 6;
const RUN_AGAIN_S = 30;
const POLL_EVERY_MS = 1000;

export class RootPayload extends ReleasePayload {
  override readonly kind = 'root';
  readonly #judge: ReleaseFolder;

  constructor(options: ReleasePayloadOptions) {
    super(options);
    this.#judge = new ReleaseFolder(options.releases.lib, 'judge');
  }

  /** Returns the release that judges; during a trial it is the previous one. */
  judging(): Release | null {
    return this.#judge.current();
  }

  override async enter(change: Change, trial: Trial): Promise<readonly string[]> {
    const current = this.options.releases.current();
    if (current !== null && this.installed(change) !== 'target') this.#judgeBy(current);
    this.#forgetRehearsal();
    return await super.enter(change, trial);
  }

  override async leave(change: Change, trial: Trial, booting: boolean): Promise<LeaveResult> {
    const result = await super.leave(change, trial, booting);
    this.#forgetRehearsal();
    return result;
  }

  /** Always good; `proves` tests what vigie-root does for the box. */
  override startsAtAll(): Promise<FinalVerdict> {
    return Promise.resolve({ state: 'good' });
  }

  override async proves({ target, order }: Change): Promise<FinalVerdict> {
    const { places, clock, units, say } = this.options;
    const program = join(places.rootLib, 'current', ROOT_PROGRAM);
    const beganS = clock.boottimeS();
    const withinS = PROVES_WITHIN * this.times().withinS;
    for (const command of CHECKED) {
      const commandProblem = await endOf([program, command, ...flagsOf(places)], { clock, withinS });
      if (commandProblem !== undefined)
        return { state: 'bad', reason: `vigie-root ${command}: ${commandProblem}` };
    }
    const problem = await judgeProblem(program, places, `${rehearsalDir(places)}-judge`, { clock, withinS });
    if (problem !== undefined) return { state: 'bad', reason: `vigie-root judge: ${problem}` };
    // A change that a person started has no order to carry out again.
    if (order === null || target === null) return { state: 'good' };
    for (let againS = beganS; ; ) {
      if (await this.#hasRehearsed(target)) return { state: 'good' };
      const nowS = clock.boottimeS();
      if (nowS - beganS > withinS)
        return { state: 'bad', reason: `it did not carry out its own order again within ${withinS} s` };
      if (nowS >= againS) {
        againS = nowS + RUN_AGAIN_S;
        await attemptLater(say, () => units.start([RUN_UNIT]));
      }
      await clock.sleep(POLL_EVERY_MS);
    }
  }

  override confirmed(): Shared {
    return {};
  }

  override tidy(state: State): void {
    const current = this.options.releases.current();
    if (current !== null && AT_REST.has(state.root.phase)) {
      this.#judgeBy(current);
      this.#forgetRehearsal();
    }
    super.tidy(state);
  }

  /** Restores both links. During a trial, `judge` leads to the previous release. */
  override async heal(state: State): Promise<void> {
    const { releases } = this.options;
    if (!existsSync(join(releases.lib, 'releases'))) return;
    await super.heal(state);
    const { phase, trial } = state.root;
    const previous = AT_REST.has(phase) || trial?.from == null ? null : releaseOf(trial.from);
    const judgingRelease = previous !== null && releases.has(previous) ? previous : releases.current();
    if (judgingRelease !== null && this.#judge.current() === null) this.#judgeBy(judgingRelease);
  }

  protected override keptTargets({ root: { trial } }: State): (Target | null)[] {
    return [trial?.from ?? null];
  }

  #judgeBy(release: Parameters<ReleaseFolder['point']>[0]): void {
    if (sameRelease(this.#judge.current(), release)) return;
    this.#judge.point(release);
    this.options.say(`${nameOf(release)} judges what root’s program does from now on`);
  }

  #forgetRehearsal(): void {
    rmSync(rehearsalDir(this.options.places), { recursive: true, force: true });
  }

  /** Reports whether the rehearsal has led to the release on trial, compared file by file. */
  async #hasRehearsed(target: Target): Promise<boolean> {
    const { releases, places } = this.options;
    const rehearsalFolder = new ReleaseFolder(join(rehearsalDir(places), 'lib'));
    const release = releaseOf(target);
    if (!sameRelease(rehearsalFolder.current(), release)) return false;
    try {
      await rehearsalFolder.verify(release);
      const [is, should] = [rehearsalFolder, releases].map((folder) =>
        readFileSync(join(folder.dirOf(release), MANIFEST_FILE)),
      );
      return should !== undefined && is?.equals(should) === true;
    } catch (error) {
      rethrowBug(error);
      return false;
    }
  }
}

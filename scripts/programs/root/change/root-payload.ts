/**
 * Releases of root's own program as a payload of the change machine: as those of the agent, in a folder of their own, with a
 * second link. What must outlive a bad one, `boot` and `judge`, is started by the link `judge`, which stays on the former
 * release until the new one is confirmed.
 *
 * INVARIANTS: while one is on trial `judge` leads to the release before it. It stays only if its judge takes back and keeps
 * (judge-check.ts), and if it has shown that it can be replaced (rehearsal.ts): any fault of it can be mended by an order. The
 * agent is restarted in the switch, and so run its programs that an agent needs at its start.
 * LIMITS: PROVES_WITHIN times the time of a probation for the rehearsal.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { rethrowBug } from '../../../../agent/base/errors.ts';
import { MANIFEST_FILE } from '../../../../agent/contract/release.ts';
import { endsWell } from '../child.ts';
import { flagsOf, ROOT_PROGRAM, rehearsalDir } from '../places.ts';
import { nameOf, ReleaseFolder, sameRelease } from '../releases.ts';
import { RUN_UNIT } from '../units.ts';
import { judgeFault } from './judge-check.ts';
import { attemptLater } from './outcome.ts';
import type { FinalVerdict, Left } from './payload.ts';
import { AT_REST, type Change, type State, type Target, type Trial } from './record.ts';
import { ReleasePayload, type ReleasePayloadOptions, releaseOf } from './release-payload.ts';
import type { Shared } from './store.ts';

/** Commands that must end well: what reads the record, and what runs before the agent at boot. */
const CHECKED = ['status', 'boot'] as const;
/** An hour, as the settings are at first: a network may be away for a while. Nothing is changed meanwhile, and the agent runs. */
const PROVES_WITHIN = 6;
const RUN_AGAIN_S = 30;
const LOOK_EVERY_MS = 1000;

export class RootPayload extends ReleasePayload {
  override readonly kind = 'root';
  readonly #judge: ReleaseFolder;

  constructor(options: ReleasePayloadOptions) {
    super(options);
    this.#judge = new ReleaseFolder(options.releases.lib, 'judge');
  }

  override async enter(change: Change, trial: Trial): Promise<readonly string[]> {
    const current = this.options.releases.current();
    if (current !== null && this.installed(change) !== 'target') this.#judgeBy(current);
    this.#forgetRehearsal();
    return await super.enter(change, trial);
  }

  override async leave(change: Change, trial: Trial, booting: boolean): Promise<Left> {
    const left = await super.leave(change, trial, booting);
    this.#forgetRehearsal();
    return left;
  }

  /** What it does for the box is asked for in `proves`. */
  override startsAtAll(): Promise<FinalVerdict> {
    return Promise.resolve({ state: 'good' });
  }

  override async proves({ target, order }: Change): Promise<FinalVerdict> {
    const { places, clock, units, say } = this.options;
    const program = join(places.rootLib, 'current', ROOT_PROGRAM);
    for (const command of CHECKED) {
      const fault = await endsWell([program, command, ...flagsOf(places)]);
      if (fault !== undefined) return { state: 'bad', why: `vigie-root ${command}: ${fault}` };
    }
    const fault = await judgeFault(program, places, `${rehearsalDir(places)}-judge`, clock);
    if (fault !== undefined) return { state: 'bad', why: `vigie-root judge: ${fault}` };
    // A person at the box has no order that could be carried out again.
    if (order === null || target === null) return { state: 'good' };
    const beganS = clock.boottimeS();
    const withinS = PROVES_WITHIN * this.times().withinS;
    for (let againS = beganS; ; ) {
      if (await this.#hasRehearsed(target)) return { state: 'good' };
      const nowS = clock.boottimeS();
      if (nowS - beganS > withinS)
        return { state: 'bad', why: `it did not carry out its own order again within ${withinS} s` };
      if (nowS >= againS) {
        againS = nowS + RUN_AGAIN_S;
        await attemptLater(say, () => units.start([RUN_UNIT]));
      }
      await clock.sleep(LOOK_EVERY_MS);
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

  /** Both links; on trial `judge` leads to the release before it. */
  override async heal(state: State): Promise<void> {
    const { releases } = this.options;
    if (!existsSync(join(releases.lib, 'releases'))) return;
    await super.heal(state);
    const { phase, trial } = state.root;
    const former = AT_REST.has(phase) || trial?.from == null ? null : releaseOf(trial.from);
    const judge = former !== null && releases.has(former) ? former : releases.current();
    if (judge !== null && this.#judge.current() === null) this.#judgeBy(judge);
  }

  protected override kept({ root: { trial } }: State): (Target | null)[] {
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

  /** Its own order led it, in a folder of its own, to the release that is on trial, file by file. */
  async #hasRehearsed(target: Target): Promise<boolean> {
    const { releases, places } = this.options;
    const made = new ReleaseFolder(join(rehearsalDir(places), 'lib'));
    const release = releaseOf(target);
    if (!sameRelease(made.current(), release)) return false;
    try {
      await made.verify(release);
      const [is, should] = [made, releases].map((folder) =>
        readFileSync(join(folder.dirOf(release), MANIFEST_FILE)),
      );
      return should !== undefined && is?.equals(should) === true;
    } catch (error) {
      rethrowBug(error);
      return false;
    }
  }
}

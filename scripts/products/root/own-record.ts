/**
 * Root's own knowledge of the agent, from files that only root writes or that keys have signed. A probation compares with
 * it, since a bad release can report anything. It covers the size of the journal, the end of the authorisation, and
 * changes of the mode.
 *
 * INVARIANT: fails closed. What cannot be read or verified is not lawful.
 */
import { systemClock } from '../../../agent/base/clock.ts';
import { messageOf, rethrowBug } from '../../../agent/base/errors.ts';
import type { Mode } from '../../../agent/contract/mode.ts';
import { RestraintFolder } from '../../../agent/orders/restraint-folder.ts';
import { openCheckpoint, parseVerifierKey } from '../../../agent/restraint/journal/note.ts';
import { activeAuthorisation } from '../../../agent/restraint/root-keeper.ts';
import type { AgentHealth } from './change/probation.ts';
import type { TrialStart } from './change/record.ts';
import type { BoxClock } from './clock.ts';
import type { Places } from './paths.ts';
import { ownConfig, readOwnAuthorisation } from './restraint.ts';
import { RoomCommand } from './room-command.ts';

export interface OwnRecordOptions {
  readonly places: Places;
  readonly clock: Pick<BoxClock, 'wallMs'>;
  /** Returns why the wall clock is not trusted; undefined if it is. */
  clockDoubt(): string | undefined;
  say(line: string): void;
}

export class OwnRecord {
  readonly #options: OwnRecordOptions;
  readonly #folder: RestraintFolder;
  readonly #suspend: RoomCommand<'suspend'>;

  constructor(options: OwnRecordOptions) {
    const { places, clock } = options;
    this.#options = options;
    this.#folder = new RestraintFolder(places.folder);
    this.#suspend = new RoomCommand({
      op: 'suspend',
      stateDir: places.agentState,
      folder: places.state,
      clock: { ...systemClock, wallMs: () => clock.wallMs() },
      config: () => ownConfig(places.config),
    });
  }

  /** Returns the number of entries of the journal, as root has last recorded it; null if it never has. */
  journalSize(): number | null {
    return this.#reading(() => {
      const record = this.#folder.journal();
      return record === undefined
        ? null
        : openCheckpoint(record.head, parseVerifierKey(record.verifierKey)).size;
    });
  }

  /** Returns the end of the authorisation that holds now; null if none does. */
  authorisedUntil(): string | null {
    return this.#reading(() => {
      const { site, box } = this.#folder.box();
      const config = ownConfig(this.#options.places.config);
      const { notAfter } = activeAuthorisation(site, box, {
        folder: this.#folder,
        nowMs: this.#options.clock.wallMs(),
        readAuthorisation: (name) => readOwnAuthorisation(config, name),
      });
      return notAfter;
    });
  }

  /**
   * Reports whether the mode may have become `to` since `before`. A suspension needs a command that a key of the room has
   * signed; root's record takes the end of one only with its signatures. The authorisation ends by a trusted clock.
   */
  isLawful(before: TrialStart | null, to: Mode): boolean {
    const isSuspended = this.#folder.suspension()?.suspended === true;
    if (to === 'suspended') return isSuspended && this.#isOrdered();
    if (isSuspended || this.#options.clockDoubt() !== undefined) return false;
    if (to === 'active') return this.authorisedUntil() !== null;
    const end = before?.authorisedUntil ?? null;
    return end !== null && this.#options.clock.wallMs() >= Date.parse(end);
  }

  /** Reports whether a new command of the room has suspended the box. */
  #isOrdered(): boolean {
    const request = this.#suspend.newCommand();
    if (request !== undefined && 'refusal' in request) this.#options.say(request.refusal);
    return request !== undefined && 'args' in request;
  }

  #reading<T>(read: () => T | null): T | null {
    try {
      return read();
    } catch (error) {
      rethrowBug(error);
      this.#options.say(messageOf(error));
      return null;
    }
  }
}

/** Sources of the state before a switch. */
export interface TrialStartOptions {
  readonly own: Pick<OwnRecord, 'journalSize' | 'authorisedUntil'>;
  health(): Promise<AgentHealth | undefined>;
  say(line: string): void;
}

/**
 * Reads the state before a switch, for comparison during probation. Returns null if the agent does not answer, or if its
 * answer is invalid.
 */
export async function trialStart({ own, health, say }: TrialStartOptions): Promise<TrialStart | null> {
  try {
    const report = await health();
    if (report === undefined) return null;
    const { mode, camera } = report;
    return { mode, camera, journalSize: own.journalSize(), authorisedUntil: own.authorisedUntil() };
  } catch (error) {
    rethrowBug(error);
    say(messageOf(error));
    return null;
  }
}

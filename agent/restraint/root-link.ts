/**
 * Links the agent to root's record: checks that the state folder matches the record, and reports the journal's growth
 * to root. In a plain run there is no such record, and the agent itself writes the folder that restrains vision.
 *
 * INVARIANT: a journal of another key, or one that does not continue root's head, leaves the box unauthorised until
 * root decides otherwise (vouch.ts). In that case the state folder was restored, truncated, or recreated.
 * LIMITS: the head is reported every hour and with each change of the mode. A refused report is retried after 10 s.
 */
import type { Clock } from '../base/clock.ts';
import { rethrowBug } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Config } from '../contract/config.ts';
import { writeOwnFolder } from './folder.ts';
import type { RootRecord } from './root-record.ts';

const TELL_EVERY_MS = 3_600_000;
const AGAIN_AFTER_MS = 10_000;

export interface LinkedJournal {
  readonly writable: boolean;
  headSince(
    head: string | undefined,
  ): { readonly verifierKey: string; readonly provenHead: string } | undefined;
}

export interface RootLinkOptions {
  readonly config: Pick<Config, 'site' | 'box' | 'masks' | 'authorityKey'>;
  readonly stateDir: string;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly log: Logger;
  readonly record: RootRecord | undefined;
  readonly journal: LinkedJournal;
  onFailed(reason: string): void;
}

export class RootLink {
  readonly #options: RootLinkOptions;
  #problem: string | undefined;
  #tellAtMs = Number.NEGATIVE_INFINITY;
  #retryAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: RootLinkOptions) {
    this.#options = options;
  }

  /** Reason why nothing may run, or undefined. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** True if the journal's head is due to be reported. */
  get due(): boolean {
    const { record, clock, journal } = this.#options;
    return record !== undefined && journal.writable && clock.nowMs() >= this.#tellAtMs;
  }

  /** True if a request that root refused may be repeated. */
  mayRetry(): boolean {
    const nowMs = this.#options.clock.nowMs();
    if (nowMs < this.#retryAtMs) return false;
    this.#retryAtMs = nowMs + AGAIN_AFTER_MS;
    return true;
  }

  /** Checks again. In a plain run it writes the folder that restrains vision. */
  load(): void {
    const { record, stateDir, config } = this.#options;
    try {
      this.#problem = record === undefined ? writeOwnFolder(stateDir, config) : this.#compare(record);
    } catch (error) {
      rethrowBug(error);
      this.#problem = error.message;
    }
  }

  async keepHead(): Promise<void> {
    const { record, journal, clock } = this.#options;
    if (record === undefined || !journal.writable) return;
    this.#tellAtMs = clock.nowMs() + AGAIN_AFTER_MS;
    await this.#asking(async () => {
      const head = journal.headSince(record.folder.journal()?.head);
      // A head that does not continue root's is a fault, which `load` finds.
      if (head === undefined) return;
      await record.keepHead(head);
      this.#tellAtMs = clock.nowMs() + TELL_EVERY_MS;
    });
  }

  /** Resolves when no vision process is left, or after logging that this is not certain. */
  async stopVision(): Promise<void> {
    const { record } = this.#options;
    if (record !== undefined) await this.#asking(() => record.stopVision());
  }

  #compare({ folder }: RootRecord): string | undefined {
    const { config, journal } = this.#options;
    const { site, box } = folder.box();
    if (site !== config.site || box !== config.box)
      return `root’s record is of ${box} at ${site}; restart vigie-camera-address.service`;
    const rootJournal = folder.journal();
    if (rootJournal === undefined || !journal.writable) return undefined;
    const own = journal.headSince(rootJournal.head);
    if (own?.verifierKey === rootJournal.verifierKey) return undefined;
    return 'the journal does not continue the head in root’s record: the state folder was restored, truncated or recreated; keep a copy of that folder, then run `sudo vigie-root pin`';
  }

  async #asking(ask: () => Promise<void>): Promise<void> {
    try {
      await ask();
    } catch (error) {
      rethrowBug(error);
      this.#options.onFailed(error.message);
    }
  }
}

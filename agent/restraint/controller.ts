/**
 * Decides whether the box may analyse: suspension first, then the authorisation. Reports the decision.
 *
 * INVARIANTS:
 * - Fails closed: without a ruling that permits it there is no vision process.
 * - A suspension is on disk before it is carried out, and is answered when the vision process has ended.
 * - Rulings are carried out in the order in which they were made.
 * LIMITS: the files are read again every minute and on SIGHUP; the state folder is checked with every tick.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { writeAtomically } from '../base/atomic-file.ts';
import type { Clock } from '../base/clock.ts';
import type { Counters } from '../base/counters.ts';
import { messageOf, rethrowBug } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { TrustedClock } from '../base/trusted-clock.ts';
import type { Authorisation } from '../contract/authorisation.ts';
import { CommandRefused } from '../contract/command.ts';
import type { CheckedCommand, CommandResult } from '../contract/commands.ts';
import type { Config } from '../contract/config.ts';
import type { FramesReport } from '../contract/health.ts';
import {
  type LocalMode,
  MODE_TYPE,
  type Mode,
  RESUME_BYTES_MAX,
  type RestraintReport,
  type TimeResetResult,
} from '../contract/mode.ts';
import type { CapturePermit, Ruling } from '../contract/permit.ts';
import type { Retention } from '../contract/retention.ts';
import { publicTextOf, signEnvelope } from '../orders/dsse.ts';
import { Authority } from './authority.ts';
import { JOURNAL_KEY_FILE, readJournalKey } from './journal/key.ts';
import { LOCAL_MODE_FILE, RESUME_REQUEST_FILE } from './mode-files.ts';
import { openResume } from './resume.ts';
import { type LinkedJournal, RootLink } from './root-link.ts';
import type { RootRecord } from './root-record.ts';
import { authorisationEntry, isSame, type Ruled, reportOf, rulingOf, statementOf } from './ruling.ts';
import { SuspensionRecords, type SuspensionRecordsOptions } from './suspension-records.ts';

const LOAD_EVERY_MS = 60_000;
const TEXT_MAX = 500;

export interface RestraintControllerOptions {
  readonly config: Config;
  readonly stateDir: string;
  readonly boot: string;
  readonly clock: Clock;
  readonly steady: Pick<TrustedClock, 'trusted'>;
  readonly log: Logger;
  /** Root's record; undefined in a plain run, where one user owns everything. */
  readonly record: RootRecord | undefined;
  readonly status: { readonly frames: FramesReport };
  /** Required for a permit: without a working journal nothing can be proved. */
  readonly journal: SuspensionRecordsOptions['journal'] &
    LinkedJournal & {
      readonly recordedState: { readonly confirmedBeforeMs: number | undefined } | undefined;
    };
  readonly retention: Retention;
  /** Publishes signed statements, retained. */
  readonly publisher: { mode(statement: string): void } | undefined;
  readonly flow: {
    permit(ruling: Ruling): void;
    /** Incidents that a shadow rule has suppressed. */
    shadowed(rule: string): number;
  };
  /** Stores passing objects as the authorisation says. */
  readonly trackLog: {
    permit(ruled: Pick<Ruled, 'mode' | 'authorisation'>): void;
  };
  /** Resolves when vision is as the permit says. */
  readonly supervisor: { carryOut(permit: CapturePermit | undefined): Promise<void> };
}

export class RestraintController {
  readonly #options: RestraintControllerOptions;
  readonly #suspension: SuspensionRecords;
  readonly #authority: Authority;
  readonly #root: RootLink;
  /** Last ruling. */
  #ruled: Ruled | undefined;
  /** Ruling that has been carried out. */
  #carriedOut: Ruled | undefined;
  #carrying: Promise<void> = Promise.resolve();
  #loadAtMs = 0;
  #answer: LocalMode['answer'] = null;
  #failure = '';
  #failures = 0;

  constructor(options: RestraintControllerOptions) {
    const { config, stateDir, clock, log, record, journal } = options;
    this.#options = options;
    const onFailed = (reason: string): void => this.#failed(reason);
    this.#suspension = new SuspensionRecords({ stateDir, clock, record, journal, onFailed });
    this.#root = new RootLink({ config, stateDir, clock, log, record, journal, onFailed });
    this.#authority = new Authority({
      config,
      stateDir,
      clock,
      journal,
      folder: record?.folder,
      onPinned: (keyid, before) => journal.enter({ type: 'authority', before, after: keyid }),
    });
  }

  get mode(): Mode {
    return this.#carriedOut?.mode ?? 'unauthorised';
  }

  /** Last ruling, which may not be carried out yet. */
  get ruled(): Ruled | undefined {
    return this.#ruled;
  }

  get counters(): Counters {
    return { restraint_write_failures: this.#failures };
  }

  /** Must be called before the journal is opened, which records the folder of vision. */
  prepare(): void {
    this.#root.load();
  }

  /** Resolves when vision has been started, or must not be. */
  async start(): Promise<void> {
    this.tick();
    await this.settled();
  }

  /** Resolves when all rulings made up to now have been carried out. */
  async settled(): Promise<void> {
    await this.#carrying;
  }

  /** Stores the journal's last head of this run where the agent cannot change it. */
  async keepHead(): Promise<void> {
    await this.#root.keepHead();
  }

  /** Reads the authorisation again with the next tick. */
  reload(): void {
    this.#loadAtMs = 0;
  }

  /** Must be called often. */
  tick(): void {
    const nowMs = this.#options.clock.nowMs();
    if (this.#options.steady.trusted()) this.#authority.confirmTime();
    if (nowMs >= this.#loadAtMs) {
      this.#loadAtMs = nowMs + LOAD_EVERY_MS;
      this.#suspension.beginIfFirst(this.#authority.hasRunBefore);
      this.#root.load();
      this.#authority.load();
      this.#trying(() => this.#authority.keepTime());
    }
    this.#takeRequest();
    this.#evaluate();
    if (this.#root.due) this.#next(() => this.#root.keepHead());
    if (this.mode === 'suspended' && !this.#suspension.recordedAtRoot && this.#root.mayRetry())
      this.#next(() => this.#record());
  }

  /** Handles the command `suspend`. It is answered when the vision process has ended. */
  async suspend({ args, key, envelope }: CheckedCommand<'suspend'>): Promise<CommandResult<'suspend'>> {
    try {
      this.#suspension.suspend(args.reason, key, envelope);
    } finally {
      this.#evaluate();
    }
    await this.#carrying;
    return this.#result();
  }

  /** Handles the command `resume`. */
  async resume({ args }: CheckedCommand<'resume'>): Promise<CommandResult<'resume'>> {
    await this.#resume(Buffer.from(JSON.stringify(args.envelope)));
    await this.#carrying;
    return this.#result();
  }

  /** Handles the command `reset-time`: the box's clock is right, whatever it said before. */
  resetTime({ key }: Pick<CheckedCommand<'reset-time'>, 'key'>): TimeResetResult {
    const { clock, journal } = this.#options;
    const before = new Date(this.#authority.nowMs()).toISOString();
    const after = new Date(clock.wallMs()).toISOString();
    this.#authority.resetTime();
    journal.enter({ type: 'time-reset', before, after, by: key });
    this.#loadAtMs = 0;
    return { before, after };
  }

  /** Signs the statement again and publishes it. */
  publish(): void {
    const statement = this.#statement();
    const signed = statement && this.sign(MODE_TYPE, () => statement);
    if (signed !== undefined) this.#options.publisher?.mode(signed);
  }

  /**
   * Signs a statement, which may contain the public half, with the journal's key. Returns undefined if the key cannot
   * be read, which is logged.
   */
  sign(payloadType: string, statement: (publicKey: string) => object): string | undefined {
    const file = join(this.#options.stateDir, JOURNAL_KEY_FILE);
    const key = this.#trying(() => readJournalKey(file));
    return key && signEnvelope(payloadType, JSON.stringify(statement(publicTextOf(key))), key);
  }

  report(): RestraintReport {
    return reportOf(this.#carriedOut, (rule) => this.#options.flow.shadowed(rule));
  }

  /** Signed and valid authorisation, whether the box analyses under it or not. */
  get authorisation(): Authorisation | undefined {
    return this.#carriedOut?.authorisation;
  }

  /** End of the configured authorisation, as `Authority.endMs`. */
  get authorisationEndMs(): number | null | undefined {
    return this.#authority.endMs;
  }

  async #resume(bytes: Uint8Array): Promise<void> {
    const { site, box } = this.#options.config;
    const { suspended, id: suspension } = this.#suspension.state();
    if (!suspended) throw new CommandRefused('not-permitted', 'this box is not suspended');
    const authorisation = this.#authority.now();
    if ('reason' in authorisation) {
      const message = `no valid authorisation with resumeKeys that could sign: ${authorisation.reason}`;
      throw new CommandRefused('not-permitted', message);
    }
    const own = { site, box, suspension };
    const { reason, names } = openResume(bytes, authorisation.content, own, this.#authority.nowMs());
    await this.#suspension.end(suspension, reason, names, bytes);
    this.#evaluate();
  }

  /** Takes a request that `vigie resume` on the box has left in the folder. */
  #takeRequest(): void {
    const file = join(this.#options.stateDir, RESUME_REQUEST_FILE);
    if (!existsSync(file)) return;
    let bytes: Buffer;
    try {
      bytes = readFileSync(file);
      rmSync(file);
    } catch (error) {
      this.#failed(`${file}: ${messageOf(error)}`);
      return;
    }
    this.#next(() => this.#answerRequest(bytes));
  }

  async #answerRequest(bytes: Buffer): Promise<void> {
    let refusal: string | null = null;
    try {
      await this.#resume(bytes.subarray(0, RESUME_BYTES_MAX + 1));
    } catch (error) {
      rethrowBug(error);
      refusal = error.message.slice(0, TEXT_MAX);
      this.#options.log.warn({ reason: refusal }, 'resume refused');
    }
    this.#answer = { request: createHash('sha256').update(bytes).digest('hex'), refused: refusal };
    // Runs after the resume's ruling.
    this.#next(async () => this.#writeLocalMode());
  }

  #evaluate(): void {
    const ruling = rulingOf({
      suspension: this.#suspension.state(),
      signedAuthorisation: this.#authority.now(),
      journalWritable: this.#options.journal.writable,
      rootProblem: this.#root.problem,
    });
    if (this.#ruled !== undefined && isSame(this.#ruled, ruling)) return;
    const sinceText =
      ruling.mode === this.#ruled?.mode && ruling.startTime === '' ? this.#ruled.startTime : ruling.startTime;
    const ruled = { ...ruling, startTime: sinceText === '' ? this.#now() : sinceText };
    this.#ruled = ruled;
    if (ruling.authorisation !== undefined) this.#options.retention.allow(ruling.authorisation.retention);
    this.#next(() => this.#carryOut(ruled));
  }

  /** Runs tasks in sequence. */
  #next(action: () => Promise<void>): void {
    this.#carrying = this.#carrying.then(action);
  }

  async #carryOut(ruled: Ruled): Promise<void> {
    const { flow, supervisor, trackLog, log, journal, status } = this.#options;
    const before = this.#carriedOut;
    flow.permit(ruled);
    trackLog.permit(ruled);
    await supervisor.carryOut(ruled.permit);
    if (ruled.permit === undefined) await this.#root.stopVision();
    if (ruled.mode === 'suspended') await this.#record();
    this.#carriedOut = ruled;
    const { mode, reason, startTime, suspension, by, authorisation, sha256 } = ruled;
    const fields = { mode, reason, order: authorisation?.order ?? null };
    log[mode === 'unauthorised' ? 'error' : 'info'](fields, `mode: ${mode}`);
    if (authorisation !== undefined && sha256 !== undefined && sha256 !== before?.sha256)
      journal.enter(authorisationEntry(authorisation, sha256));
    const { read: framesRead, watched: packetsWatched } = status.frames;
    if (before !== undefined && mode === 'suspended' && suspension !== before.suspension) {
      const entry = { id: suspension ?? '', reason: reason ?? '', by: by ?? '', framesRead, packetsWatched };
      journal.enter({ type: 'suspend', ...entry });
    }
    if (mode !== before?.mode || reason !== before.reason || suspension !== before.suspension) {
      journal.enter({ type: 'mode', mode, since: startTime, reason, suspension, framesRead, packetsWatched });
    }
    if (mode === 'unauthorised') this.#trying(() => this.#authority.keepTime());
    if (mode !== before?.mode) await this.#root.keepHead();
    this.#writeLocalMode();
    this.publish();
  }

  /** Has root record the suspension; a failure is retried. */
  async #record(): Promise<void> {
    try {
      await this.#suspension.recordAtRoot();
    } catch (error) {
      rethrowBug(error);
      this.#failed(error.message);
    }
  }

  #statement() {
    const { config, boot, status } = this.#options;
    return this.#carriedOut && statementOf(this.#carriedOut, config, boot, this.#now(), status.frames);
  }

  #result(): CommandResult<'suspend'> {
    const statement = this.#statement();
    if (statement === undefined)
      throw new CommandRefused('unavailable', 'the mode of this box is not known yet; ask again');
    const { mode, since, reason, framesRead, packetsWatched, suspension } = statement;
    const recorded = this.#options.record &&
      mode === 'suspended' && { recorded: this.#suspension.recordedAtRoot };
    return { mode, since, reason, framesRead, packetsWatched, suspension, ...recorded };
  }

  #writeLocalMode(): void {
    const statement = this.#statement();
    if (statement === undefined) return;
    const local: LocalMode = { pid: process.pid, statement, answer: this.#answer };
    const file = join(this.#options.stateDir, LOCAL_MODE_FILE);
    try {
      writeAtomically(file, JSON.stringify(local));
    } catch (error) {
      this.#failed(`${file} cannot be written: ${messageOf(error)}`);
    }
  }

  /** Runs `act`. A refusal by the disk is logged once and counted, and permits nothing. */
  #trying<T>(action: () => T): T | undefined {
    try {
      return action();
    } catch (error) {
      rethrowBug(error);
      this.#failed(error.message);
      return undefined;
    }
  }

  #failed(reason: string): void {
    this.#failures += 1;
    if (reason !== this.#failure) this.#options.log.error({}, reason);
    this.#failure = reason;
  }

  #now(): string {
    return new Date(this.#options.clock.wallMs()).toISOString();
  }
}

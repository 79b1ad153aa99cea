/**
 * Whether the box looks: suspension first, then the authorisation; and who is told.
 *
 * INVARIANTS: fail-closed: without a ruling that says otherwise there is no vision process; a suspension is on disk
 * before it is carried out, and is answered when the vision process has gone; what is carried out is carried out in
 * the order in which it was ruled.
 * LIMITS: the files are read anew every minute and on SIGHUP; the state folder is looked at with every tick.
 */
import { createHash, type KeyObject } from 'node:crypto';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { TObject } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { writeAtomically } from '../base/atomic-file.ts';
import type { Clock } from '../base/clock.ts';
import { signEnvelope } from '../base/dsse.ts';
import { AgentError, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Authorisation } from '../contract/authorisation.ts';
import { type AcceptedCommand, CommandRefused } from '../contract/command.ts';
import type { Config } from '../contract/config.ts';
import type { Counters } from '../contract/counters.ts';
import type { FramesReport } from '../contract/health.ts';
import type { JournalEntry } from '../contract/journal.ts';
import {
  type LocalMode,
  MODE_TYPE,
  type Mode,
  type ModeStatement,
  RESUME_BYTES_MAX,
  type RestraintReport,
  ResumeArgs,
  SuspendArgs,
} from '../contract/mode.ts';
import type { CapturePermit, Ruling } from '../contract/permit.ts';
import { type Coverage, coverageOf } from './authorisation.ts';
import { Authority } from './authority.ts';
import { JOURNAL_KEY_FILE, readJournalKey } from './journal/key.ts';
import { permitUnder } from './permit.ts';
import { LOCAL_MODE_FILE, RESUME_REQUEST_FILE } from './places.ts';
import { openResume } from './resume.ts';
import type { Retention } from './retention.ts';
import { SUSPENSION_FILE, Suspension } from './suspension.ts';

const LOAD_EVERY_MS = 60_000;
const TEXT_MAX = 500;

export interface RestraintControllerOptions {
  readonly config: Config;
  readonly stateDir: string;
  readonly boot: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly status: { readonly frames: FramesReport };
  /** Where nothing can be proved, nothing is done. */
  readonly journal: { readonly writable: boolean; enter(entry: JournalEntry): void };
  readonly retention: Retention;
  /** Publishes signed statements, retained. */
  readonly delivery: { publishMode(statement: string): void } | undefined;
  readonly flow: {
    permit(ruling: Ruling): void;
    /** Incidents that a shadow rule has kept back. */
    shadowed(rule: string): number;
  };
  /** Resolves when vision is as the permit says. */
  readonly supervisor: { carryOut(permit: CapturePermit | undefined): Promise<void> };
}

/** A ruling with what it rests on. */
interface Ruled extends Ruling {
  readonly since: string;
  readonly suspension: string | null;
  readonly by: string | null;
  readonly authorisation: Authorisation | undefined;
  readonly sha256: string | undefined;
  readonly coverage: readonly Coverage[];
}

export class RestraintController {
  readonly #options: RestraintControllerOptions;
  readonly #suspension: Suspension;
  readonly #authority: Authority;
  /** As it was ruled last. */
  #ruled: Ruled | undefined;
  /** As it is. */
  #carriedOut: Ruled | undefined;
  #carrying: Promise<void> = Promise.resolve();
  #loadAtMs = 0;
  #answer: LocalMode['answer'] = null;
  #failure = '';
  #writeFailures = 0;

  constructor(options: RestraintControllerOptions) {
    const { config, stateDir, clock } = options;
    this.#options = options;
    this.#suspension = new Suspension(join(stateDir, SUSPENSION_FILE));
    this.#authority = new Authority({
      config,
      stateDir,
      clock,
      onPinned: (keyid, before) => options.journal.enter({ type: 'authority', before, after: keyid }),
    });
  }

  get mode(): Mode {
    return this.#carriedOut?.mode ?? 'unauthorised';
  }

  get counters(): Counters {
    return { restraint_write_failures: this.#writeFailures };
  }

  start(): void {
    const { stateDir } = this.#options;
    if (!existsSync(join(stateDir, SUSPENSION_FILE)) && !this.#authority.known) {
      this.#trying(() => this.#suspension.begin(this.#options.clock.wallMs()));
    }
    this.tick();
  }

  /** Resolves when what was ruled so far has been carried out. */
  async settled(): Promise<void> {
    await this.#carrying;
  }

  /** Reads the authorisation anew with the next tick. */
  reload(): void {
    this.#loadAtMs = 0;
  }

  /** To be called often. */
  tick(): void {
    const nowMs = this.#options.clock.nowMs();
    if (nowMs >= this.#loadAtMs) {
      this.#loadAtMs = nowMs + LOAD_EVERY_MS;
      this.#authority.load();
      this.#trying(() => this.#authority.keepTime());
    }
    this.#takeRequest();
    this.#look();
  }

  /** The command `suspend`: answered when the vision process has gone. */
  async suspend({ args, key }: AcceptedCommand): Promise<object> {
    const { reason } = checked(SuspendArgs, args) as { reason: string };
    try {
      this.#suspension.suspend(reason, key, this.#options.clock.wallMs());
    } finally {
      this.#look();
    }
    await this.#carrying;
    return this.#result();
  }

  /** The command `resume`. */
  async resume({ args }: AcceptedCommand): Promise<object> {
    const { envelope } = checked(ResumeArgs, args) as { envelope: object };
    this.#resume(Buffer.from(JSON.stringify(envelope)));
    await this.#carrying;
    return this.#result();
  }

  /** Signs the statement anew and publishes it. */
  publish(): void {
    const key = this.#journalKey();
    const statement = this.#statement();
    if (key === undefined || statement === undefined) return;
    this.#options.delivery?.publishMode(signEnvelope(MODE_TYPE, JSON.stringify(statement), key));
  }

  report(): RestraintReport {
    const { since = '1970-01-01T00:00:00.000Z', reason = 'starting', authorisation } = this.#carriedOut ?? {};
    const coverage = this.#carriedOut?.coverage ?? [];
    return {
      since,
      reason,
      order: authorisation?.order ?? null,
      validUntil: authorisation?.notAfter ?? null,
      rules: coverage.map(({ rule, grant, reason: why }) => ({
        id: rule,
        state: grant === undefined ? 'unauthorised' : grant.shadow ? 'shadow' : 'active',
        reason: why?.slice(0, TEXT_MAX) ?? null,
        shadowed: this.#options.flow.shadowed(rule),
      })),
    };
  }

  #resume(bytes: Uint8Array): void {
    const { config, clock, journal } = this.#options;
    const { site, box } = config;
    const { suspended, id: suspension } = this.#suspension.read();
    if (!suspended) throw new CommandRefused('not-permitted', 'this box is not suspended');
    const held = this.#authority.now();
    if ('reason' in held) {
      const message = `no authorisation holds whose resumeKeys could sign: ${held.reason}`;
      throw new CommandRefused('not-permitted', message);
    }
    const own = { site, box, suspension };
    const { reason, names } = openResume(bytes, held.content, own, this.#authority.nowMs());
    this.#suspension.resume(reason, names.join(', '), clock.wallMs());
    journal.enter({ type: 'resume', id: suspension, reason, by: names });
    this.#look();
  }

  /** What `vigie resume` on the box has left here. */
  #takeRequest(): void {
    const file = join(this.#options.stateDir, RESUME_REQUEST_FILE);
    if (!existsSync(file)) return;
    let refused: string | null = null;
    let bytes: Buffer;
    try {
      bytes = readFileSync(file);
      rmSync(file);
    } catch (error) {
      this.#failed(`${file}: ${messageOf(error)}`);
      return;
    }
    try {
      this.#resume(bytes.subarray(0, RESUME_BYTES_MAX + 1));
    } catch (error) {
      if (!(error instanceof AgentError) || error.kind === 'bug') throw error;
      refused = error.message.slice(0, TEXT_MAX);
      this.#options.log.warn({ reason: refused }, 'resume refused');
    }
    this.#answer = { request: createHash('sha256').update(bytes).digest('hex'), refused };
    this.#carrying = this.#carrying.then(() => this.#writeLocalMode());
  }

  #look(): void {
    const found = this.#rule();
    if (this.#ruled !== undefined && isSame(this.#ruled, found)) return;
    const since = found.mode === this.#ruled?.mode && found.since === '' ? this.#ruled.since : found.since;
    const ruled = { ...found, since: since === '' ? this.#now() : since };
    this.#ruled = ruled;
    if (found.authorisation !== undefined) this.#options.retention.allow(found.authorisation.retention);
    this.#carrying = this.#carrying.then(() => this.#carryOut(ruled));
  }

  async #carryOut(ruled: Ruled): Promise<void> {
    const { flow, supervisor, log, journal, status } = this.#options;
    const before = this.#carriedOut;
    flow.permit(ruled);
    await supervisor.carryOut(ruled.permit);
    this.#carriedOut = ruled;
    const { mode, reason, since, suspension, by, authorisation, sha256 } = ruled;
    const fields = { mode, reason, order: authorisation?.order ?? null };
    log[mode === 'unauthorised' ? 'error' : 'info'](fields, `mode: ${mode}`);
    if (authorisation !== undefined && sha256 !== undefined && sha256 !== before?.sha256) {
      const { order, notBefore, notAfter } = authorisation;
      journal.enter({ type: 'authorisation', order, sha256, notBefore, notAfter });
    }
    const framesRead = status.frames.read;
    if (before !== undefined && mode === 'suspended' && suspension !== before.suspension) {
      journal.enter({
        type: 'suspend',
        id: suspension ?? '',
        reason: reason ?? '',
        by: by ?? '',
        framesRead,
      });
    }
    if (mode !== before?.mode || reason !== before.reason || suspension !== before.suspension) {
      journal.enter({ type: 'mode', mode, since, reason, suspension, framesRead });
    }
    if (mode === 'unauthorised') this.#trying(() => this.#authority.keepTime());
    this.#writeLocalMode();
    this.publish();
  }

  /** `since` is empty where it began just now. */
  #rule(): Ruled {
    const { rules } = this.#options.config;
    const { suspended, id, since, reason, by } = this.#suspension.read();
    const held = this.#authority.now();
    const [authorisation, sha256] = 'reason' in held ? [] : [held.content, held.sha256];
    const coverage = authorisation === undefined ? [] : coverageOf(authorisation, rules);
    const refused = new Map(
      coverage.flatMap(({ rule, reason: why }): [string, string][] =>
        why === undefined ? [] : [[rule, why]],
      ),
    );
    const base = { authorisation, sha256, coverage, refused };
    if (suspended) {
      const suspension = { suspension: id, by, since: since ?? '' };
      return { ...base, ...suspension, mode: 'suspended', reason, permit: undefined };
    }
    const own = { ...base, suspension: null, by: null, since: '' };
    if (authorisation === undefined) {
      const why = 'reason' in held ? held.reason.slice(0, TEXT_MAX) : null;
      return { ...own, mode: 'unauthorised', reason: why, permit: undefined };
    }
    if (!this.#options.journal.writable) {
      const why = 'journal-down: what could not be proved is not done';
      return { ...own, mode: 'unauthorised', reason: why, permit: undefined };
    }
    return { ...own, mode: 'active', reason: null, permit: permitUnder(authorisation, coverage) };
  }

  #statement(): ModeStatement | undefined {
    if (this.#carriedOut === undefined) return undefined;
    const { config, boot, status } = this.#options;
    const { site, box } = config;
    const { mode, since, reason, authorisation, suspension } = this.#carriedOut;
    return {
      ...{
        site,
        box,
        boot,
        time: this.#now(),
        mode,
        since,
        reason,
        framesRead: status.frames.read,
        suspension,
      },
      order: authorisation?.order ?? null,
      validUntil: authorisation?.notAfter ?? null,
    };
  }

  #result(): object {
    const { mode, since, reason, framesRead, suspension } = this.#statement() ?? {};
    return { mode, since, reason, framesRead, suspension };
  }

  #writeLocalMode(): void {
    const statement = this.#statement();
    if (statement === undefined) return;
    const local: LocalMode = { pid: process.pid, statement, answer: this.#answer };
    this.#trying(() => {
      const file = join(this.#options.stateDir, LOCAL_MODE_FILE);
      try {
        writeAtomically(file, JSON.stringify(local));
      } catch (error) {
        throw new AgentError('unavailable', `${file} cannot be written: ${messageOf(error)}`, error);
      }
    });
  }

  #journalKey(): KeyObject | undefined {
    return this.#trying(() => readJournalKey(join(this.#options.stateDir, JOURNAL_KEY_FILE)));
  }

  /** What the disk refuses is told once and counted; nothing is allowed by it. */
  #trying<T>(act: () => T): T | undefined {
    try {
      return act();
    } catch (error) {
      if (!(error instanceof AgentError) || error.kind === 'bug') throw error;
      this.#failed(error.message);
      return undefined;
    }
  }

  #failed(reason: string): void {
    this.#writeFailures += 1;
    if (reason !== this.#failure) this.#options.log.error({}, reason);
    this.#failure = reason;
  }

  #now(): string {
    return new Date(this.#options.clock.wallMs()).toISOString();
  }
}

/** Reasons of time hold the time, which is no change. */
function isSame(a: Ruled, b: Ruled): boolean {
  const mark = ({ mode, reason, suspension, sha256, coverage }: Ruled): string =>
    JSON.stringify([mode, reason?.replace(/; it is .*$/, ''), suspension, sha256, coverage]);
  return mark(a) === mark(b);
}

function checked(schema: TObject, args: unknown): unknown {
  if (Value.Check(schema, args)) return args;
  const error = Value.Errors(schema, args).First();
  throw new CommandRefused('bad-arguments', `args${error?.path ?? ''}: ${error?.message ?? ''}`);
}

/**
 * Record of accuracy in the agent: stores alerts and verdicts, and never delays an alert.
 *
 * INVARIANTS: no method throws because of the disk or the room; failed records are counted.
 *
 * LIMITS: a file that cannot be opened is retried every 30 s. verdict-message.ts limits the messages.
 */
import { Value } from '@sinclair/typebox/value';
import type { Clock } from '../base/clock.ts';
import { AgentError, messageOf, rethrowBug } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { forgetDamaged, moveAside } from '../base/sqlite.ts';
import type { AccuracyReport, Proposal, WalkResult } from '../contract/accuracy.ts';
import type { Config } from '../contract/config.ts';
import type { EventData } from '../contract/event.ts';
import type { UnnumberedEvent } from '../contract/event-sink.ts';
import { XyxyNorm } from '../contract/geometry.ts';
import { recordFile } from './database.ts';
import { type BoxState, type Raised, RecordStore, type StoreLimits, type Watching } from './store.ts';
import { parseVerdict } from './verdict-message.ts';
import { WalkTest, type WalkTestOptions, type WalkTestStore } from './walk-test.ts';

const REOPEN_EVERY_MS = 30_000;
const EXPIRE_EVERY_MS = 3_600_000;
const DAY_MS = 86_400_000;

export interface AccuracyRecordOptions {
  readonly file: string;
  readonly watching: Watching;
  readonly clock: Clock;
  readonly log: Logger;
  /** Limits for tests. */
  readonly limits?: StoreLimits;
}

export class AccuracyRecord {
  readonly #options: AccuracyRecordOptions;
  readonly #verdicts = { taken: 0, repeated: 0, unknown: 0, malformed: 0 };
  #store: RecordStore | undefined;
  #box: BoxState;
  #unrecorded = 0;
  #proposals: readonly Proposal[] | undefined;
  #failing = false;
  #stopped = false;
  #openAtMs = Number.NEGATIVE_INFINITY;
  #expiredAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: AccuracyRecordOptions) {
    this.#options = options;
    this.#box = { watching: options.watching, sees: false };
  }

  start(): void {
    this.#attempt(() => undefined);
  }

  /** Stops recording. Idempotent. */
  stop(): void {
    this.#box = { ...this.#box, sees: false };
    if (this.#store !== undefined) {
      this.#attempt((store) => store.setBox(this.#box));
      this.#attempt((store) => store.close());
    }
    this.#store = undefined;
    this.#stopped = true;
  }

  /** Sets whether frames arrive: a walk test of a blind box would measure nothing. */
  sees(sees: boolean): void {
    if (sees === this.#box.sees) return;
    this.#box = { ...this.#box, sees };
    this.#attempt((store) => store.setBox(this.#box));
  }

  /** Records an event that was accepted for delivery. Only alerts of rules are reviewed. */
  note({ id, time, data }: UnnumberedEvent): void {
    if (data.severity !== 'alert' || data.phase === 'update') return;
    const { episode, phase, rule } = data;
    const wallMs = Date.parse(time);
    const noted = this.#attempt((store) => {
      if (phase === 'start') store.raise({ episode, event: id, rule: rule.id, wallMs, ...spotOf(data) });
      else store.end(episode, wallMs);
    });
    if (!noted && phase === 'start') this.#unrecorded += 1;
  }

  /** Processes a message on the verdict topic, whatever its content. */
  verdict(payload: Buffer): void {
    const { clock, log } = this.#options;
    try {
      const message = parseVerdict(payload);
      const wasRecorded = this.#attempt((store) => {
        this.#verdicts[store.recordVerdict(message, clock.wallMs())] += 1;
        this.#proposals = undefined;
      });
      if (!wasRecorded) this.#unrecorded += 1;
    } catch (error) {
      if (!(error instanceof AgentError) || error.kind !== 'corrupt') throw error;
      this.#verdicts.malformed += 1;
      if (this.#verdicts.malformed > 1) return;
      log.warn({ reason: messageOf(error) }, 'a verdict was refused; further ones are only counted');
    }
  }

  /**
   * Runs a walk test of one of the agent's rules with a technician.
   * @throws AgentError `unavailable` if the box receives no frames or the record is unusable
   * @throws WalkTestOver
   */
  walkTest({
    rule,
    passes,
    technician,
    signal,
    isOn,
  }: Omit<WalkTestOptions, 'store' | 'clock'>): Promise<WalkResult> {
    const { clock } = this.#options;
    const store: WalkTestStore = {
      box: () => this.#must((own) => own.box()),
      lastId: () => this.#must((own) => own.lastId()),
      raisedSince: (rule, afterId) => this.#must((own) => own.raisedSince(rule, afterId)),
      keepWalkTest: (test) => this.#must((own) => own.keepWalkTest(test)),
    };
    return new WalkTest({ store, rule, passes, technician, clock, signal, isOn }).run();
  }

  /**
   * Returns the proposals from the verdicts; the last known ones while the record cannot be read. Cached between two
   * verdicts.
   */
  proposals(): readonly Proposal[] {
    if (this.#proposals !== undefined) return this.#proposals;
    this.#attempt((store) => {
      this.#proposals = store.proposals(this.#options.watching.rules);
    });
    return this.#proposals ?? [];
  }

  /** Returns the report; null while the record cannot be read. */
  report(): AccuracyReport | null {
    const { clock, file, watching } = this.#options;
    let report: AccuracyReport | null = null;
    this.#attempt((store) => {
      if (clock.nowMs() - this.#expiredAtMs >= EXPIRE_EVERY_MS) {
        const beforeMs = clock.wallMs() - watching.retentionDays * DAY_MS;
        store.expire(beforeMs);
        forgetDamaged(recordFile(file), beforeMs);
        this.#expiredAtMs = clock.nowMs();
        this.#proposals = undefined;
      }
      report = {
        rules: store.statistics(watching.rules.map(({ id }) => id)),
        verdicts: { ...this.#verdicts },
        unrecorded: this.#unrecorded,
        ...store.counters(),
      };
    });
    return report;
  }

  /** Returns whether `operation` was executed. */
  #attempt(operation: (store: RecordStore) => void): boolean {
    try {
      const store = this.#openStore();
      if (store === undefined) return false;
      operation(store);
      this.#failing = false;
      return true;
    } catch (error) {
      rethrowBug(error);
      this.#failed(error);
      return false;
    }
  }

  #must<T>(operation: (store: RecordStore) => T): T {
    const store = this.#openStore();
    if (store === undefined) throw new AgentError('unavailable', 'the accuracy record is unavailable');
    return operation(store);
  }

  #openStore(): RecordStore | undefined {
    const { clock, file, limits } = this.#options;
    if (this.#store !== undefined) return this.#store;
    if (this.#stopped || clock.nowMs() < this.#openAtMs) return undefined;
    this.#openAtMs = clock.nowMs() + REOPEN_EVERY_MS;
    this.#store = RecordStore.make(file, limits);
    this.#store.setBox(this.#box);
    return this.#store;
  }

  #failed(error: AgentError): void {
    const { file, log } = this.#options;
    if (!this.#failing) {
      log.warn({ reason: error.message }, 'accuracy is not recorded; alerts and delivery go on');
    }
    this.#failing = true;
    if (error.kind !== 'corrupt') return;
    try {
      this.#store?.close();
      this.#store = undefined;
      moveAside(recordFile(file));
      this.#openAtMs = Number.NEGATIVE_INFINITY;
      log.error(
        { file: `${file}.damaged` },
        'the accuracy record was damaged; it was moved aside and a new one was started',
      );
    } catch (failure) {
      if (!(failure instanceof AgentError)) throw failure;
      log.warn({ reason: failure.message }, 'the damaged accuracy record could not be moved aside');
    }
  }
}

/** Returns the data that commands beside the agent need. */
export function watchingOf({ site, box, rules, timeZone, holidays, retention }: Config): Watching {
  return { site, box, retentionDays: retention.eventsDays, timeZone, holidays, rules };
}

/**
 * Returns the place of an alert and the value compared with the rule's threshold, from the first object, or from the
 * changed place.
 */
function spotOf({ objects: [object], cause }: EventData): Pick<Raised, 'xyxyNorm' | 'measure'> {
  if (object !== undefined) return { xyxyNorm: object.xyxyNorm, measure: object.score };
  const { xyxyNorm, areaNorm } = cause;
  return {
    xyxyNorm: Value.Check(XyxyNorm, xyxyNorm) ? xyxyNorm : undefined,
    measure: typeof areaNorm === 'number' ? areaNorm : undefined,
  };
}

/**
 * Agent side of updates. It passes the room's orders (desired releases and configurations) to root, and reports root's
 * and the box's state to the room. It records completed changes in the journal. It installs nothing.
 *
 * INVARIANTS:
 * - Reports are signed by the key of the journal, as statements of the mode are.
 * - A report states the actual state, never the desired one.
 * LIMITS: at most one report a second, at least one an hour, and one for each connection; none while there is no
 * connection.
 */
import type { Clock } from '../base/clock.ts';
import type { Counters } from '../base/counters.ts';
import type { Logger } from '../base/log.ts';
import { programVersion } from '../base/package-root.ts';
import type { Authorisation } from '../contract/authorisation.ts';
import type { Config } from '../contract/config.ts';
import type { CertificateReport } from '../contract/health.ts';
import type { Mode } from '../contract/mode.ts';
import type { Topics } from '../contract/topics.ts';
import { UPDATE_REPORT_TYPE, type UpdateReport, type UpdaterStatus } from '../contract/update.ts';
import { Progress, type ProgressOptions } from './progress.ts';
import { RoomOrder } from './room-orders.ts';
import { RootFiles, type RootSources } from './root-files.ts';

export type { RootSources };

const REPORT_EVERY_MS = 3_600_000;
/** Minimum time between reports. The room can follow a download without filling a mobile link. */
const APART_MS = 1000;

export interface UpdatesOptions extends RootSources, Pick<ProgressOptions, 'flow'> {
  readonly config: Pick<Config, 'site' | 'box' | 'commands'>;
  readonly stateDir: string;
  readonly boot: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly topics: Pick<Topics, 'updateDesired' | 'configDesired'>;
  readonly journal: ProgressOptions['journal'] & { readonly head: string | undefined };
  readonly restraint: {
    readonly mode: Mode;
    readonly authorisation: Authorisation | undefined;
    readonly authorisationEndMs: number | null | undefined;
    /** Signs with the key of the journal; undefined while the key cannot be read. */
    sign(payloadType: string, statement: (publicKey: string) => object): string | undefined;
  };
  readonly certificates: { readonly report: CertificateReport | null };
  /** Publishes retained messages. */
  readonly publisher: { updateReport(signed: string): void } | undefined;
}

type Content = Omit<UpdateReport, 'key' | 'at' | 'journalIndex'>;

export class Updates {
  readonly #options: UpdatesOptions;
  readonly #version = programVersion();
  readonly #update: RoomOrder;
  readonly #configure: RoomOrder;
  readonly #files: RootFiles;
  readonly #progress: Progress;
  #reports = 0;
  #reported = '';
  #reportAtMs = Number.POSITIVE_INFINITY;
  #notBeforeMs = 0;

  constructor(options: UpdatesOptions) {
    const { config, stateDir, clock, log } = options;
    this.#options = options;
    const reader = {
      site: config.site,
      box: config.box,
      keys: config.commands.keys,
      wallMs: () => clock.wallMs(),
    };
    this.#update = new RoomOrder({ kind: 'update', reader, stateDir, clock, log });
    this.#configure = new RoomOrder({ kind: 'configure', reader, stateDir, clock, log });
    this.#files = new RootFiles(options);
    this.#progress = new Progress(options);
  }

  get counters(): Counters {
    const [update, configure] = [this.#update.counters, this.#configure.counters];
    return {
      update_orders_taken: update.takenCount,
      update_orders_refused: update.refusedCount,
      update_orders_known: update.knownCount,
      config_orders_taken: configure.takenCount,
      config_orders_refused: configure.refusedCount,
      config_orders_known: configure.knownCount,
      update_reports: this.#reports,
      update_records_entered: this.#progress.entries,
      update_files_unreadable: this.#files.unreadable,
    };
  }

  /** Topic handlers for the inbox of Delivery. */
  get inbox(): [string, (payload: Buffer) => void][] {
    const { topics } = this.#options;
    return [
      [topics.updateDesired, (payload) => this.#update.hear(payload)],
      [topics.configDesired, (payload) => this.#configure.hear(payload)],
    ];
  }

  /** Handles a new connection: reports again, because the room may know nothing. */
  online(): void {
    this.#reportAtMs = 0;
  }

  /** Must be called often. Costs three stat(2) calls if nothing has changed. */
  tick(): void {
    this.#files.poll();
    this.#progress.check(this.#files.history);
    // Before the first connection no one would receive it.
    if (this.#reportAtMs !== Number.POSITIVE_INFINITY) this.#report();
  }

  #report(): void {
    const { clock, restraint, publisher, journal } = this.#options;
    const nowMs = clock.nowMs();
    if (nowMs < this.#notBeforeMs) return;
    const content = this.#content();
    const mark = JSON.stringify(content);
    if (mark === this.#reported && nowMs < this.#reportAtMs) return;
    this.#notBeforeMs = nowMs + APART_MS;
    const reportBy = (key: string): UpdateReport => ({
      ...content,
      key,
      at: new Date(clock.wallMs()).toISOString(),
      // A checkpoint's second line is the number of its entries (C2SP tlog-checkpoint).
      journalIndex: Number(journal.head?.split('\n')[1] ?? 0),
    });
    const signed = restraint.sign(UPDATE_REPORT_TYPE, reportBy);
    if (signed === undefined) return;
    this.#reported = mark;
    this.#reportAtMs = nowMs + REPORT_EVERY_MS;
    this.#reports += 1;
    publisher?.updateReport(signed);
  }

  #content(): Content {
    const { config, boot, restraint, certificates } = this.#options;
    const { status, configSha256 } = this.#files;
    const configuration = status?.configuration;
    const { authorisationEndMs } = restraint;
    return {
      site: config.site,
      box: config.box,
      boot,
      version: this.#version,
      updater: status === undefined ? null : updaterOf(status),
      order: this.#update.order,
      refused: this.#update.refusalReason,
      config: {
        sha256: configSha256 ?? null,
        phase: configuration?.phase ?? 'idle',
        rollout: configuration?.rollout ?? null,
        revision: configuration?.target?.number ?? 0,
        reason: configuration?.reason ?? null,
        order: this.#configure.order,
        refused: this.#configure.refusalReason,
      },
      mode: restraint.mode,
      authorisation: restraint.authorisation?.order ?? null,
      orderNotAfter: authorisationEndMs == null ? null : new Date(authorisationEndMs).toISOString(),
      certNotAfter: certificates.report?.notAfter ?? null,
    };
  }
}

function updaterOf({
  version: _form,
  configuration: _other,
  ...updater
}: UpdaterStatus): UpdateReport['updater'] {
  return updater;
}

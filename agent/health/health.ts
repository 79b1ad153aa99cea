/** Collects the health report of the box and publishes it every 30 s. */
import type { Clock } from '../base/clock.ts';
import type { Counters, Counting } from '../base/counters.ts';
import { AgentError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { AccuracyReport } from '../contract/accuracy.ts';
import type {
  CameraReport,
  CertificateReport,
  DeliveryState,
  DetectorReport,
  FramesReport,
  HealthReport,
  IncidentsReport,
  ProcessReport,
  QuietReport,
} from '../contract/health.ts';
import type { RestraintReport } from '../contract/mode.ts';
import type { OutboxCounters } from '../contract/outbox.ts';
import type { TrackLogReport } from '../contract/track-log.ts';
import { processReport, temperatureC } from './host.ts';
import { CounterRegistry } from './registry.ts';

const REPORT_EVERY_MS = 30_000;

/** Source of each section, queried for each report, so that no value is stored twice. */
export interface HealthSources {
  readonly restraint: { readonly mode: HealthReport['mode']; report(): RestraintReport };
  readonly clockSync: { readonly synced: boolean };
  readonly status: {
    readonly frames: FramesReport;
    /** Undefined if no second stream may be watched. */
    readonly quiet: QuietReport | undefined;
    readonly camera: CameraReport;
    readonly detector: DetectorReport | null;
    /** Null while there is no vision process. */
    readonly process: ProcessReport | null;
  };
  readonly flow: { readonly report: IncidentsReport; readonly conditions: string[] };
  readonly outbox: { readonly counters: OutboxCounters };
  /** Undefined if no broker is configured. */
  readonly delivery:
    | { readonly state: DeliveryState; readonly publisher: { health(report: HealthReport): void } }
    | undefined;
  readonly trackStatus: { readonly report: TrackLogReport };
  readonly certificates: { readonly report: CertificateReport | null };
  readonly accuracy: { report(): AccuracyReport | null };
}

export interface HealthOptions {
  readonly site: string;
  readonly box: string;
  /** IANA name of the site's time zone. */
  readonly timeZone: string;
  readonly boot: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly sources: HealthSources;
  readonly clock: Clock;
  readonly log: Logger;
  /** Interval for tests; default 30 s. */
  readonly everyMs?: number;
}

export class Health {
  readonly #options: HealthOptions;
  readonly #beganMs: number;
  readonly #counting = new CounterRegistry();
  #stopping: AbortController | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(options: HealthOptions) {
    this.#options = options;
    this.#beganMs = options.clock.nowMs();
  }

  /** Registers parts with counters (queue overflows, retries, refusals) that have no section of their own. */
  register(...parts: readonly Counting[]): void {
    this.#counting.register(...parts);
  }

  get counters(): Counters {
    return this.#counting.counters;
  }

  /** Publishes immediately, then at every interval. */
  start(): void {
    this.#stopping = new AbortController();
    this.#running = this.#run(this.#stopping.signal);
  }

  async stop(): Promise<void> {
    this.#stopping?.abort();
    await this.#running;
  }

  report(): HealthReport {
    const { site, box, timeZone, boot, versions, sources, clock } = this.#options;
    const { restraint, clockSync, status, flow, outbox, delivery, certificates, accuracy, trackStatus } =
      sources;
    const { store, damaged, lanes } = outbox.counters;
    return {
      time: new Date(clock.wallMs()).toISOString(),
      site,
      box,
      boot,
      uptimeS: Math.floor((clock.nowMs() - this.#beganMs) / 1000),
      mode: restraint.mode,
      restraint: restraint.report(),
      versions: { ...versions },
      clock: { synced: clockSync.synced, timeZone },
      frames: status.frames,
      ...(status.quiet && { quiet: status.quiet }),
      camera: status.camera,
      detector: status.detector,
      incidents: flow.report,
      tracks: trackStatus.report,
      conditions: flow.conditions,
      outbox: { store, damaged, lanes },
      mqtt: delivery?.state ?? null,
      certificate: certificates.report,
      accuracy: accuracy.report(),
      processes: {
        agent: processReport(process.pid) ?? { pid: process.pid, rssMiB: 0, fds: null },
        vision: status.process,
      },
      temperatureC: temperatureC(),
      counters: Object.fromEntries(
        Object.entries(this.counters).map(([name, value]) => [
          name,
          typeof value === 'object' ? value.gauge : value,
        ]),
      ),
    };
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, log, sources, everyMs = REPORT_EVERY_MS } = this.#options;
    while (!signal.aborted) {
      try {
        sources.delivery?.publisher.health(this.report());
      } catch (error) {
        if (!(error instanceof AgentError)) throw error;
        log.warn({ reason: error.message }, 'no health report this time');
      }
      await clock.sleep(everyMs, signal);
    }
  }
}

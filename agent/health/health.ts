/** Collects what the box says of itself, and publishes it every 30 s. */
import type { Clock } from '../base/clock.ts';
import { AgentError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { AccuracyReport } from '../contract/accuracy.ts';
import type {
  CameraReport,
  DeliveryState,
  DetectorReport,
  FramesReport,
  HealthReport,
  IncidentsReport,
  ProcessReport,
} from '../contract/health.ts';
import type { RestraintReport } from '../contract/mode.ts';
import type { OutboxCounters } from '../contract/outbox.ts';
import { processReport, temperatureC } from './host.ts';

const REPORT_EVERY_MS = 30_000;

/** Who knows each section; asked at each report, so that nothing is kept twice. */
export interface HealthSources {
  mode(): HealthReport['mode'];
  restraint(): RestraintReport;
  clockSynced(): boolean;
  frames(): FramesReport;
  camera(): CameraReport;
  detector(): DetectorReport | null;
  incidents(): IncidentsReport;
  outbox(): OutboxCounters;
  mqtt(): DeliveryState | null;
  accuracy(): AccuracyReport | null;
  /** Null while there is no vision process. */
  vision(): ProcessReport | null;
  /** Queue overflows, retries, refusals: what has no section of its own. */
  counters(): Record<string, number>;
}

export interface HealthOptions {
  readonly site: string;
  readonly box: string;
  readonly boot: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly sources: HealthSources;
  readonly clock: Clock;
  readonly log: Logger;
  /** For tests; default 30 s. */
  readonly everyMs?: number;
  publish(report: HealthReport): void;
}

export class Health {
  readonly #options: HealthOptions;
  readonly #beganMs: number;
  #stopping: AbortController | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(options: HealthOptions) {
    this.#options = options;
    this.#beganMs = options.clock.nowMs();
  }

  /** Publishes at once, then at every interval. */
  start(): void {
    this.#stopping = new AbortController();
    this.#running = this.#run(this.#stopping.signal);
  }

  async stop(): Promise<void> {
    this.#stopping?.abort();
    await this.#running;
  }

  report(): HealthReport {
    const { site, box, boot, versions, sources, clock } = this.#options;
    const { store, damaged, lanes } = sources.outbox();
    return {
      time: new Date(clock.wallMs()).toISOString(),
      site,
      box,
      boot,
      uptimeS: Math.floor((clock.nowMs() - this.#beganMs) / 1000),
      mode: sources.mode(),
      restraint: sources.restraint(),
      versions: { ...versions },
      clock: { synced: sources.clockSynced() },
      frames: sources.frames(),
      camera: sources.camera(),
      detector: sources.detector(),
      incidents: sources.incidents(),
      outbox: { store, damaged, lanes },
      mqtt: sources.mqtt(),
      accuracy: sources.accuracy(),
      processes: {
        agent: processReport(process.pid) ?? { pid: process.pid, rssMiB: 0, fds: null },
        vision: sources.vision(),
      },
      temperatureC: temperatureC(),
      counters: sources.counters(),
    };
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, log, publish, everyMs = REPORT_EVERY_MS } = this.#options;
    while (!signal.aborted) {
      try {
        publish(this.report());
      } catch (error) {
        if (!(error instanceof AgentError)) throw error;
        log.warn({ reason: error.message }, 'no health report this time');
      }
      await clock.sleep(everyMs, signal);
    }
  }
}

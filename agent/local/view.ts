/**
 * Local view for users of the box: `/metrics` for Prometheus and, only on the socket, `/status` for `vigie status`. It
 * is built from the health report and from measurements of frames and events.
 */
import { statfsSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { type Counters, type Counting, gauge } from '../base/counters.ts';
import type { Logger } from '../base/log.ts';
import type { Finding } from '../contract/finding.ts';
import type { HealthReport } from '../contract/health.ts';
import type { VisionStats } from '../contract/link.ts';
import { LOCAL_SOCKET, type LocalStatus, METRICS_PATH, STATUS_PATH } from '../contract/local-status.ts';
import type { ViewReport } from '../contract/view-report.ts';
import type { Activity } from './activity.ts';
import type { Language } from './finding-texts.ts';
import { statusFindings } from './findings.ts';
import { LocalServer, type Page } from './local-server.ts';
import { metricsPage } from './metrics.ts';

export interface LocalViewOptions {
  /** Port of the metrics on the loopback; 0 = none. */
  readonly port: number;
  readonly stateDir: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly activity: Activity;
  readonly health: Counting & { report(): HealthReport };
  /** Stages of vision while it runs, and report on the observed objects. */
  readonly status: {
    readonly stages: VisionStats['stages'] | undefined;
    readonly inferenceMs: number | null;
    readonly view: ViewReport;
    readonly connected: string | null;
  };
  /** Newest signed checkpoint. */
  readonly journal: { readonly head: string | undefined };
}

export class LocalView {
  readonly #options: LocalViewOptions;
  readonly #server: LocalServer;

  constructor(options: LocalViewOptions) {
    const { port, stateDir, clock, log } = options;
    this.#options = options;
    this.#server = new LocalServer({
      port,
      socket: join(stateDir, LOCAL_SOCKET),
      pages: { [METRICS_PATH]: () => this.#metrics(), [STATUS_PATH]: () => this.#statusPage() },
      // The status names zones and incidents, so only users who may read the state directory receive it.
      onPort: [METRICS_PATH],
      clock,
      log,
    });
  }

  get counters(): Counters {
    return { metrics_unserved: gauge(this.#server.unserved), local_refused: this.#server.refusals };
  }

  start(): Promise<void> {
    return this.#server.start();
  }

  stop(): Promise<void> {
    return this.#server.stop();
  }

  /** Returns the status for the technician's page, with the actions for a person on site. */
  statusWithFindings(language: Language): { status: LocalStatus; findings: readonly Finding[] } {
    const status = this.#status();
    return { status, findings: statusFindings(status, language, 'site') };
  }

  /** Returns the findings for a person with a shell. */
  findings(): readonly Finding[] {
    return statusFindings(this.#status());
  }

  #metrics(): Page {
    const { activity, health, status } = this.#options;
    const vision = Object.entries(status.stages ?? {});
    const stages = {
      ...Object.fromEntries(vision.map(([stage, { latency }]) => [stage, latency])),
      ...activity.latencies.stages,
    };
    const { puback } = activity.latencies;
    return metricsPage({ status: this.#status(), counters: health.counters, stages, puback });
  }

  #statusPage(): Page {
    return { contentType: 'application/json', body: JSON.stringify(this.#status()) };
  }

  #status(): LocalStatus {
    const { health, stateDir, journal, activity, status } = this.#options;
    return {
      report: health.report(),
      connected: status.connected,
      view: status.view,
      analysedFps: activity.recent.analysedFps,
      inferenceMs: status.inferenceMs,
      disk: diskOf(stateDir),
      journal: headOf(journal.head),
      standing: [...activity.recent.openIncidents],
      recent: [...activity.recent.recent],
    };
  }
}

function diskOf(dir: string): LocalStatus['disk'] {
  const { bavail, blocks, bsize } = statfsSync(dir);
  const mib = (count: number): number => Math.floor((count * bsize) / 1_048_576);
  return { freeMiB: mib(bavail), sizeMiB: mib(blocks) };
}

/** Returns the head of a checkpoint, whose first three lines are origin, size and root hash (C2SP tlog-checkpoint). */
function headOf(note: string | undefined): LocalStatus['journal'] {
  const [, entries, root] = note?.split('\n') ?? [];
  return entries === undefined || root === undefined ? null : { entries: Number(entries), root };
}

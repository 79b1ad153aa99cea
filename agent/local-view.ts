/**
 * What the box shows to whoever is on the box: `/metrics` for Prometheus and, on the socket alone, `/status` for
 * `vigie status`, made from the health report, and from what is measured here on the way of a frame and of an event.
 */
import { statfsSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from './base/clock.ts';
import type { Logger } from './base/log.ts';
import type { VigieEvent } from './contract/event.ts';
import type { EventSink } from './contract/event-sink.ts';
import type { HealthReport } from './contract/health.ts';
import type { FromVision, ToVision, VisionStats } from './contract/link.ts';
import { LOCAL_SOCKET, type LocalStatus, METRICS_PATH, STATUS_PATH } from './contract/local-status.ts';
import type { Lane } from './contract/outbox.ts';
import { Board } from './web/board.ts';
import { Latencies } from './web/latencies.ts';
import { LocalServer, type Page } from './web/local-server.ts';
import { metricsPage } from './web/metrics.ts';

export interface LocalViewOptions {
  /** Of the metrics on the loopback; 0 = none. */
  readonly port: number;
  readonly stateDir: string;
  readonly clock: Clock;
  readonly log: Logger;
  report(): HealthReport;
  /** Of the running vision; undefined while there is none. */
  visionStages(): VisionStats['stages'] | undefined;
  /** The newest checkpoint, as signed. */
  journalHead(): string | undefined;
}

export class LocalView {
  readonly #options: LocalViewOptions;
  readonly #latencies: Latencies;
  readonly #board: Board;
  readonly #server: LocalServer;

  constructor(options: LocalViewOptions) {
    const { port, stateDir, clock, log } = options;
    this.#options = options;
    this.#latencies = new Latencies(clock);
    this.#board = new Board(clock);
    this.#server = new LocalServer({
      port,
      socket: join(stateDir, LOCAL_SOCKET),
      pages: { [METRICS_PATH]: () => this.#metrics(), [STATUS_PATH]: () => this.#statusPage() },
      // The status names zones and incidents: it is for who may read the state directory.
      onPort: [METRICS_PATH],
      clock,
      log,
    });
  }

  get counters(): Record<string, number> {
    return { metrics_unserved: this.#server.unserved, local_refused: this.#server.refused };
  }

  start(): Promise<void> {
    return this.#server.start();
  }

  stop(): Promise<void> {
    return this.#server.stop();
  }

  /** The sink with a watch beside it. */
  watched(sink: EventSink): EventSink {
    return {
      accept: (event, pictures) => {
        this.#latencies.timed('commit', () => sink.accept(event, pictures));
        this.#board.take(event);
      },
    };
  }

  /** Takes the time of what the agent makes of a message of vision. */
  taken(message: FromVision, take: () => ToVision | undefined): ToVision | undefined {
    if (message.kind === 'snapshot' || message.kind === 'no-snapshot') {
      this.#latencies.answered(message.request);
    }
    if (message.kind !== 'frame') return take();
    this.#board.frame();
    const answer = this.#latencies.timed('rules', take);
    if (answer?.kind === 'ack') for (const { request } of answer.evidence) this.#latencies.asked(request);
    return answer;
  }

  /** The outbox has the event. */
  committed(event: VigieEvent): void {
    this.#latencies.committed(event);
  }

  /** The broker has the message. */
  acknowledged(lane: Lane, seq: number): void {
    this.#latencies.acknowledged(lane, seq);
  }

  #metrics(): Page {
    const vision = Object.entries(this.#options.visionStages() ?? {});
    const stages = {
      ...Object.fromEntries(vision.map(([stage, { latency }]) => [stage, latency])),
      ...this.#latencies.stages,
    };
    return metricsPage({ status: this.#status(), stages, puback: this.#latencies.puback });
  }

  #statusPage(): Page {
    return { contentType: 'application/json', body: JSON.stringify(this.#status()) };
  }

  #status(): LocalStatus {
    const { report, stateDir, journalHead } = this.#options;
    return {
      report: report(),
      analysedFps: this.#board.analysedFps,
      disk: diskOf(stateDir),
      journal: headOf(journalHead()),
      standing: [...this.#board.standing],
      recent: [...this.#board.recent],
    };
  }
}

function diskOf(dir: string): LocalStatus['disk'] {
  const { bavail, blocks, bsize } = statfsSync(dir);
  const mib = (count: number): number => Math.floor((count * bsize) / 1_048_576);
  return { freeMiB: mib(bavail), sizeMiB: mib(blocks) };
}

/** Origin, size and root hash are a checkpoint's first three lines (C2SP tlog-checkpoint). */
function headOf(note: string | undefined): LocalStatus['journal'] {
  const [, entries, root] = note?.split('\n') ?? [];
  return entries === undefined || root === undefined ? null : { entries: Number(entries), root };
}

/** `vigie replay`: runs the complete pipeline on a recorded clip, on the clip's own clock, at full speed. */

import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { SingleBar } from 'cli-progress';
import { type Clock, systemClock } from '../base/clock.ts';
import { AgentError } from '../base/errors.ts';
import { type Logger, type LogLevel, makeLogger } from '../base/log.ts';
import { modelsDir } from '../base/package-root.ts';
import { processUsage } from '../base/process-usage.ts';
import { loadConfig } from '../config/load.ts';
import type { Config } from '../contract/config.ts';
import type { VisionSettings, VisionStats } from '../contract/link.ts';
import type { Observation } from '../contract/observation.ts';
import type { CapturePermit } from '../contract/permit.ts';
import { AgentFlow } from '../flow.ts';
import { ReplayFiles } from '../replay/replay-files.ts';
import { permitReplay } from '../restraint/permit.ts';
import { type ReceivedFromVision, VisionProcess } from '../supervisor/vision-process.ts';
import { visionSettings } from '../supervisor/vision-settings.ts';
import { print } from './print.ts';

/** Default rate of a camera (contract/config.ts). */
const LIVE_FPS = 5;

export interface ReplayOptions {
  readonly config: string;
  readonly out: string;
  /** Analysed frames per second. `live`: as on the box, with `camera.fps` of the configuration. */
  readonly fps: number | 'live' | undefined;
  readonly everyFrame: true | undefined;
  /** Prefix of vision's command, for a program that measures it. */
  readonly wrapper: readonly string[];
}

export async function replay(clip: string, options: ReplayOptions): Promise<void> {
  assertClip(clip);
  const config = loadConfig(options.config, { env: process.env, mode: 'replay' });
  const log = makeLogger('replay', (process.env['VIGIE_LOG'] ?? 'warn') as LogLevel);
  const files = new ReplayFiles(options.out);
  files.start();
  const run = new ReplayRun(config, files, log, options.wrapper);
  try {
    const follows = options.fps === 'live';
    const fps = options.fps === 'live' ? (config.camera?.fps ?? LIVE_FPS) : (options.fps ?? null);
    const camera = { source: `file:${resolve(clip)}`, fps, follows };
    const permit = permitReplay(config);
    const settings = visionSettings(config, permit, { modelDir: modelsDir(), mode: 'replay', camera });
    await run.play(permit, { ...settings, everyFrame: options.everyFrame ?? false });
    print(
      `${options.out}: ${run.result}; in events.jsonl, tracks.txt, detections.txt, snapshots/ and summary.json`,
    );
  } finally {
    files.stop();
  }
}

function assertClip(clip: string): void {
  const stat = statSync(clip, { throwIfNoEntry: false });
  if (stat === undefined)
    throw new AgentError('config', `${clip}: no such clip; give the path of a recorded video`);
  if (!stat.isFile())
    throw new AgentError('config', `${clip}: is not a file; give the path of a recorded video`);
}

/** One replay: receives vision's messages and writes files. */
class ReplayRun {
  readonly #files: ReplayFiles;
  readonly #log: Logger;
  readonly #flow: AgentFlow;
  readonly #vision: VisionProcess;
  readonly #bar = new SingleBar({
    format: 'replay {bar} {percentage}% | {clipS} s of the clip, {frames} frames, {events} events',
    stream: process.stderr,
    hideCursor: true,
  });
  #atMs = 0;
  #frames = 0;
  #durationMs: number | null = null;
  #failure: AgentError | undefined;
  #stats: VisionStats | undefined;
  #finished: (() => void) | undefined;

  constructor(config: Config, files: ReplayFiles, log: Logger, wrapper: readonly string[]) {
    this.#files = files;
    this.#log = log;
    // Media time is the only time, so that two replays of a clip are identical.
    const clock: Clock = { ...systemClock, nowMs: () => this.#atMs, wallMs: () => this.#atMs };
    this.#flow = new AgentFlow({
      keepSealed: undefined,
      config,
      sink: files,
      clock,
      log,
      boot: 'replay',
      clockSynced: () => true,
    });
    this.#vision = new VisionProcess({
      restraintDir: undefined,
      clock: systemClock,
      log,
      wrapper,
      onMessage: (received) => this.#take(received),
      onExit: ({ code, signal, error }) => {
        const exitText = error?.message ?? (signal === null ? `exit code ${code}` : `signal ${signal}`);
        if (this.#stats === undefined)
          this.#failure ??= new AgentError('unavailable', `vision ended early (${exitText})`);
        this.#finished?.();
      },
    });
  }

  async play(permit: CapturePermit, settings: VisionSettings): Promise<void> {
    this.#flow.permit({ mode: 'active', reason: null, permit, refusals: new Map() });
    const visionExit = new Promise<void>((resolve) => {
      this.#finished = resolve;
    });
    const interrupt = (): void => {
      this.#failure ??= new AgentError('unavailable', 'replay interrupted; the files already written remain');
      void this.#vision.stop();
    };
    process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
    const before = { wallMs: performance.now(), cpu: process.cpuUsage() };
    if (process.stderr.isTTY) this.#bar.start(1, 0, this.#progress());
    this.#vision.start(permit, settings);
    await visionExit;
    this.#bar.stop();
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
    if (this.#failure !== undefined) throw this.#failure;
    this.#flow.end('the clip is over');
    this.#files.finish(this.#summary(before.wallMs, before.cpu));
  }

  /** Returns a summary for a person: `795 frames in 79.4 s of the clip, 12 events`. */
  get result(): string {
    const counted = (count: number, name: string): string => `${count} ${name}${count === 1 ? '' : 's'}`;
    const frames = counted(this.#frames, 'frame');
    return `${frames} in ${(this.#atMs / 1000).toFixed(1)} s of the clip, ${counted(this.#files.events, 'event')}`;
  }

  #take(received: ReceivedFromVision): void {
    const { message } = received;
    if (message.kind === 'frame') {
      // Set first, because the flow's clock reads it.
      this.#atMs = message.observation.atMs;
      this.#frames += 1;
      this.#files.frame(message);
    }
    switch (message.kind) {
      case 'opened':
        this.#durationMs = message.durationMs;
        this.#log.info({ decoder: message.decoder, source: message.source }, 'clip opened');
        return;
      case 'snapshot':
      case 'no-snapshot':
        this.#flow.evidence(received);
        return;
      case 'frame':
        this.#answer(message.observation);
        if (process.stderr.isTTY) this.#bar.update(this.#clipRatio(), this.#progress());
        return;
      case 'ended':
        this.#stats = message.stats;
        return;
      case 'failed':
        this.#failure = new AgentError(message.error, message.message);
        return;
      default:
        return;
    }
  }

  #answer(observation: Observation): void {
    this.#vision.send({ kind: 'ack', frame: observation.frame, ...this.#flow.observe(observation) });
  }

  #clipRatio(): number {
    return this.#durationMs === null ? 0 : Math.min(1, this.#atMs / this.#durationMs);
  }

  #progress(): object {
    return { clipS: Math.round(this.#atMs / 1000), frames: this.#frames, events: this.#files.events };
  }

  #summary(fromMs: number, cpu: NodeJS.CpuUsage): object {
    const stats = this.#stats;
    const { user, system } = process.cpuUsage(cpu);
    const stages = Object.fromEntries(
      Object.entries(stats?.stages ?? {}).map(([stage, { cpuMs, wallMs }]) => [
        stage,
        { cpuS: cpuMs / 1000, wallS: wallMs / 1000 },
      ]),
    );
    return {
      frames: stats?.framesAnalysed,
      framesHeld: stats?.framesHeld,
      framesShort: stats?.framesShort,
      looksFine: stats?.looksFine,
      detections: stats?.detections,
      events: this.#files.events,
      clipS: this.#atMs / 1000,
      wallS: (performance.now() - fromMs) / 1000,
      stages,
      cpuS: { vision: (stats?.cpuMs ?? 0) / 1000, agent: (user + system) / 1e6 },
      rssPeakMiB: { vision: stats?.rssPeakMiB, agent: processUsage().rssPeakMiB },
    };
  }
}

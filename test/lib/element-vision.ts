/** Vision with an inference element that plays faults, kept alive as the agent keeps it, and its messages. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
import type { DetectorConfig } from '../../agent/contract/config.ts';
import type { VisionSettings } from '../../agent/contract/link.ts';
import { VisionKeepAlive } from '../../agent/supervisor/keep-alive.ts';
import type { ReceivedFromVision, VisionExit } from '../../agent/supervisor/vision-process.ts';
import { calmSource } from './encoded-clip.ts';
import type { BoardChange } from './hailo-board.ts';
import {
  copyUsual,
  elementConfig,
  fakeBoard,
  fakeElement,
  writeHailoScript,
  writeScript,
} from './inference-element.ts';
import { SILENT } from './outbox.ts';
import { scratch } from './paths.ts';
import { BARE_PERMIT, bareSettings, useBundledVision } from './vision.ts';

type Message = ReceivedFromVision['message'];
type DetectorMessage = Extract<Message, { kind: 'detector' }>;
type FrameMessage = Extract<Message, { kind: 'frame' }>;

/** See element-trial.ts. */
export interface Trial {
  failures: number;
  failedAtMs: number;
  reason: string;
  isOn: boolean;
}

/** Detection where the script names nothing: a person in the middle of the picture. */
const USUAL = 'box 150 60 200 200 0.9 0';
export const ELEMENT = 'tfliteinference';

export class ElementVision {
  readonly vision: VisionKeepAlive;
  readonly modelDir: string;
  /** Path of the plug file: the fault is played as long as this file exists. */
  readonly plugged: string;
  readonly detectors: (DetectorMessage & { readonly atMs: number })[] = [];
  readonly failures: string[] = [];
  readonly ends: VisionExit[] = [];
  readonly frames: { readonly atMs: number; readonly message: FrameMessage }[] = [];
  readonly #cacheDir: string;

  /**
   * Makes vision, which lives as long as the test; `start` starts it. `script` is for fake-element.c, and its element is
   * hailonet if there is a `board`.
   */
  constructor(
    t: Test,
    script: readonly string[],
    detector: Partial<DetectorConfig> = {},
    over: Partial<VisionSettings> = {},
    board?: BoardChange,
  ) {
    const dir = scratch(t);
    [this.modelDir, this.#cacheDir] = [join(dir, 'models'), join(dir, 'cache')];
    for (const folder of [this.modelDir, this.#cacheDir]) mkdirSync(folder);
    this.plugged = join(dir, 'fault');
    writeFileSync(this.plugged, '');
    copyUsual(this.modelDir);
    const usualLines = script.some((line) => line.startsWith('box')) ? [] : [USUAL];
    const lines = [...usualLines, ...script, `while ${this.plugged}`];
    if (board === undefined) writeScript(this.modelDir, lines);
    else writeHailoScript(this.modelDir, lines);
    // Vision gets a fixed list of environment variables without GStreamer's.
    useBundledVision(t, board === undefined ? fakeElement() : fakeBoard(t, board));
    const before = process.env['CACHE_DIRECTORY'];
    process.env['CACHE_DIRECTORY'] = this.#cacheDir;
    const settings: VisionSettings = {
      ...bareSettings(calmSource(10), 10),
      modelDir: this.modelDir,
      detector: elementConfig(board === undefined ? ELEMENT : 'hailonet', 'fake', detector),
      everyFrame: true,
      detections: true,
      ...over,
    };
    this.vision = new VisionKeepAlive({
      restraintDir: undefined,
      clock: systemClock,
      log: SILENT,
      settings: () => settings,
      onMessage: ({ message }) => this.#take(message),
      onEnd: (exit) => this.ends.push(exit),
      onCrashLoop: () => undefined,
    });
    t.teardown(async () => {
      await this.vision.stop();
      if (before === undefined) delete process.env['CACHE_DIRECTORY'];
      else process.env['CACHE_DIRECTORY'] = before;
    });
  }

  start(): this {
    this.vision.start(BARE_PERMIT);
    return this;
  }

  /** Message of how the last detector was loaded. */
  get last(): DetectorMessage | undefined {
    return this.detectors.at(-1);
  }

  /** Milliseconds until the condition holds; Infinity if it does not within `limitMs`. */
  async msUntil(condition: () => boolean, limitMs = 60_000): Promise<number> {
    const beganMs = performance.now();
    while (!condition()) {
      if (performance.now() - beganMs > limitMs) return Number.POSITIVE_INFINITY;
      await sleep(20);
    }
    return performance.now() - beganMs;
  }

  /** True once frames come from the detector that was loaded as number `lives`, and from this provider. */
  async runsOn(provider: string, loadNo: number, limitMs?: number): Promise<boolean> {
    const isOn = (): boolean => {
      const { atMs = Number.POSITIVE_INFINITY } = this.detectors.at(loadNo - 1) ?? {};
      return (
        this.detectors.at(loadNo - 1)?.provider === provider && this.frames.some((one) => one.atMs > atMs)
      );
    };
    return Number.isFinite(await this.msUntil(isOn, limitMs));
  }

  get trialFile(): string {
    return join(this.#cacheDir, 'models', 'element-trial');
  }

  get trial(): Trial | undefined {
    if (!existsSync(this.trialFile)) return undefined;
    return JSON.parse(readFileSync(this.trialFile, 'utf8')) as Trial;
  }

  /** Writes the trial file that the next run of vision finds. */
  writeTrial(content: Partial<Trial> | string): void {
    mkdirSync(join(this.#cacheDir, 'models'), { recursive: true });
    const none = { failures: 0, failedAtMs: 0, reason: '', isOn: false };
    const text =
      typeof content === 'string' ? content : JSON.stringify({ ...none, ...this.trial, ...content });
    writeFileSync(this.trialFile, text);
  }

  plugIn(): void {
    rmSync(this.plugged);
  }

  kill(): void {
    process.kill(this.vision.pid as number, 'SIGKILL');
  }

  /** The longest time between two frames, ms. */
  get gapMs(): number {
    return this.frames.reduce(
      (longestMs, { atMs }, i) => Math.max(longestMs, atMs - (this.frames[i - 1]?.atMs ?? atMs)),
      0,
    );
  }

  #take(message: Message): void {
    const atMs = performance.now();
    if (message.kind === 'detector') this.detectors.push({ ...message, atMs });
    if (message.kind === 'failed') this.failures.push(message.message);
    if (message.kind !== 'frame') return;
    this.frames.push({ atMs, message });
    this.vision.send({ kind: 'ack', frame: message.observation.frame, evidence: [] });
  }
}

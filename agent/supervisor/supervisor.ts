/**
 * Vision, as far as it may exist: it lives under a permit, ends with it, and goes on where a new permit changes
 * nothing for it.
 */
import type { Clock } from '../base/clock.ts';
import type { Counters } from '../base/counters.ts';
import type { Logger } from '../base/log.ts';
import type { CameraConfig, Config } from '../contract/config.ts';
import type { PreviewAnswer, ToVision, VisionSettings } from '../contract/link.ts';
import type { CapturePermit } from '../contract/permit.ts';
import { CameraView, type CameraViewOptions } from './camera-view.ts';
import { CameraConnection, type CameraConnectionOptions } from './connection.ts';
import { VisionKeepAlive } from './keep-alive.ts';
import { LoadControl, type LoadControlOptions } from './load.ts';
import { VisionMessages, type VisionMessagesOptions, type VisionReceiver } from './messages.ts';
import { PreviewRequests } from './preview-requests.ts';
import type { VisionStatus } from './status.ts';
import { visionSettings } from './vision-settings.ts';

export interface VisionSupervisorOptions
  extends Pick<CameraViewOptions, 'stateDir' | 'snapshotsDays'>,
    Pick<LoadControlOptions, 'heatSteps'>,
    Pick<VisionMessagesOptions, 'view' | 'accuracy' | 'onUnusable'> {
  readonly config: Config;
  readonly camera: CameraConfig;
  /** Folder of the model cards. */
  readonly modelDir: string;
  /** Activation socket of the vision unit; without it vision is spawned. */
  readonly socketPath: string | undefined;
  /** Where a spawned vision finds whose orders count. */
  readonly restraintDir: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly status: VisionStatus;
  readonly flow: VisionReceiver & {
    condition(kind: 'load-shed' | 'decoder-crashloop', active: boolean, cause: object): void;
  };
  readonly journal: VisionMessagesOptions['journal'] & CameraConnectionOptions['journal'];
  readonly trackLog: VisionMessagesOptions['trackLog'] & CameraViewOptions['trackLog'];
}

export class VisionSupervisor {
  readonly #options: VisionSupervisorOptions;
  readonly #cameraView: CameraView;
  readonly #load: LoadControl;
  readonly #previews: PreviewRequests;
  readonly #connection: CameraConnection;
  readonly #messages: VisionMessages;
  readonly #vision: VisionKeepAlive;
  /** What vision was started with; undefined while it does not exist. */
  #watching: string | undefined;
  #stopped = false;

  constructor(options: VisionSupervisorOptions) {
    this.#options = options;
    const { camera, clock, log, flow, journal } = options;
    const send = (message: ToVision): boolean => this.#vision.send(message);
    this.#cameraView = new CameraView({
      stateDir: options.stateDir,
      clock,
      log,
      snapshotsDays: () => options.snapshotsDays(),
      trackLog: options.trackLog,
      send,
      enter: (entry) => journal.enter(entry),
    });
    this.#load = new LoadControl({
      clock,
      log,
      heatSteps: (nowMs) => options.heatSteps(nowMs),
      send,
      onShed: (active, cause) => flow.condition('load-shed', active, cause),
    });
    this.#previews = new PreviewRequests({ clock, send });
    this.#connection = new CameraConnection({ camera, journal });
    this.#messages = new VisionMessages({
      log,
      status: options.status,
      cameraView: this.#cameraView,
      load: this.#load,
      previews: this.#previews,
      flow,
      view: options.view,
      trackLog: options.trackLog,
      accuracy: options.accuracy,
      journal,
      connection: this.#connection,
      send,
      onUnusable: (error) => options.onUnusable(error),
    });
    this.#vision = new VisionKeepAlive({
      clock,
      log,
      socketPath: options.socketPath,
      restraintDir: options.restraintDir,
      settings: (permit) => this.#settings(permit),
      onMessage: (received) => this.#messages.hear(received),
      onEnd: () => this.#messages.gone(),
      onCrashLoop: (looping) => flow.condition('decoder-crashloop', looping, { ends: this.#vision.ends }),
    });
  }

  get counters(): Counters {
    const own = { vision_ends: this.#vision.ends, ...this.#connection.counters };
    return { ...own, ...this.#cameraView.counters, ...this.#load.counters };
  }

  /** Grows with everything that vision says and with every unasked end of it: for the watchdog. */
  get signsOfLife(): number {
    return this.#options.status.heard + this.#vision.ends;
  }

  /** No vision yet: that is `carryOut`. */
  start(): void {
    this.#cameraView.start();
  }

  /** Resolves when there is no vision process any more, or another one has been started. */
  async carryOut(permit: CapturePermit | undefined): Promise<void> {
    const watching = permit && JSON.stringify([this.#permitted(permit), permit.order]);
    if (this.#stopped || watching === this.#watching) return;
    this.#watching = watching;
    await this.#vision.stop();
    this.#messages.gone();
    if (permit !== undefined && !this.#stopped) this.#vision.start(permit);
  }

  /** Called about twice a second. */
  tick(): void {
    this.#cameraView.tick();
    this.#load.tick();
    this.#previews.tick();
  }

  /** One redacted picture of now, for a technician's eyes: kept by nobody. Never rejects; one call at a time. */
  preview(): Promise<PreviewAnswer> {
    return this.#previews.ask();
  }

  /** A technician has looked at a camera that had moved. Returns why nothing was done; undefined where it was. */
  confirmView(by: string): string | undefined {
    return this.#cameraView.confirm(by);
  }

  /** For ever. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#vision.stop();
  }

  #permitted(permit: CapturePermit): VisionSettings {
    const { config, camera, modelDir } = this.#options;
    return visionSettings(config, permit, { mode: 'live', camera: { ...camera, follows: true }, modelDir });
  }

  /** For a life of vision, with what was known before. */
  #settings(permit: CapturePermit): VisionSettings {
    return { ...this.#permitted(permit), ...this.#cameraView.settings };
  }
}

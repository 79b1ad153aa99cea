/**
 * Controls vision under a permit: it runs while a permit holds, ends with it, and continues if a new permit changes
 * nothing for it.
 */
import type { Clock } from '../base/clock.ts';
import type { Counters } from '../base/counters.ts';
import type { Logger } from '../base/log.ts';
import type { CameraConfig, Config } from '../contract/config.ts';
import type { EvidenceRequest, PreviewAnswer, ToVision, VisionSettings } from '../contract/link.ts';
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
  /** Activation socket of the vision unit. Without it vision is spawned. */
  readonly socketPath: string | undefined;
  /** Folder in which a spawned vision process finds the authority's key. */
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
  /** Settings and authorisation with which vision was started; undefined while there is none. */
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
      onMessage: (received) => this.#messages.receive(received),
      onEnd: () => this.#messages.onVisionEnd(),
      onCrashLoop: (looping) => flow.condition('decoder-crashloop', looping, { ends: this.#vision.ends }),
    });
  }

  get counters(): Counters {
    const own = { vision_ends: this.#vision.ends, ...this.#connection.counters };
    return { ...own, ...this.#cameraView.counters, ...this.#load.counters };
  }

  /** Grows with every message of vision and with every unrequested end, for the watchdog. */
  get activityCount(): number {
    return this.#options.status.messageCount + this.#vision.ends;
  }

  /** Starts no vision yet; `carryOut` does. */
  start(): void {
    this.#cameraView.start();
  }

  /** Resolves when there is no vision process any more, or another has been started. */
  async carryOut(permit: CapturePermit | undefined): Promise<void> {
    const watching = permit && JSON.stringify([this.#permitted(permit), permit.order]);
    if (this.#stopped || watching === this.#watching) return;
    this.#watching = watching;
    await this.#vision.stop();
    this.#messages.onVisionEnd();
    if (permit !== undefined && !this.#stopped) this.#vision.start(permit);
  }

  /** Called about twice a second. */
  tick(): void {
    this.#cameraView.tick();
    this.#load.tick();
    this.#previews.tick();
  }

  /** Returns one present redacted picture for a technician; no one stores it. Never rejects; one call at a time. */
  preview(): Promise<PreviewAnswer> {
    return this.#previews.ask();
  }

  /** Requests pictures of the newest frames for an event. Returns false if there is no vision process. */
  requestEvidence(requests: EvidenceRequest[]): boolean {
    return this.#messages.requestEvidence(requests);
  }

  /**
   * Confirms the view of a camera that had moved, for a technician. Returns the reason for a refusal; undefined on
   * success.
   */
  confirmView(by: string): string | undefined {
    return this.#cameraView.confirm(by);
  }

  /** Stops vision permanently. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#vision.stop();
  }

  #permitted(permit: CapturePermit): VisionSettings {
    const { config, camera, modelDir } = this.#options;
    return visionSettings(config, permit, { mode: 'live', camera: { ...camera, follows: true }, modelDir });
  }

  /** Settings for a new vision process, including the known view. */
  #settings(permit: CapturePermit): VisionSettings {
    return { ...this.#permitted(permit), ...this.#cameraView.settings };
  }
}

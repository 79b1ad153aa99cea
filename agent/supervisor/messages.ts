/** Handles vision's messages: passes observations to the rules, and turns states of camera and detector into events. */
import { AgentError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { StateCondition } from '../contract/condition.ts';
import type { Stopwatch } from '../contract/latency.ts';
import type { EvidenceRequest, FromVision, Received, ToVision } from '../contract/link.ts';
import type { Observation } from '../contract/observation.ts';
import type { CameraView } from './camera-view.ts';
import type { CameraConnection } from './connection.ts';
import type { LoadControl } from './load.ts';
import type { PreviewRequests } from './preview-requests.ts';
import type { VisionStatus } from './status.ts';

/** Receiver of vision's results. */
export interface VisionReceiver {
  observe(observation: Observation): { evidence: EvidenceRequest[] };
  evidence(received: Received<FromVision>): void;
  condition(kind: StateCondition, active: boolean, cause: Readonly<Record<string, unknown>>): void;
  visionReturns(): void;
  readonly blind: boolean;
}

export interface VisionMessagesOptions {
  readonly log: Logger;
  readonly status: VisionStatus;
  readonly cameraView: CameraView;
  readonly load: LoadControl;
  readonly previews: PreviewRequests;
  readonly flow: VisionReceiver;
  /** Measures the duration of the agent's own part. */
  readonly view: {
    evaluating(): Stopwatch;
    recordRequests(requests: readonly EvidenceRequest[]): void;
    answered(request: number): void;
  };
  readonly trackLog: { observe(observation: Observation): void; visionEnded(): void };
  /** Records for walk tests whether the box has a usable picture. */
  readonly accuracy: { sees(sees: boolean): void };
  readonly journal: { detectorLoaded(): void };
  readonly connection: Pick<CameraConnection, 'opened'>;
  send(message: ToVision): boolean;
  /** Called if the camera can never work as configured. */
  onUnusable(error: AgentError): void;
}

export class VisionMessages {
  readonly #options: VisionMessagesOptions;
  #framesSeen = 0;
  /** Last acknowledged frame of the running vision process. */
  #newestFrame = 0;
  /** `vision-failed` may be active, also from an earlier run of the agent. */
  #mayBeFailed = true;

  constructor(options: VisionMessagesOptions) {
    this.#options = options;
  }

  receive(received: Received<FromVision>): void {
    const { log, status, cameraView, load, previews, flow, view, journal, accuracy, connection } =
      this.#options;
    const { message } = received;
    status.receive(message);
    load.receive(message);
    switch (message.kind) {
      case 'frame':
        this.#frame(message.observation);
        return;
      case 'snapshot':
      case 'no-snapshot':
        if (cameraView.answer(received)) return;
        view.answered(message.request);
        flow.evidence(received);
        return;
      case 'preview':
      case 'no-preview':
        previews.receive(received);
        return;
      case 'sealed':
      case 'not-sealed':
        flow.evidence(received);
        return;
      case 'view':
        cameraView.learn(message.view);
        return;
      case 'detector': {
        const { model, provider, fallback } = message;
        log.info({ model, provider }, 'detector loaded');
        flow.condition('detector-down', false, {});
        flow.condition('detector-fallback', fallback !== null, fallback === null ? {} : { reason: fallback });
        journal.detectorLoaded();
        return;
      }
      case 'opened':
        log.info({ decoder: message.decoder, source: message.source, fps: message.fps }, 'camera opened');
        connection.opened(message.connected);
        flow.condition('stream-lost', false, {});
        return;
      case 'lost':
        log.warn({ reason: message.reason, retryInMs: message.retryInMs }, 'camera lost');
        accuracy.sees(false);
        flow.condition('stream-lost', true, { reason: message.reason });
        return;
      case 'failed':
        this.#failed(message.error, message.message);
        return;
      default:
        return;
    }
  }

  /** Requests pictures of a past frame, outside the acknowledgement of a new one. Returns false without vision. */
  requestEvidence(evidence: EvidenceRequest[]): boolean {
    const { view, send } = this.#options;
    if (!send({ kind: 'ack', frame: this.#newestFrame, evidence })) return false;
    view.recordRequests(evidence);
    return true;
  }

  /** Handles the end of the vision process, requested or not. */
  onVisionEnd(): void {
    const { status, previews, accuracy, trackLog, flow } = this.#options;
    this.#newestFrame = 0;
    status.onVisionEnd();
    previews.onVisionEnd();
    accuracy.sees(false);
    trackLog.visionEnded();
    flow.visionReturns();
  }

  #frame(observation: Observation): void {
    const { flow, view, accuracy, cameraView, trackLog, send } = this.#options;
    this.#framesSeen += 1;
    const stopwatch = view.evaluating();
    const { evidence } = flow.observe(observation);
    stopwatch.stop();
    view.recordRequests(evidence);
    trackLog.observe(observation);
    accuracy.sees(!flow.blind);
    const ofView = cameraView.observe(observation);
    this.#newestFrame = observation.frame;
    send({ kind: 'ack', frame: observation.frame, evidence: [...evidence, ...ofView] });
    if (this.#mayBeFailed) flow.condition('vision-failed', false, {});
    this.#mayBeFailed = false;
  }

  /**
   * Handles a failure that vision reported before it exits. A configuration that never worked is reported at once, for
   * a person to fix.
   */
  #failed(kind: AgentError['kind'], reason: string): void {
    const { log, flow, onUnusable } = this.#options;
    if (kind === 'config' && this.#framesSeen === 0) {
      onUnusable(new AgentError('config', reason));
      return;
    }
    log.error({ kind }, reason);
    // Only a failure of the camera is a lost stream. Vision's own errors, or a refused permission, have other causes.
    const own = kind === 'bug' || kind === 'exhausted' || kind === 'denied';
    if (own) this.#mayBeFailed = true;
    flow.condition(kind === 'corrupt' ? 'detector-down' : own ? 'vision-failed' : 'stream-lost', true, {
      reason,
    });
  }
}

/** What vision says, and what the agent does about it: the camera's and the detector's state become events. */
import type { AccuracyRecord } from '../accuracy/record.ts';
import { AgentError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { ToVision } from '../contract/link.ts';
import type { JournalRecorder } from '../restraint/journal/recorder.ts';
import type { LocalView } from '../local/view.ts';
import type { ReceivedFromVision } from './vision-process.ts';
import type { VisionDesks } from '../vision-desks.ts';
import type { VisionStatus } from './status.ts';

export interface VisionMessagesOptions {
  readonly log: Logger;
  readonly state: VisionStatus;
  readonly desks: Pick<VisionDesks, 'take'>;
  readonly view: Pick<LocalView, 'taken'>;
  readonly accuracy: Pick<AccuracyRecord, 'sees'>;
  readonly journal: Pick<JournalRecorder, 'detectorLoaded'>;
  readonly flow: {
    readonly blind: boolean;
    take(received: ReceivedFromVision): ToVision | undefined;
    condition(
      kind: 'detector-down' | 'detector-fallback' | 'stream-lost',
      holds: boolean,
      cause: Readonly<Record<string, unknown>>,
    ): void;
    visionReturns(): void;
  };
  send(message: ToVision): boolean;
  /** The camera can never work as configured. */
  onUnusable(error: AgentError): void;
}

export class VisionMessages {
  readonly #options: VisionMessagesOptions;
  #framesSeen = 0;

  constructor(options: VisionMessagesOptions) {
    this.#options = options;
  }

  take(received: ReceivedFromVision): void {
    const { log, state, desks, view, accuracy, journal, flow, send } = this.#options;
    const { message } = received;
    state.take(message);
    if (desks.take(received)) return;
    const answer = view.taken(message, () => flow.take(received));
    if (message.kind === 'frame') {
      this.#framesSeen += 1;
      accuracy.sees(!flow.blind);
    }
    if (answer !== undefined) send(answer);
    switch (message.kind) {
      case 'detector':
        log.info({ model: message.model, provider: message.provider }, 'detector loaded');
        flow.condition('detector-down', false, {});
        flow.condition(
          'detector-fallback',
          message.fallback !== null,
          message.fallback === null ? {} : { reason: message.fallback },
        );
        journal.detectorLoaded();
        return;
      case 'opened':
        log.info({ decoder: message.decoder, source: message.source, fps: message.fps }, 'camera opened');
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

  /** The vision process has gone, asked or not. */
  gone(): void {
    this.#options.state.gone();
    this.#options.accuracy.sees(false);
    this.#options.flow.visionReturns();
  }

  /** Vision gave its reason and ends. A configuration that never worked is for a person to mend now. */
  #failed(kind: AgentError['kind'], reason: string): void {
    const { log, flow, onUnusable } = this.#options;
    if (kind === 'config' && this.#framesSeen === 0) {
      onUnusable(new AgentError('config', reason));
      return;
    }
    log.error({ kind }, reason);
    flow.condition(kind === 'corrupt' ? 'detector-down' : 'stream-lost', true, { reason });
  }
}

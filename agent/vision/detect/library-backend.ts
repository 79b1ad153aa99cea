/**
 * Runs a model in an installed ONNX Runtime, and builds an engine beside it.
 *
 * LIMITS: ANSWER_WITHIN_MS for a result, REST_WITHIN_MS to end, ROWS_MAX detections. A libuv worker waits for the
 * library, so vision can still receive the message to end while one hangs. An engine is built without a time limit; its
 * end is not awaited.
 */
import type { Clock } from '../../base/clock.ts';
import { AgentError, messageOf } from '../../base/errors.ts';
import { printable } from '../../base/printable.ts';
import { checkSize, foreignLabel, type RawDetections, type RunOptions } from './backend.ts';
import type { GuardedBackend } from './guarded-loader.ts';
import type { EngineFolder } from './library-engine.ts';
import { mayNameOf } from './loading.ts';
import { sessionOptions, type ToOpen } from './providers.ts';
import { type Runtime, Session } from './session.ts';
import { within } from './within.ts';

/** Time limits and maximum number of rows as for an element (gstreamer.ts), for the same reasons. */
const ANSWER_WITHIN_MS = 5000;
const REST_WITHIN_MS = 700;
const ROWS_MAX = 4096;

export interface LibraryBackendOptions {
  readonly path: string;
  readonly toOpen: ToOpen;
  readonly runtime: Runtime;
  readonly clock: Clock;
  readonly session: Session;
}

export class LibraryBackend implements GuardedBackend {
  readonly #options: LibraryBackendOptions;
  #failed = false;
  #busy = false;
  #wantsRestart = false;
  #released = false;

  constructor(options: LibraryBackendOptions) {
    this.#options = options;
  }

  get failed(): boolean {
    return this.#failed;
  }

  get busy(): boolean {
    return this.#busy;
  }

  get wantsRestart(): boolean {
    return this.#wantsRestart;
  }

  get takesAnySize(): boolean {
    return this.#options.session.takesAnySize;
  }

  async run(rgb: Uint8Array, options: RunOptions = {}): Promise<RawDetections> {
    const { path, session, clock, toOpen } = this.#options;
    const [widthPx, heightPx] = toOpen.config.input;
    checkSize(rgb, options.input ?? { widthPx, heightPx });
    if (this.#released) throw new AgentError('bug', 'the detector was stopped');
    try {
      const answer = await within(clock, ANSWER_WITHIN_MS, session.run(rgb, options));
      if (answer === undefined) throw broken(path, `has not answered after ${ANSWER_WITHIN_MS / 1000} s`);
      const { labels } = answer.result;
      if (labels.length > ROWS_MAX) throw broken(path, `gives ${labels.length} detections`);
      const mayName = mayNameOf(toOpen.card);
      const foreign = labels.find((label) => !mayName(label));
      if (foreign !== undefined) throw foreignLabel(toOpen.card.name, foreign);
      return answer.result;
    } catch (error) {
      this.#failed = true;
      throw error instanceof AgentError ? error : broken(path, printable(messageOf(error), 300), error);
    }
  }

  /**
   * Builds the engine of a provider and runs it once, beside the model. Vision should then restart, and use it. A
   * provider that fails is tried again by the next vision.
   */
  build(provider: string, folder: EngineFolder): void {
    const { toOpen, runtime } = this.#options;
    const { log } = toOpen;
    this.#busy = true;
    const building = Session.open(runtime, sessionOptions(toOpen, provider)).then(async (session) => {
      await session.release();
      folder.stamp();
      this.#wantsRestart = true;
      log.info({ provider }, 'the engine of the provider is built');
    });
    void building
      .catch((error) => log.warn({ provider }, `the engine cannot be built: ${messageOf(error)}`))
      .finally(() => {
        this.#busy = false;
      });
  }

  async release(): Promise<void> {
    if (this.#released) return;
    this.#released = true;
    const { clock, session } = this.#options;
    if (this.#failed || (await within(clock, REST_WITHIN_MS, session.release())) === undefined)
      this.#failed = true;
  }
}

export function broken(path: string, problem: string, cause?: unknown): AgentError {
  return new AgentError('corrupt', `ONNX Runtime ${path} ${problem}`, cause);
}

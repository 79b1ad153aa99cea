/**
 * Runs one GStreamer pipeline. It is created once and opened and closed many times, because the binding never frees a
 * Pipeline object (two file descriptors each).
 *
 * INVARIANTS
 * - A `look` and a `pollBus` wait in a libuv worker each.
 * - After `close()` the bus is empty, so messages of one opening cannot count as faults of the next.
 * - The binding polls again after a message unless the pipeline is in the NULL state. `#up` is that state, as far as it
 *   can be known, and decides who requests the next message.
 * LIMITS: closing waits at most 300 ms for the bus (a pipeline that could not start sends no final message).
 */
import { createRequire } from 'node:module';
import type { AppSrc, BusMessage, Element, Pipeline } from 'node-gstreamer-superficial';
import type { Inferred, Look, Motion, Picture, Scene, Terms } from 'vigie-native';
import type { Clock } from '../../base/clock.ts';
import { AgentError, messageOf } from '../../base/errors.ts';
import { addon } from './addon.ts';

/** Wait for the final message, in ms. Going to NULL is synchronous: its messages are on the bus when `stop` returns. */
const GOODBYE_MS = 300;
/** Wait for PLAYING, in ms. All elements are plugged at the first frame; their messages follow within milliseconds. */
const PLAYING_MS = 500;
/** Longest clip in seconds, ten days; a longer one is a failed query. */
const DURATION_S_MAX = 864_000;
const TOPLEVEL = /^pipeline\d+$/;
const DECODER = /dec(?!odebin)[a-z0-9_]*-?\d+$/;

const binding = createRequire(import.meta.url)('node-gstreamer-superficial') as {
  Pipeline: new (description: string) => Pipeline;
};

/** GStreamer's message about a failure. */
export interface PipelineError {
  readonly message: string;
  readonly debug: string;
}

/** Wants every picture. */
export const EVERY_PICTURE: Terms = {
  spacingNs: null,
  fromMs: Number.NEGATIVE_INFINITY,
  markNs: null,
  onMotion: false,
  knownBoxes: new Float64Array(),
};

/** URLs that an rtspsrc may request: its stream and the tracks below it. */
export interface RtspRequests {
  /** Regular expression of complete URLs. */
  readonly urls: string;
  /** Regular expression of relative track names in SDP (RFC 2326, C.1.1), which are appended to `base`. */
  readonly track: string;
  readonly base: string;
}

/** Settings of the element `source`, applied before an opening. */
export interface SourceSettings {
  readonly properties: Readonly<Record<string, string>>;
  readonly requests?: RtspRequests;
}

/** Promise that is resolved from outside. */
class Deferred {
  readonly promise: Promise<void>;
  resolve: () => void = () => undefined;

  constructor() {
    this.promise = new Promise((resolve) => {
      this.resolve = resolve;
    });
  }
}

export class NativePipeline {
  readonly #clock: Clock;
  readonly #stopsAtError: boolean;
  readonly #pipeline: Pipeline;
  readonly #elements = new Map<string, Element>();
  readonly #stopAtExit = (): void => this.#nudge();
  #up = false;
  #polling = false;
  #disposed = false;
  #error: PipelineError | undefined;
  #decoder: string | undefined;
  /** Ends the wait in `infer`. */
  #endInfer: () => void = () => undefined;
  #playing = new Deferred();
  #goodbye = new Deferred();
  #saidGoodbye = true;

  /**
   * Creates the pipeline. `stopsAtError` is false if a failed element may hang, and each change of state with it.
   * @throws `config` if the text does not describe a valid pipeline
   */
  constructor(text: string, clock: Clock, stopsAtError = true) {
    this.#clock = clock;
    this.#stopsAtError = stopsAtError;
    try {
      this.#pipeline = new binding.Pipeline(text);
    } catch (error) {
      throw new AgentError('config', `GStreamer cannot build this pipeline: ${messageOf(error)}`, error);
    }
    // Flushing the bus would remove the message that ends the wait in pollBus.
    this.#pipeline['auto-flush-bus'] = false;
    // A worker that waits in the binding would keep process.exit() waiting too.
    process.on('exit', this.#stopAtExit);
  }

  /** Reason for the end of the opening, complete after `close()`; undefined for an ordinary end of stream. */
  get error(): PipelineError | undefined {
    return this.#error;
  }

  /** Returns the length of an open clip, in ms; null if unknown. */
  durationMs(): number | null {
    const seconds = this.#pipeline.queryDuration();
    // The binding returns an uninitialised number when the query fails.
    return seconds > 0 && seconds < DURATION_S_MAX ? seconds * 1000 : null;
  }

  get(element: string, property: string): unknown {
    return this.#element(element)[property];
  }

  set(element: string, property: string, value: string | number | boolean): void {
    this.#element(element)[property] = value;
  }

  /** Opens the source in `settings` for the element `source`; without it, the one in the pipeline's text. */
  open(settings: SourceSettings = { properties: {} }): void {
    this.#reset();
    const { properties, requests } = settings;
    for (const [name, value] of Object.entries(properties)) this.set('source', name, value);
    if (requests !== undefined) {
      const { urls, track, base } = requests;
      addon.restrictRequests(this.#sinkId, urls, track, base);
    }
    this.#pipeline.play();
    this.#noteOpened();
  }

  /** Opens without blocking; resolves when every element has started, or could not. */
  async openLater(): Promise<void> {
    this.#reset();
    await new Promise<void>((resolve) => this.#pipeline.change(true, resolve));
    if (!this.#disposed) this.#noteOpened();
  }

  /** Waits for the next picture that is wanted, which is to be released. */
  async look(terms: Terms = EVERY_PICTURE): Promise<Look> {
    try {
      const id = this.#sinkId;
      // Pictures that are already there need no worker.
      return addon.takeLook(id, terms) ?? (await addon.pullLook(id, terms));
    } catch (error) {
      this.fail({ message: messageOf(error), debug: '' });
      return { picture: null, records: [] };
    }
  }

  /** Sets the scene of the picture that came last. Returns its motion: any, for its past is unknown. */
  beginScene(picture: Picture, scene: Scene): Motion {
    return addon.beginScene(this.#sinkId, picture, scene);
  }

  /** Gives a frame to the appsrc `source`, which copies it. Returns false if the pipeline has failed or was stopped. */
  push(frame: Uint8Array, ptsNs: bigint): boolean {
    const time = Buffer.alloc(8);
    time.writeBigUInt64BE(ptsNs);
    return (this.#element('source') as AppSrc).push(frame, time) === 0;
  }

  /**
   * Returns an element's results of the next sample; null if none came within `limitMs`, or at the end of the opening.
   * Also null after a fault, since an element that could not start ends no wait in the binding. One call at a time.
   */
  infer(limitMs: number): Promise<Inferred | null> {
    if (this.#error !== undefined) return Promise.resolve(null);
    const openingEnd = new Promise<null>((resolve) => {
      this.#endInfer = () => resolve(null);
    });
    return Promise.race([addon.pullInferred(this.#sinkId, limitMs), openingEnd]);
  }

  /** Abandons a hanging pipeline. Each further call to it, also a change of state, would hang too. */
  abandon(): void {
    this.#up = false;
    this.#disposed = true;
    process.off('exit', this.#stopAtExit);
  }

  /** Ends the opening: `look` gives no picture. The first fault of an opening is kept. */
  fail(error: PipelineError): void {
    this.#error ??= error;
    this.#endInfer();
    if (this.#stopsAtError) this.#stop();
  }

  /** Returns the decoder that was plugged last. Waits until the pipeline plays, when all are plugged. */
  async decoder(): Promise<string | undefined> {
    await this.#within(PLAYING_MS, this.#playing);
    return this.#decoder;
  }

  /** Stops the pipeline and empties its bus. */
  async close(): Promise<void> {
    this.#stop();
    if (!this.#saidGoodbye) await this.#within(GOODBYE_MS, this.#goodbye);
  }

  /** Closes permanently. Idempotent. */
  async dispose(): Promise<void> {
    await this.close();
    this.#disposed = true;
    process.off('exit', this.#stopAtExit);
    // Only an opening that could not start leaves a wait.
    if (this.#polling) this.#nudge();
  }

  /**
   * Disposes without blocking. Returns false if the pipeline does not stop within `limitMs`; then it must not be used.
   */
  async disposeWithin(limitMs: number): Promise<boolean> {
    const rest = new Deferred();
    let rests = false;
    this.#pipeline.change(false, () => {
      rests = true;
      rest.resolve();
    });
    await this.#within(limitMs, rest);
    this.abandon();
    return rests;
  }

  #reset(): void {
    this.#error = undefined;
    this.#decoder = undefined;
    this.#playing = new Deferred();
    this.#goodbye = new Deferred();
    this.#saidGoodbye = false;
  }

  #noteOpened(): void {
    // A sink that has not started says `eos`: the change of state failed, and the error is on the bus.
    this.#up = this.get('sink', 'eos') !== true;
    this.#poll();
  }

  async #within(limitMs: number, deferred: Deferred): Promise<void> {
    const passed = new AbortController();
    await Promise.race([deferred.promise, this.#clock.sleep(limitMs, passed.signal)]);
    passed.abort();
  }

  get #sinkId(): number {
    return Number(this.get('sink', 'id'));
  }

  #element(name: string): Element {
    let element = this.#elements.get(name);
    if (element === undefined) {
      element = this.#pipeline.findChild(name);
      if (element === undefined) throw new AgentError('bug', `the pipeline lacks the element "${name}"`);
      this.#elements.set(name, element);
    }
    return element;
  }

  #stop(): void {
    this.#up = false;
    this.#pipeline.stop();
    this.#playing.resolve();
  }

  /** Ends a wait in pollBus with the messages of a change of state; a wait in look ends on its own. */
  #nudge(): void {
    this.#up = false;
    this.#pipeline.pause();
    this.#pipeline.stop();
  }

  #poll(): void {
    if (this.#polling) return;
    this.#polling = true;
    this.#pipeline.pollBus((message) => {
      if (isGoodbye(message)) this.#saidGoodbye = true;
      // After this callback the binding automatically requests the next message, unless the state is NULL.
      this.#polling = this.#up;
      if (!this.#up && !this.#saidGoodbye && !this.#disposed) this.#poll();
      // Deferred, because the following may change the state, which the binding has yet to check.
      setImmediate(() => this.#handle(message));
    });
  }

  #handle(message: BusMessage): void {
    const { type, _src_element_name: from } = message;
    if (type === 'error') {
      this.fail({ message: message.message ?? 'unknown error', debug: message.debug ?? '' });
    }
    if (isGoodbye(message)) this.#goodbye.resolve();
    if (type !== 'state-changed') return;
    const state = message['new-state'];
    if (state === 'GST_STATE_PLAYING' && TOPLEVEL.test(from)) this.#playing.resolve();
    if (state === 'GST_STATE_PAUSED' && DECODER.test(from)) this.#decoder = factoryOf(from);
  }
}

/** Reports whether this is the last message of an opening: the complete pipeline has stopped. */
function isGoodbye(message: BusMessage): boolean {
  return (
    message.type === 'state-changed' &&
    message['new-state'] === 'GST_STATE_NULL' &&
    TOPLEVEL.test(message._src_element_name)
  );
}

/** Returns the factory. GStreamer names an element after it, plus a number, with a dash if it ends in a digit. */
function factoryOf(element: string): string {
  return /-\d+$/.test(element) ? element.replace(/-\d+$/, '') : element.replace(/\d+$/, '');
}

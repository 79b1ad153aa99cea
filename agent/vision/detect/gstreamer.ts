/**
 * The backend `gstreamer`: a GStreamer element runs the model, for instance on an accelerator.
 *
 *   appsrc (the masked frame) ! element [! decoder] ! picturesink (its results)
 *
 * Every backend gets the same frame, so the privacy masks are black for the element too.
 *
 * INVARIANTS:
 * - One frame is in the pipeline at a time, and its answer carries its time stamp. An answer to another frame, or none
 *   in time, ends the backend permanently.
 * - Only elements and properties of contract/inference-element.ts, and the decoder below, get a frame.
 * - It never shares a process with onnxruntime-node. An element may bring its own ONNX Runtime, and two of them abort.
 * LIMITS:
 * - OPEN_WITHIN_MS for the first answer, ANSWER_WITHIN_MS for all others, REST_WITHIN_MS for its end.
 * - ROWS_MAX detections.
 * - A libuv worker waits for the element, so vision can still receive the message to end while one hangs.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Inferred, Tensor } from 'vigie-native';
import type { Clock } from '../../base/clock.ts';
import { AgentError, assert, messageOf } from '../../base/errors.ts';
import { printable } from '../../base/printable.ts';
import type { ElementConfig } from '../../contract/config.ts';
import type { SizePx } from '../../contract/geometry.ts';
import { INFERENCE_ELEMENTS } from '../../contract/inference-element.ts';
import { LABELS } from '../../contract/label.ts';
import { NativePipeline } from '../native/gstreamer.ts';
import { type Backend, checkSize, foreignLabel, type RawDetections, type RunOptions } from './backend.ts';
import type { HailoCard } from './card.ts';
import { decodeHailo } from './hailo.ts';

export interface ElementOptions {
  readonly clock: Clock;
  readonly element: ElementConfig;
  /** Path of the model's file, which was checked against its card. */
  readonly file: string;
  /** Name of the model in messages. */
  readonly model: string;
  readonly input: SizePx;
  /** Element that converts the tensors to detections, if they do not follow the contract. */
  readonly decoder?: typeof DECODER | undefined;
  /** Output of a .hef, for `hailonet`. */
  readonly hailo?: HailoCard | undefined;
  /** Minimum score; the decoder drops detections below it, as the contract's graphs do. */
  readonly scoreMin: number;
  /** Reports whether the card knows a label index of the model. */
  readonly mayName: (label: number) => boolean;
}

/** Debian's decoder for SSD models, which puts GstAnalyticsRelationMeta on the buffers. */
const DECODER = 'ssdobjectdetector';
/**
 * Time limit for opening, in ms. Some accelerators compile a model when it is opened; slower compilers must have run
 * before. After a minute without a message from vision, the agent would be restarted (agent/health/sd-notify.ts).
 */
const OPEN_WITHIN_MS = 45_000;
/**
 * Time limit for stopping, in ms. Vision has 2 s to end, including the camera and the last pictures
 * (agent/supervisor/vision-process.ts).
 */
const REST_WITHIN_MS = 700;
/**
 * Time limit for an answer, in ms. The slowest of our boards needs less than 1 s for a frame.
 */
const ANSWER_WITHIN_MS = 5000;
/** Maximum number of rows. TopK gives at most 512 per class group (model contract); more rows are invalid. */
const ROWS_MAX = 4096;
/** Nominal frame interval in ns. An element needs increasing time stamps; their difference has no effect. */
const FRAME_NS = 200_000_000n;
/** GstTensorDataType (gst/analytics/gsttensor.h). */
const INT32 = 3;
const FLOAT32 = 11;
const TYPES: Readonly<Record<number, string>> = { [INT32]: 'int32', [FLOAT32]: 'float32' };

export class InferenceElementBackend implements Backend {
  readonly takesAnySize = false;
  readonly #options: ElementOptions;
  readonly #pipeline: NativePipeline;
  readonly #labels: ReadonlyMap<string, number> = new Map(
    Object.entries(LABELS).map(([index, name]) => [name, Number(index)]),
  );
  #frames = 0n;
  #running: Promise<unknown> = Promise.resolve();
  #endError: AgentError | undefined;
  #released = false;

  private constructor(options: ElementOptions, pipeline: NativePipeline) {
    this.#options = options;
    this.#pipeline = pipeline;
  }

  /**
   * Builds the pipeline and runs the model on a black frame.
   * @throws AgentError `config` (no such element here, a model of another kind or size), `corrupt` (it does not run)
   */
  static async open(options: ElementOptions): Promise<InferenceElementBackend> {
    const backend = new InferenceElementBackend(options, pipelineOf(options));
    const { widthPx, heightPx } = options.input;
    try {
      if (!(await backend.#within(OPEN_WITHIN_MS, backend.#pipeline.openLater()))) {
        throw backend.#end(backend.#broken(`does not start within ${OPEN_WITHIN_MS / 1000} s`));
      }
      await backend.#answered(new Uint8Array(widthPx * heightPx * 3), OPEN_WITHIN_MS);
      return backend;
    } catch (error) {
      await backend.release();
      throw error;
    }
  }

  /** True after a failure. A driver in an unknown state may keep a process from exiting, which must then be killed. */
  get failed(): boolean {
    return this.#endError !== undefined;
  }

  async run(rgb: Uint8Array, { input = this.#options.input }: RunOptions = {}): Promise<RawDetections> {
    const { widthPx, heightPx } = this.#options.input;
    assert(input.widthPx === widthPx && input.heightPx === heightPx, 'an element takes one size of picture');
    checkSize(rgb, input);
    return this.#answered(rgb, ANSWER_WITHIN_MS);
  }

  async release(): Promise<void> {
    if (this.#released) return;
    this.#released = true;
    const busy = !(await this.#within(REST_WITHIN_MS, this.#running));
    if (this.failed || busy) this.#pipeline.abandon();
    const rests = this.failed || (!busy && (await this.#pipeline.disposeWithin(REST_WITHIN_MS)));
    if (!rests) this.#end(this.#broken(`does not come to rest within ${REST_WITHIN_MS} ms`));
  }

  /** Resolves to whether `coming` settled within the limit. */
  async #within(limitMs: number, coming: Promise<unknown>): Promise<boolean> {
    const passed = new AbortController();
    const late = this.#options.clock.sleep(limitMs, passed.signal).then(() => false);
    const came = await Promise.race([coming.then(() => true), late]);
    passed.abort();
    return came;
  }

  #end(error: AgentError): AgentError {
    this.#endError ??= error;
    return this.#endError;
  }

  #answered(rgb: Uint8Array, limitMs: number): Promise<RawDetections> {
    if (this.#released) throw new AgentError('bug', 'the detector was stopped');
    const answer = this.#answer(rgb, limitMs);
    this.#running = answer.catch(() => undefined);
    return answer;
  }

  async #answer(rgb: Uint8Array, limitMs: number): Promise<RawDetections> {
    if (this.#endError !== undefined) throw this.#endError;
    try {
      const ptsNs = this.#frames * FRAME_NS;
      this.#frames += 1n;
      const wasTaken = this.#pipeline.push(rgb, ptsNs);
      const inferred = wasTaken ? await this.#pipeline.infer(limitMs) : null;
      if (inferred === null) throw await this.#noAnswer(limitMs);
      if (inferred.ptsNs !== ptsNs) {
        throw this.#broken(
          `answers for the frame of ${inferred.ptsNs} ns when asked for that of ${ptsNs} ns: it must answer for ` +
            'each frame once, in sequence',
        );
      }
      if (this.#options.hailo !== undefined) return this.#ofHailo(inferred, this.#options.hailo);
      return this.#options.decoder === undefined ? this.#ofTensors(inferred) : this.#ofObjects(inferred);
    } catch (error) {
      throw this.#end(error instanceof AgentError ? error : new AgentError('bug', String(error), error));
    }
  }

  async #noAnswer(limitMs: number): Promise<AgentError> {
    // The element's error message may come after the end of the wait.
    await this.#options.clock.sleep(100);
    const { error } = this.#pipeline;
    if (error !== undefined)
      return this.#broken(`fails: ${printable(error.message)} (${causeOf(error.debug)})`);
    return this.#broken(`gives no answer within ${limitMs / 1000} s`);
  }

  #ofTensors({ tensors }: Inferred): RawDetections {
    const rows = this.#tensor(tensors, 'vigie-scores', FLOAT32, [-1]);
    const [count = 0] = rows.dims;
    const boxes = this.#tensor(tensors, 'vigie-boxes', FLOAT32, [count, 4]);
    const labels = this.#tensor(tensors, 'vigie-labels', INT32, [count]);
    if (tensors.length !== 3) {
      const names = tensors.map(nameOf).join(', ');
      throw this.#broken(
        `gives ${names} besides boxes, scores and labels; a detector must not have other outputs`,
      );
    }
    const detections = {
      boxes: new Float32Array(boxes.bytes),
      scores: new Float32Array(rows.bytes),
      labels: new Int32Array(labels.bytes),
    };
    const foreign = detections.labels.find((label) => !this.#options.mayName(label));
    if (foreign !== undefined) throw foreignLabel(this.#options.model, foreign);
    return detections;
  }

  #tensor(
    tensors: readonly Tensor[],
    id: string,
    type: number,
    shape: readonly number[],
  ): { dims: readonly number[]; bytes: ArrayBuffer } {
    const tensor = tensors.find((one) => one.id === id);
    const length = tensor?.dims.reduce((product, side) => product * side, 4);
    const fits =
      tensor?.type === type &&
      tensor.isRowMajor &&
      tensor.dims.length === shape.length &&
      shape.every((side, axis) => side === -1 || tensor.dims[axis] === side) &&
      (tensor.dims[0] ?? 0) <= ROWS_MAX &&
      tensor.data?.length === length;
    if (fits && tensor.data !== null) {
      const bytes = new ArrayBuffer(tensor.data.length);
      new Uint8Array(bytes).set(tensor.data);
      return { dims: tensor.dims, bytes };
    }
    const actual = tensors.map((one) => `${nameOf(one)} ${typeOf(one.type)} [${one.dims.join(',')}]`);
    const expected = `${id} ${typeOf(type)} [${shape.map((side) => (side === -1 ? 'n' : side)).join(',')}]`;
    throw this.#broken(`gives ${actual.join(', ') || 'no tensors'} instead of ${expected}`);
  }

  #ofHailo({ hailo }: Inferred, card: HailoCard): RawDetections {
    const { input, scoreMin } = this.#options;
    try {
      return decodeHailo(hailo, { card, input, scoreMin });
    } catch (error) {
      throw this.#broken(messageOf(error));
    }
  }

  #ofObjects({ objects }: Inferred): RawDetections {
    if (objects.length > ROWS_MAX) throw this.#broken(`gives ${objects.length} objects`);
    const sorted = [...objects].sort((a, b) => b.score - a.score);
    const labels = sorted.map(({ label }) => {
      const index = this.#labels.get(label);
      if (index === undefined || !this.#options.mayName(index))
        throw foreignLabel(this.#options.model, label);
      return index;
    });
    return {
      boxes: Float32Array.from(sorted.flatMap(({ xywhPx: [x, y, w, h] }) => [x, y, x + w, y + h])),
      scores: Float32Array.from(sorted, ({ score }) => score),
      labels: Int32Array.from(labels),
    };
  }

  #broken(problem: string): AgentError {
    const { element, model } = this.#options;
    return new AgentError('corrupt', `detector.element ${element.name} with model ${model} ${problem}`);
  }
}

/** Returns the cause. GStreamer's text of a failure starts with a place in its source code. */
function causeOf(debug: string): string {
  return printable(debug.split('\n').at(-1) ?? '', 300);
}

function typeOf(type: number): string {
  return TYPES[type] ?? `of type ${type}`;
}

function nameOf({ id }: Tensor): string {
  return id === '' ? 'a tensor without a name' : printable(id, 40);
}

function pipelineOf({
  clock,
  element,
  file,
  model,
  input,
  decoder,
  scoreMin,
}: ElementOptions): NativePipeline {
  const knownElement = INFERENCE_ELEMENTS[element.name];
  assert(knownElement !== undefined, `no such element in the list: ${element.name}`);
  const set = [
    ...Object.entries(knownElement.fixed).map(([name, value]) => `${name}=${value}`),
    ...element.properties.filter((one) => isAllowed(one, knownElement.properties)),
    `${knownElement.modelProperty}=${quoted(file)}`,
  ];
  const caps = `video/x-raw,format=RGB,width=${input.widthPx},height=${input.heightPx},framerate=0/1,pixel-aspect-ratio=1/1`;
  const dir = decoder === undefined ? undefined : mkdtempSync(join(tmpdir(), 'vigie-labels-'));
  try {
    return new NativePipeline(
      [
        // Without this, it would be asked for its clock's time.
        `appsrc name=source format=time is-live=false max-buffers=1 caps=${quoted(caps)}`,
        `${element.name} name=element ${set.join(' ')}`,
        ...(dir === undefined ? [] : [decoding(labelFile(dir), scoreMin)]),
        'picturesink name=sink sync=false async=false max-buffers=2 enable-last-sample=false',
      ].join(' ! '),
      clock,
      false,
    );
  } catch (error) {
    if (error instanceof AgentError && error.message.includes(`no element "${element.name}"`)) {
      throw new AgentError(
        'config',
        `detector.element.name ${element.name}: GStreamer element not installed; it comes with ${knownElement.from}`,
        error,
      );
    }
    throw new AgentError(
      'corrupt',
      `detector.element ${element.name} does not take model ${model} at ${input.widthPx}x${input.heightPx}: ` +
        `${error instanceof Error ? error.message : String(error)}`,
      error,
    );
  } finally {
    // The file was read when the property was set.
    if (dir !== undefined) rmSync(dir, { recursive: true });
  }
}

/**
 * Returns the decoder's launch text. Its defaults drop scores below .3 and sizes above .9 of the picture, which the
 * card must decide.
 */
function decoding(labels: string, scoreMin: number): string {
  return `${DECODER} label-file=${quoted(labels)} score-threshold=${scoreMin} size-threshold=1`;
}

/**
 * Checks again that a property is allowed, because only checked text may enter a pipeline. The configuration was
 * already refused otherwise.
 */
function isAllowed(property: string, allowed: Readonly<Record<string, readonly string[]>>): boolean {
  const [name = '', value = ''] = property.split('=');
  return Object.hasOwn(allowed, name) && (allowed[name]?.includes(value) ?? false);
}

/** Quotes a string for gst-launch-1.0(1). */
function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}

/** Writes one name for each label index; indices that no model may name get a name that is refused. */
function labelFile(dir: string): string {
  const labels: Readonly<Record<number, string>> = LABELS;
  const names = Array.from({ length: 91 }, (_, index) => labels[index] ?? `class ${index}`);
  const file = join(dir, 'labels');
  writeFileSync(file, `${names.join('\n')}\n`, { mode: 0o600 });
  return file;
}

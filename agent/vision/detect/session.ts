/**
 * A model that runs in an ONNX Runtime, npm's (onnxruntime.ts) or one that is installed (onnxruntime-library.ts), under
 * the contract of every model.
 *
 * INVARIANTS: `run` and `release` never overlap (a process that exits during a run aborts).
 */
import { AgentError, messageOf } from '../../base/errors.ts';
import type { SizePx } from '../../contract/geometry.ts';
import { type Backend, checkSize, foreignLabel, type RawDetections, type RunOptions } from './backend.ts';
import { FEATURES, type FeaturesCard, shapeOf } from './features.ts';

/** Input or output of a graph. A side of any length is a string. */
export interface TensorInfo {
  readonly name: string;
  readonly isTensor: boolean;
  /** Absent if it is not a tensor. */
  readonly type?: string;
  readonly shape?: readonly (number | string)[];
}

export interface OutputTensor {
  readonly data: unknown;
  readonly dims: readonly number[];
}

/** Model in a runtime. */
export interface NativeModel {
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  /** Returns the outputs of these names for RGB rows of 8 bits, which are read in place. */
  run(
    input: string,
    rgb: Uint8Array,
    size: SizePx,
    outputs: readonly string[],
  ): Promise<Readonly<Record<string, OutputTensor>>>;
  release(): Promise<void>;
}

export interface Runtime {
  /** Loads a model on one execution provider, without a fallback. */
  open(bytes: Uint8Array, provider: string): Promise<NativeModel>;
}

export interface SessionOptions {
  readonly bytes: Uint8Array;
  /** Name of the model in messages. */
  readonly model: string;
  readonly inputName: string;
  readonly input: SizePx;
  readonly provider: string;
  /** The card's description of the model's features; absent if it has none. */
  readonly features?: FeaturesCard | undefined;
  /** Reports whether the card knows a label index of the model. */
  readonly mayName: (label: number) => boolean;
}

/**
 * Contract of every model: the element type and the shape of each tensor, in which -1 allows any side. A model with
 * other outputs (an embedding, landmarks, wider rows) is refused, because these could not be about ten classes only.
 * The one exception is a feature map of the complete picture that the card describes (features.ts gives the reasons).
 */
const OUTPUTS = { boxes: ['float32', [-1, 4]], scores: ['float32', [-1]], labels: ['int32', [-1]] } as const;
const DETECTIONS = Object.keys(OUTPUTS);

export class Session implements Backend {
  readonly #native: NativeModel;
  readonly #options: SessionOptions;
  #running: Promise<unknown> = Promise.resolve();
  #released = false;

  private constructor(native: NativeModel, options: SessionOptions) {
    this.#native = native;
    this.#options = options;
  }

  /**
   * Loads the model, compares it with the contract and runs it once on a black frame.
   * @throws AgentError `config` (no such provider), `corrupt` (not such a model)
   */
  static async open(runtime: Runtime, options: SessionOptions): Promise<Session> {
    let native: NativeModel;
    try {
      native = await runtime.open(options.bytes, options.provider);
    } catch (error) {
      const kind = options.provider === 'cpu' ? 'corrupt' : 'config';
      const message = `model ${options.model} does not load on ${options.provider}: ${messageOf(error)}`;
      throw new AgentError(kind, message, error);
    }
    const session = new Session(native, options);
    try {
      session.#checkContract();
      const { widthPx, heightPx } = options.input;
      const { labels } = await session.run(new Uint8Array(widthPx * heightPx * 3), {
        withFeatures: options.features !== undefined,
      });
      const foreign = labels.find((label) => !options.mayName(label));
      if (foreign !== undefined) throw foreignLabel(options.model, foreign);
    } catch (error) {
      await session.release();
      throw error;
    }
    return session;
  }

  /** True if the model takes pictures of other sizes than the one that it was opened with. */
  get takesAnySize(): boolean {
    return this.#native.inputs.every(
      (one) => one.isTensor && [1, 2].every((axis) => typeof one.shape?.[axis] === 'string'),
    );
  }

  /**
   * Runs the model on `rgb` of size `input`, which is read in place and must not change until the promise settles.
   * `withFeatures` requires features in the card; outputs that are not requested are not copied out of the graph.
   * @throws AgentError `corrupt` if the runtime refuses the frame
   */
  async run(
    rgb: Uint8Array,
    { input = this.#options.input, withFeatures = false }: RunOptions = {},
  ): Promise<RawDetections> {
    if (this.#released) throw new AgentError('bug', 'the detector was stopped');
    checkSize(rgb, input);
    const { inputName, model } = this.#options;
    const outputs = withFeatures ? [...DETECTIONS, FEATURES] : DETECTIONS;
    const running = this.#native.run(inputName, rgb, input, outputs);
    // `release` waits for this run, whatever its result.
    this.#running = running.catch(messageOf);
    try {
      return this.#checked(await running);
    } catch (error) {
      if (error instanceof AgentError) throw error;
      const size = `${input.widthPx}x${input.heightPx}`;
      throw new AgentError(
        'corrupt',
        `model ${model} fails on a frame of ${size}: ${messageOf(error)}`,
        error,
      );
    }
  }

  /** Frees the session after the current run. Idempotent. */
  async release(): Promise<void> {
    if (this.#released) return;
    this.#released = true;
    await this.#running;
    await this.#native.release();
  }

  #checkContract(): void {
    const { inputName, input, model } = this.#options;
    const frame = this.#native.inputs.map(describe).join(' ');
    const shape = `[1,${input.heightPx},${input.widthPx},3]`;
    const fits = this.#native.inputs.every(
      (one) =>
        one.isTensor &&
        one.name === inputName &&
        one.type === 'uint8' &&
        one.shape?.length === 4 &&
        [1, input.heightPx, input.widthPx, 3].every(
          (side, axis) => typeof one.shape?.[axis] === 'string' || one.shape?.[axis] === side,
        ),
    );
    if (this.#native.inputs.length !== 1 || !fits) {
      throw new AgentError('corrupt', `model ${model} takes ${frame} instead of ${inputName} uint8 ${shape}`);
    }
    const outputs = this.#native.outputs;
    const missingOutput = Object.entries(OUTPUTS).find(
      ([name, [type, shape]]) => !outputs.some((one) => one.name === name && isOf(one, type, shape)),
    );
    if (missingOutput !== undefined) {
      const [name, [type, shape]] = missingOutput;
      const expected = `${name} ${type} [${shape.map((side) => (side === -1 ? 'n' : side)).join(',')}]`;
      throw new AgentError(
        'corrupt',
        `model ${model} gives ${outputs.map(describe).join(', ')}: no ${expected}; this model is refused`,
      );
    }
    this.#checkFeatures(outputs.find(({ name }) => name === FEATURES));
    const { features } = this.#options;
    const allowed = features === undefined ? DETECTIONS : [...DETECTIONS, FEATURES];
    const extraOutputs = outputs.filter(({ name }) => !allowed.includes(name));
    if (extraOutputs.length === 0) return;
    throw new AgentError(
      'config',
      `model ${model} gives ${extraOutputs.map(describe).join(', ')} besides boxes, scores and labels; a detector must not have ` +
        'other outputs, so this model is refused',
    );
  }

  #checkFeatures(output: TensorInfo | undefined): void {
    const { features, model } = this.#options;
    if (features === undefined) return;
    if (output !== undefined && isOf(output, 'uint8', [1, -1, -1, features.channels])) return;
    const actual = output === undefined ? 'none' : describe(output);
    throw new AgentError(
      'corrupt',
      `model ${model} gives ${actual} instead of features uint8 [1,rows,columns,${features.channels}], of which its ` +
        'card speaks; this model is refused',
    );
  }

  #checked(outputs: Readonly<Record<string, OutputTensor>>): RawDetections {
    const { boxes, scores, labels } = outputs;
    const features = this.#checkedFeatures(outputs[FEATURES]);
    if (
      boxes?.data instanceof Float32Array &&
      scores?.data instanceof Float32Array &&
      labels?.data instanceof Int32Array &&
      boxes.data.length === scores.data.length * 4 &&
      labels.data.length === scores.data.length
    ) {
      return { boxes: boxes.data, scores: scores.data, labels: labels.data, features };
    }
    throw new AgentError('corrupt', `model ${this.#options.model} gives outputs that do not fit each other`);
  }

  #checkedFeatures(output: OutputTensor | undefined): Uint8Array | undefined {
    const { features, input, model } = this.#options;
    if (features === undefined || output === undefined) return undefined;
    const shape = shapeOf(features, input);
    if (output.data instanceof Uint8Array && String(output.dims) === String(shape)) return output.data;
    throw new AgentError(
      'corrupt',
      `model ${model} gives features [${output.dims.join(',')}] instead of [${shape.join(',')}]; this model is refused`,
    );
  }
}

function isOf(one: TensorInfo, type: string, shape: readonly number[]): boolean {
  if (!one.isTensor || one.type !== type || one.shape?.length !== shape.length) return false;
  return shape.every((side, axis) => side === -1 || one.shape?.[axis] === side);
}

function describe(one: TensorInfo): string {
  return one.isTensor ? `${one.name} ${one.type} [${one.shape?.join(',')}]` : `${one.name} (no tensor)`;
}

/**
 * The backend `onnxruntime`, one ONNX Runtime session. Only this file uses onnxruntime-node.
 *
 * INVARIANTS:
 * - The library is not loaded unless its telemetry is off.
 * - `run` and `release` never overlap (a process that exits during a run aborts).
 */
import type { InferenceSession } from 'onnxruntime-node';
import { AgentError, messageOf } from '../../base/errors.ts';
import type { SizePx } from '../../contract/geometry.ts';
import { type Backend, checkSize, foreignLabel, type RawDetections, type RunOptions } from './backend.ts';
import { FEATURES, type FeaturesCard, shapeOf } from './features.ts';

export type Runtime = typeof import('onnxruntime-node');

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

/**
 * Loads the library if telemetry is disabled. Since 1.29 it reads /etc/machine-id, writes under ~/.cache/Microsoft and
 * looks up a collector, unless this variable is set before it is loaded.
 * @throws AgentError `config`
 */
export async function loadRuntime(): Promise<Runtime> {
  if (process.env['ORT_DISABLE_TELEMETRY'] !== '1') {
    throw new AgentError(
      'config',
      'ONNX Runtime sends usage data unless ORT_DISABLE_TELEMETRY=1 is in the environment; it is not, so the ' +
        'detector does not start: set it in the unit or the script that starts vision',
    );
  }
  return import('onnxruntime-node');
}

/**
 * Returns session options with one thread that sleeps when idle; two spinning threads cost 18.5 instead of 11.3 CPU-ms
 * a frame.
 *
 * ONNX Runtime's own arena stays on. Without it, intermediates are allocated and freed by malloc in each frame, among
 * all other allocations, which costs 0.4 ms a frame and 14 MiB. Frames of one size need no memory pattern (3 MiB less).
 */
function optionsOf(provider: string): InferenceSession.SessionOptions {
  return {
    executionProviders: [provider],
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    enableMemPattern: false,
    // 3 = errors. Important ones are thrown as exceptions.
    logSeverityLevel: 3,
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  };
}

export class Session implements Backend {
  readonly #runtime: Runtime;
  readonly #session: InferenceSession;
  readonly #options: SessionOptions;
  #running: Promise<unknown> = Promise.resolve();
  #released = false;

  private constructor(runtime: Runtime, session: InferenceSession, options: SessionOptions) {
    this.#runtime = runtime;
    this.#session = session;
    this.#options = options;
  }

  /**
   * Loads the model, compares it with the contract and runs it once on a black frame.
   * @throws AgentError `config` (no such provider), `corrupt` (not such a model)
   */
  static async open(runtime: Runtime, options: SessionOptions): Promise<Session> {
    let native: InferenceSession;
    try {
      native = await runtime.InferenceSession.create(options.bytes, optionsOf(options.provider));
    } catch (error) {
      const kind = options.provider === 'cpu' ? 'corrupt' : 'config';
      const message = `model ${options.model} does not load on ${options.provider}: ${messageOf(error)}`;
      throw new AgentError(kind, message, error);
    }
    const session = new Session(runtime, native, options);
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
    return this.#session.inputMetadata.every(
      (one) => one.isTensor && [1, 2].every((axis) => typeof one.shape[axis] === 'string'),
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
    const frame = new this.#runtime.Tensor('uint8', rgb, [1, input.heightPx, input.widthPx, 3]);
    const running = this.#session.run(
      { [inputName]: frame },
      withFeatures ? [...DETECTIONS, FEATURES] : DETECTIONS,
    );
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
    await this.#session.release();
  }

  #checkContract(): void {
    const { inputName, input, model } = this.#options;
    const frame = this.#session.inputMetadata.map(describe).join(' ');
    const shape = `[1,${input.heightPx},${input.widthPx},3]`;
    const fits = this.#session.inputMetadata.every(
      (one) =>
        one.isTensor &&
        one.name === inputName &&
        one.type === 'uint8' &&
        one.shape.length === 4 &&
        [1, input.heightPx, input.widthPx, 3].every(
          (side, axis) => typeof one.shape[axis] === 'string' || one.shape[axis] === side,
        ),
    );
    if (this.#session.inputNames.length !== 1 || !fits) {
      throw new AgentError('corrupt', `model ${model} takes ${frame} instead of ${inputName} uint8 ${shape}`);
    }
    const outputs = this.#session.outputMetadata;
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

  #checkFeatures(output: InferenceSession.ValueMetadata | undefined): void {
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

  #checked(outputs: InferenceSession.ReturnType): RawDetections {
    const { boxes, scores, labels } = outputs;
    try {
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
      throw new AgentError(
        'corrupt',
        `model ${this.#options.model} gives outputs that do not fit each other`,
      );
    } finally {
      for (const output of Object.values(outputs)) output.dispose();
    }
  }

  #checkedFeatures(output: InferenceSession.ReturnType[string] | undefined): Uint8Array | undefined {
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

function isOf(one: InferenceSession.ValueMetadata, type: string, shape: readonly number[]): boolean {
  if (!one.isTensor || one.type !== type || one.shape.length !== shape.length) return false;
  return shape.every((side, axis) => side === -1 || one.shape[axis] === side);
}

function describe(one: InferenceSession.ValueMetadata): string {
  return one.isTensor ? `${one.name} ${one.type} [${one.shape.join(',')}]` : `${one.name} (no tensor)`;
}

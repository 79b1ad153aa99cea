/** Interface of the backends that run a model (onnxruntime.ts, gstreamer.ts). */
import { AgentError, assert } from '../../base/errors.ts';
import type { SizePx } from '../../contract/geometry.ts';

/** The model's output for one frame, straight from the graph: n boxes, best first. */
export interface RawDetections {
  /** n × 4, xyxy in input pixels. */
  readonly boxes: Float32Array;
  readonly scores: Float32Array;
  /** Label indices of the model. */
  readonly labels: Int32Array;
  /** Features if requested, as output by the graph, of the card's shape. */
  readonly features?: Uint8Array | undefined;
}

export interface RunOptions {
  /** Size of the picture; the one that the backend was opened with, unless it takes any. */
  readonly input?: SizePx;
  /** True to return features; only for a model that has them. */
  readonly withFeatures?: boolean;
}

export interface Backend {
  /** True if the model takes pictures of other sizes than the one that it was opened with. */
  readonly takesAnySize: boolean;
  /**
   * Runs the model. `rgb`, RGB rows of 8 bits and of the input's size, must not change until the promise settles. One
   * call at a time.
   *
   * @throws AgentError `corrupt` if the model or its runtime fails, or outputs a label that its card does not know
   *
   * @throws AgentError `bug` for a frame of another size, which has no effect
   */
  run(rgb: Uint8Array, options?: RunOptions): Promise<RawDetections>;
  /** Frees the backend after the current run. Idempotent. */
  release(): Promise<void>;
}

export function foreignLabel(model: string, label: number | string): AgentError {
  return new AgentError('corrupt', `model ${model} names class ${label}, which its card does not know`);
}

export function checkSize(rgb: Uint8Array, { widthPx, heightPx }: SizePx): void {
  const expectedBytes = widthPx * heightPx * 3;
  assert(
    rgb.length === expectedBytes,
    `frame of ${rgb.length} bytes instead of ${expectedBytes}: ${widthPx}x${heightPx}, RGB`,
  );
}

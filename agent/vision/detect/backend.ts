/** What runs a model: one interface, a file for each way of running it (onnxruntime.ts, gstreamer.ts). */
import { AgentError, assert } from '../../base/errors.ts';
import type { SizePx } from '../../contract/geometry.ts';

/** What the model says of one frame, straight out of the graph: n boxes, best first. */
export interface RawDetections {
  /** n × 4, xyxy in input pixels. */
  readonly boxes: Float32Array;
  readonly scores: Float32Array;
  /** Label indices of the model. */
  readonly labels: Int32Array;
  /** Where they were asked for: as the graph has them, of the card's shape. */
  readonly features?: Uint8Array | undefined;
}

export interface RunOptions {
  /** Size of the picture; the one that the backend was opened with, unless it takes any. */
  readonly input?: SizePx;
  /** Only where the model has some. */
  readonly withFeatures?: boolean;
}

export interface Backend {
  /** Whether the model takes pictures of other sizes than the one that it was opened with. */
  readonly takesAnySize: boolean;
  /**
   * `rgb`, RGB rows of 8 bits and of the input's size, stays as it is until the promise settles. One call at a time.
   * @throws AgentError `corrupt` when the model, or what runs it, fails or says what its card does not know; `bug` for a
   * frame of another size, which changes nothing
   */
  run(rgb: Uint8Array, options?: RunOptions): Promise<RawDetections>;
  /** Idempotent; waits for the run under way. */
  release(): Promise<void>;
}

export function foreignLabel(model: string, label: number | string): AgentError {
  return new AgentError('corrupt', `model ${model} names class ${label}, which its card does not know`);
}

export function checkSize(rgb: Uint8Array, { widthPx, heightPx }: SizePx): void {
  const wanted = widthPx * heightPx * 3;
  assert(
    rgb.length === wanted,
    `frame of ${rgb.length} bytes instead of ${wanted}: ${widthPx}x${heightPx}, RGB`,
  );
}

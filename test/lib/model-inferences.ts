/** Detections of a model in frames, by the box's own detector. */

import { systemClock } from '../../agent/base/clock.ts';
import { assert } from '../../agent/base/errors.ts';
import { makeLogger } from '../../agent/base/log.ts';
import type { Detection, Frame } from '../../agent/contract/picture.ts';
import { Detector } from '../../agent/vision/detect/detector.ts';

/**
 * Detects objects in frames. `element` is the GStreamer element that runs the model, in a process that has never loaded
 * onnxruntime-node; without it the CPU does.
 */
export async function detections(
  modelDir: string,
  model: string,
  input: [number, number],
  frames: readonly Frame[],
  element?: string,
): Promise<Detection[][]> {
  const backend =
    element === undefined
      ? { backend: 'onnxruntime' as const }
      : { backend: 'gstreamer' as const, element: { name: element, model, properties: [] } };
  const config = { model, input, ...backend, providers: ['cpu'] };
  const detector = new Detector({ config, modelDir, clock: systemClock, log: makeLogger('test', 'error') });
  const results: Detection[][] = [];
  const { provider } = await detector.start();
  try {
    assert(provider === (element ?? 'cpu'), `${model} runs on ${provider}`);
    for (const frame of frames) results.push(await detector.detect(frame));
  } finally {
    await detector.stop();
  }
  return results;
}

/** A frame that fills the model's input. */
export function frameOf(rgb: Uint8Array, [widthPx, heightPx]: readonly [number, number]): Frame {
  const size = { widthPx, heightPx };
  return { index: 1, ptsNs: 0n, atMs: 0, wallMs: 0, source: size, input: size, rgb };
}

/**
 * Measures the second half of the floor in a process of its own: the model, ONNX Runtime and recorded frames, nothing
 * else. CPU time covers only the inferences; loading and reading frames are excluded.
 */
import { openSync, readSync } from 'node:fs';
import { readFile } from 'node:fs/promises';

export interface BareInference {
  readonly frames: number;
  /** CPU time of all frames after the first `warmFrames`. */
  readonly cpuMs: number;
  readonly wallMs: number;
}

export interface BareInferenceOptions {
  readonly model: string;
  /** Raw RGB frames in sequence. */
  readonly recording: string;
  readonly widthPx: number;
  readonly heightPx: number;
  readonly warmFrames: number;
}

export async function bareInference(options: BareInferenceOptions): Promise<BareInference> {
  const { model, recording, widthPx, heightPx, warmFrames } = options;
  const ort = await import('onnxruntime-node');
  // Cheapest settings of the runtime: one thread that does not spin.
  const session = await ort.InferenceSession.create(await readFile(model), {
    executionProviders: ['cpu'],
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  });
  const file = openSync(recording, 'r');
  const rgb = new Uint8Array(widthPx * heightPx * 3);
  let frames = 0;
  let cpuMs = 0;
  let wallMs = 0;
  while (readSync(file, rgb) === rgb.length) {
    frames += 1;
    const from = { cpu: process.cpuUsage(), wallMs: performance.now() };
    const frame = new ort.Tensor('uint8', rgb, [1, heightPx, widthPx, 3]);
    const outputs = await session.run({ frame });
    for (const output of Object.values(outputs)) output.dispose();
    const { user, system } = process.cpuUsage(from.cpu);
    if (frames <= warmFrames) continue;
    cpuMs += (user + system) / 1000;
    wallMs += performance.now() - from.wallMs;
  }
  await session.release();
  return { frames, cpuMs, wallMs };
}

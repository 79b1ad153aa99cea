/**
 * Program that prints what models detect by GStreamer's onnxinference, in a process of its own because two ONNX
 * Runtimes in one process abort.
 *
 *   element-inferences.js FOLDER MODEL WIDTH HEIGHT FRAME [MODEL WIDTH HEIGHT FRAME …]
 *
 * FRAME is a file of RGB bytes in FOLDER. Prints one line of JSON for each model: an array of detections.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { detections, frameOf } from './model-inferences.ts';

const [folder = '', ...rest] = process.argv.slice(2);
for (let at = 0; at + 3 < rest.length; at += 4) {
  const [model = '', width, height, file = ''] = rest.slice(at, at + 4);
  const size: [number, number] = [Number(width), Number(height)];
  const frame = frameOf(readFileSync(join(folder, file)), size);
  const [objects] = await detections(folder, model, size, [frame], 'onnxinference');
  process.stdout.write(`${JSON.stringify(objects)}\n`);
}

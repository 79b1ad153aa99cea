/** The model in the form that GStreamer's elements take. */
import { execFileSync } from 'node:child_process';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { MODEL_DIR, ROOT } from './paths.ts';

const MODEL = 'nanodet-g-city10';

/** Writes the model to `dir` as `scripts/model build --input 416x256` does, with its card; returns its name. */
export function modelOfOneSize(dir: string): string {
  for (const end of ['onnx', 'json'])
    copyFileSync(join(MODEL_DIR, `${MODEL}.${end}`), join(dir, `${MODEL}.${end}`));
  const script =
    'import pathlib, sys; sys.path.insert(0, sys.argv[1]); import one_size; one_size.write(pathlib.Path(sys.argv[2]), 416, 256)';
  const program = join(ROOT, 'scripts', 'workshop', 'model');
  execFileSync('/usr/bin/python3', ['-B', '-c', script, program, join(dir, `${MODEL}.onnx`)], {
    stdio: 'pipe',
  });
  return `${MODEL}-416x256`;
}

/**
 * Runs on the box and, for comparison, on this machine: `on-box.js CLIP BYTES RGB` decodes an H.264 clip (BYTES per
 * decoded frame) with the decoder that Vigie chooses. It then runs the detector over the two raw frames in RGB (416×256
 * each, consecutive), and prints one JSON object.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { modelsDir } from '../../agent/base/package-root.ts';
import { chooseDecoders, installedElements } from '../../agent/vision/camera/presets.ts';
import { readCard, readModel } from '../../agent/vision/detect/card.ts';
import { loadRuntime } from '../../agent/vision/detect/onnxruntime.ts';
import { Session } from '../../agent/vision/detect/session.ts';

const INPUT = { widthPx: 416, heightPx: 256 };
const FRAME_BYTES = INPUT.widthPx * INPUT.heightPx * 3;
const MODEL = 'nanodet-g-city10';

const [clip = '', frameBytes = '', rgb = ''] = process.argv.slice(2);
const { h264 } = chooseDecoders(await installedElements());
// H.264 decodes to the same bits everywhere; scaling and conversion may differ.
const decoded = execFileSync(
  'gst-launch-1.0',
  ['-q', ...`filesrc location=${clip} ! qtdemux ! h264parse ! ${h264} ! fdsink fd=1`.split(' ')],
  { maxBuffer: 1_000_000_000 },
);

const models = modelsDir();
const card = await readCard(models, MODEL);
const session = await Session.open(await loadRuntime(), {
  bytes: await readModel(models, card),
  model: MODEL,
  inputName: card.input.name,
  features: card.features,
  input: INPUT,
  provider: 'cpu',
  // Its first run needs no validation here, because the box validates the model at each load.
  mayName: () => true,
});
const pictures = readFileSync(rgb);
const inferences: object[] = [];
for (const from of [0, FRAME_BYTES]) {
  const { boxes, scores, labels } = await session.run(pictures.subarray(from, from + FRAME_BYTES));
  inferences.push({ boxes: [...boxes], scores: [...scores], labels: [...labels] });
}
await session.release();

process.stdout.write(
  JSON.stringify({
    arch: process.arch,
    decoder: h264,
    frames: decoded.length / Number(frameBytes),
    sha256: createHash('sha256').update(decoded).digest('hex'),
    inferences,
  }),
);

/**
 * Vision's observations of a recorded clip, frame by frame: a real vision process replays it in lock-step, as `vigie
 * replay` does. The observations are cached in `.cache/observed/`, so that a second test on the same clip takes
 * milliseconds.
 *
 * INVARIANT: a cached file belongs to the same clip, settings and model, and to the same compiled code of vision and
 * contract. A change to any of them has another name.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import { sha256Of } from '../../agent/base/sha256.ts';
import type { VisionSettings } from '../../agent/contract/link.ts';
import type { Observation } from '../../agent/contract/observation.ts';
import { observeClip } from '../../scripts/workshop/demo/observed-clip.ts';
import { SILENT } from './outbox.ts';
import { MODEL_DIR, ROOT } from './paths.ts';
import { BARE_PERMIT, bareSettings } from './vision.ts';

const KEPT_DIR = join(ROOT, '.cache', 'observed');

export interface ObservedClipOptions
  extends Partial<Omit<VisionSettings, 'mode' | 'camera' | 'modelDir' | 'detections'>> {
  /** Analysed frames a second, by default every frame of the clip. */
  readonly fps?: number;
  /** True to control the frame rate as the box does: more or fewer frames than `fps`, depending on the street. */
  readonly follows?: boolean;
}

/** All observations of the clip, in order. */
export async function observedClip(clip: string, options: ObservedClipOptions = {}): Promise<Observation[]> {
  const { fps = null, follows = false, ...changes } = options;
  const bare = bareSettings(`file:${clip}`, 0);
  const camera = { ...bare.camera, fps, follows };
  const settings: VisionSettings = { ...bare, ...changes, mode: 'replay', camera };
  const cacheFile = join(KEPT_DIR, `${nameOf(clip, settings)}.jsonl.gz`);
  const text = keptText(cacheFile);
  if (text !== undefined) return linesOf(text);
  const observations = await observeClip({ settings, permit: BARE_PERMIT, log: SILENT });
  mkdirSync(KEPT_DIR, { recursive: true });
  // Two tests may replay the same clip at once, so each moves a complete file into place.
  const newFile = `${cacheFile}.${process.pid}`;
  writeFileSync(newFile, gzipSync(observations.map((one) => `${JSON.stringify(one)}\n`).join('')));
  renameSync(newFile, cacheFile);
  return observations;
}

function keptText(file: string): string | undefined {
  try {
    return gunzipSync(readFileSync(file)).toString();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function linesOf(text: string): Observation[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Observation);
}

function nameOf(clip: string, settings: VisionSettings): string {
  const { camera, modelDir: _, ...otherSettings } = settings;
  const { source: __, ...cameraSettings } = camera;
  const { model } = settings.detector;
  return sha256Of(
    JSON.stringify({
      clip: sha256Of(readFileSync(clip)),
      settings: { ...otherSettings, camera: cameraSettings },
      model: ['json', 'onnx'].map((kind) => sha256Of(readFileSync(join(MODEL_DIR, `${model}.${kind}`)))),
      code: codeHash(),
    }),
  );
}

/** Hash of all modules that vision may load from its own folder and the contract's. */
function codeHash(): string {
  const ownPath = fileURLToPath(import.meta.url);
  const agent = fileURLToPath(new URL('../../agent', import.meta.url));
  const hash = createHash('sha256');
  for (const folder of ['vision', 'contract']) {
    const files = readdirSync(join(agent, folder), { recursive: true, encoding: 'utf8' });
    for (const file of files.filter((name) => extname(name) === extname(ownPath)).sort()) {
      hash.update(`${folder}/${file}\0`).update(readFileSync(join(agent, folder, file)));
    }
  }
  return hash.digest('hex');
}

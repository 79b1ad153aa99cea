/**
 * `evaluate sight`: replays films with a good view, each in a loop for a long time. A box that reports a missing image,
 * or any other camera condition, on one of them would do so on a healthy street.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loopedClip } from './ffmpeg.ts';
import { BLINDNESS, type Label, scoreConditions, startsOf } from './labels.ts';
import { replayClip } from './replay-clip.ts';

/** Detector rate of a box on a street where nothing is fast. */
const FPS = 5;

export interface Sight {
  /** Seconds of analysed video. */
  readonly seenS: number;
  /** One readable line for each condition that was wrongly reported. */
  readonly mistakes: readonly string[];
}

/** Returns labels of films with a good view, one for each film. */
export function goodFilms(labels: readonly Label[]): Label[] {
  const good = labels.filter(
    ({ orCannotSee, mayTell = [] }) =>
      orCannotSee !== true && !mayTell.some((kind) => BLINDNESS.includes(kind)),
  );
  return good.filter(({ clipPath }, i) => good.findIndex((other) => other.clipPath === clipPath) === i);
}

/** Repeats a film for `lengthS`. */
export async function evaluateSight(label: Label, lengthS: number): Promise<Sight> {
  const dir = mkdtempSync(join(tmpdir(), 'vigie-sight-'));
  try {
    const looped = await loopedClip(label.clipPath, lengthS, dir);
    const { events, summary, forget } = await replayClip(looped, label.config, ['--fps', String(FPS)]);
    forget();
    const mistakes = scoreConditions(label, startsOf(events)).flatMap((score) => score.mistakes);
    return { seenS: summary.clipS, mistakes: mistakes.map(({ line }) => line) };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

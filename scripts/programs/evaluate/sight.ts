/**
 * `evaluate sight`: films in which all can be seen, each in a loop for a long time: a box that says of one of them that
 * its camera cannot see, or that anything else is wrong with it, says so of a street where nothing is.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loopedClip } from './ffmpeg.ts';
import { BLINDNESS, type Label, scoreConditions, startsOf } from './labels.ts';
import { replayClip } from './replay-clip.ts';

/** The rate at which a box looks at a street where nothing is fast. */
const FPS = 5;

export interface Sight {
  /** Seconds of video that were looked at. */
  readonly seenS: number;
  /** One readable line for each condition that was told and is not so. */
  readonly faults: readonly string[];
}

/** Labels of films in which all can be seen, one for each film. */
export function goodFilms(labels: readonly Label[]): Label[] {
  const good = labels.filter(
    ({ orCannotSee, mayTell = [] }) =>
      orCannotSee !== true && !mayTell.some((kind) => BLINDNESS.includes(kind)),
  );
  return good.filter(({ clipPath }, i) => good.findIndex((other) => other.clipPath === clipPath) === i);
}

/** Plays a film again and again for `lengthS`. */
export async function evaluateSight(label: Label, lengthS: number): Promise<Sight> {
  const dir = mkdtempSync(join(tmpdir(), 'vigie-sight-'));
  try {
    const looped = await loopedClip(label.clipPath, lengthS, dir);
    const { events, summary, forget } = await replayClip(looped, label.config, ['--fps', String(FPS)]);
    forget();
    const faults = scoreConditions(label, startsOf(events)).flatMap((score) => score.faults);
    return { seenS: summary.clipS, faults: faults.map(({ line }) => line) };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

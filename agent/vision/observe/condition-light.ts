/**
 * Classifies the light of the street. A detector trained on colour pictures by day works by day and in colour. In other
 * light it may be blind, and only then is that checked (blindness.ts).
 */
import { COLOUR_LEVELS_MIN, COLOURED_RATIO_MAX, DARK_LEVEL_MAX } from '../../contract/light.ts';
import type { ConditionPicture } from './condition-picture.ts';

/**
 * - `night`: no colours (infra-red), or dark.
 * - `lifted`: light is added everywhere, so the picture has no black. Causes are haze, dirt on the lens and glare; also
 *   a bare road seen from straight above.
 * - `day`: all other.
 */
export type Light = 'day' | 'night' | 'lifted';

/**
 * Quantiles of the levels. A fiftieth of any street is black (under vehicles, in windows and doors). A twentieth is
 * white enough (walls, lines, sky).
 */
const BLACK_QUANTILE = 0.02;
const WHITE_QUANTILE = 0.95;
/**
 * Ratio of black level to white level from which light is added. Streets by day have 0.08 to 0.27, a hazy motorway
 * 0.44.
 */
const ADDED_LIGHT = 1 / 3;

/** Returns the light of a window of frames; `day` if no part of the picture is usable. */
export function lightOf({ level, red, blue, frames, cells }: ConditionPicture): Light {
  if (cells === 0 || frames === 0) return 'day';
  let [sum, coloured] = [0, 0];
  for (let k = 0; k < cells; k += 1) {
    sum += level[k] as number;
    const chroma = Math.max(Math.abs(red[k] as number), Math.abs(blue[k] as number));
    if (chroma >= COLOUR_LEVELS_MIN * frames) coloured += 1;
  }
  if (sum < DARK_LEVEL_MAX * frames * cells || coloured <= COLOURED_RATIO_MAX * cells) return 'night';
  const counts = new Uint32Array(256);
  for (let k = 0; k < level.length; k += 1) {
    const bin = Math.min(255, Math.round((level[k] as number) / frames));
    counts[bin] = (counts[bin] as number) + 1;
  }
  const black = levelAt(counts, BLACK_QUANTILE * cells);
  return black >= ADDED_LIGHT * levelAt(counts, WHITE_QUANTILE * cells) ? 'lifted' : 'day';
}

/** Returns the first level with more than `cellsBelow` cells at or under it. */
function levelAt(counts: Uint32Array, cellsBelow: number): number {
  let remaining = cellsBelow;
  for (let level = 0; level < counts.length; level += 1) {
    remaining -= counts[level] as number;
    if (remaining < 0) return level;
  }
  return -1;
}

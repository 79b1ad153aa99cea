/** Places labels in the picture: entirely inside it, and without overlap. */
import type { PointNorm } from '../../contract/geometry.ts';
import { GUTTER_PX, type StageSize } from '../../kit/stage.ts';

/** Size of the letters in the picture, CSS px. */
const LETTER_PX = 8;
const LINE_PX = 18;
const NAME_LETTERS_MAX = 18;
/** Number of places that are tried. In a picture full of names, a further one stays at its original place. */
const PLACES_MAX = 8;

interface Label {
  readonly short: string;
  /** Centre of the label. */
  readonly x: number;
  readonly y: number;
  readonly half: number;
}

/** Shortens the text and moves it so that all of it is visible. */
export function labelOf(at: PointNorm, size: StageSize, text: string): Label {
  const short = text.length > NAME_LETTERS_MAX ? `${text.slice(0, NAME_LETTERS_MAX - 1)}…` : text;
  const half = (short.length * LETTER_PX) / 2 + 2;
  const x = Math.min(size.w + GUTTER_PX - half, Math.max(half - GUTTER_PX, at[0] * size.w));
  const y = Math.min(size.h + 8, Math.max(-8, at[1] * size.h));
  return { short, x, y, half };
}

/** Moves each name up or down by as many lines as keep it off the earlier ones. */
export function separateLabels<T extends { readonly at: PointNorm; readonly text: string }>(
  names: readonly T[],
  size: StageSize,
): T[] {
  const placedLabels: Label[] = [];
  return names.map((name) => {
    const places = Array.from({ length: PLACES_MAX }, (_, turn) => {
      const lines = turn % 2 === 0 ? -turn / 2 : (turn + 1) / 2;
      return [name.at[0], name.at[1] + (lines * LINE_PX) / size.h] satisfies PointNorm;
    });
    const isFree = (at: PointNorm): boolean => {
      const one = labelOf(at, size, name.text);
      return !placedLabels.some(
        (other) => Math.abs(other.x - one.x) < other.half + one.half && Math.abs(other.y - one.y) < LINE_PX,
      );
    };
    const at = places.find(isFree) ?? name.at;
    placedLabels.push(labelOf(at, size, name.text));
    return { ...name, at };
  });
}

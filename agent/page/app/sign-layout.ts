/**
 * Places signs beside what they are about: below it, above it, or at the edge of the frame. They stay in the frame and
 * apart from each other.
 *
 * LIMITS: if the frame is full, a further sign covers an earlier one.
 */

export interface Area {
  readonly left: number;
  readonly top: number;
  readonly w: number;
  readonly h: number;
}

export interface Sign {
  readonly name: string;
  readonly text: string;
  readonly about: Area;
}

export interface PlacedSign {
  readonly name: string;
  readonly lines: readonly string[];
  readonly area: Area;
  readonly linePx: number;
}

/** Width of a bold letter of 14 px, on average, CSS px. */
const LETTER_PX = 8;
const LINE_PX = 19;
const PADDING_PX = 8;
/** Distance to the shape, so that its corners stay visible. */
const GAP_PX = 12;
/** Distance to the edge of the frame. */
const EDGE_PX = 2;

export function placedSigns(signs: readonly Sign[], frame: Area): PlacedSign[] {
  const placed: PlacedSign[] = [];
  for (const { name, text, about } of signs) {
    const lines = wrapped(text, Math.floor((frame.w - 2 * PADDING_PX - 2 * EDGE_PX) / LETTER_PX));
    const w = Math.max(...lines.map(({ length }) => length)) * LETTER_PX + 2 * PADDING_PX;
    const h = lines.length * LINE_PX + 6;
    const left = limited(about.left + about.w / 2 - w / 2, frame.left, frame.w - w);
    const lowerTop = about.top + about.h + GAP_PX;
    const upperTop = about.top - GAP_PX - h;
    const tops = [
      lowerTop,
      upperTop,
      lowerTop + h + 4,
      upperTop - h - 4,
      lowerTop - h - 2 * GAP_PX,
      upperTop + h + 2 * GAP_PX,
    ];
    const areas = tops.map((top): Area => ({ left, top, w, h }));
    const inFrame = areas.filter(({ top }) => top >= frame.top && top + h <= frame.top + frame.h);
    const isFree = (area: Area): boolean => !placed.some((other) => overlap(other.area, area));
    const lowest: Area = { left, top: limited(lowerTop, frame.top, frame.h - h), w, h };
    const area = inFrame.find(isFree) ?? inFrame[0] ?? lowest;
    placed.push({ name, lines, area, linePx: LINE_PX });
  }
  return placed;
}

/** Breaks a text at spaces into lines of at most this number of letters; a longer word has a line of its own. */
function wrapped(text: string, lettersMax: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= lettersMax)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

function limited(value: number, from: number, room: number): number {
  return Math.max(from + EDGE_PX, Math.min(from + room - EDGE_PX, value));
}

function overlap(a: Area, b: Area): boolean {
  return a.left < b.left + b.w && b.left < a.left + a.w && a.top < b.top + b.h && b.top < a.top + a.h;
}

/** Paints the edits of a scene into its pictures. All random numbers come from the scene's seed. */

/** [x1, y1, x2, y2], 0..1 of the picture. */
export type Box = readonly [number, number, number, number];
export type Colour = readonly [number, number, number];
/** Something painted into the pictures of a scene; times are seconds of the scene. */
export type Edit =
  /** A thing is in the box, behind people who pass in front of it. */
  | { kind: 'thing'; look: 'bag' | 'box' | 'heap'; colour: Colour; box: Box; fromS: number; toS?: number }
  /** Light on an ellipse is multiplied; it may drift, in picture widths a second, until it stops. */
  | {
      kind: 'light';
      box: Box;
      factor: number;
      soft: number;
      fromS: number;
      toS?: number;
      driftPerS?: number;
      stopS?: number;
    }
  /** The whole picture is multiplied from `fromS` on, reaching `factor` at `doneS`. */
  | { kind: 'exposure'; factor: number; fromS: number; doneS: number }
  | { kind: 'noise'; sigma: number }
  | { kind: 'rain'; drops: number }
  /** A scribble grows in the box and stays. */
  | { kind: 'scribble'; box: Box; colour: Colour; thickPx: number; fromS: number; doneS: number }
  /** Another picture in the box every so often, from `fromS` on; once where `everyS` is left out. */
  | { kind: 'screen'; box: Box; fromS: number; everyS?: number };
export interface Picture {
  readonly widthPx: number;
  readonly heightPx: number;
  /** RGB, row-major. */
  readonly rgb: Uint8Array;
}

export interface Canvas {
  readonly picture: Picture;
  /** The stage without people: the median of its pictures. */
  readonly empty: Picture;
  readonly atS: number;
  /** Numbers 0..1 that depend on the seed and the frame. */
  readonly random: () => number;
  /** Numbers 0..1 that depend on the seed only. */
  readonly fixed: (index: number) => number;
}

/** Difference from the empty stage, in levels, from which a pixel belongs to a person in front. */
const SOMEBODY_LEVELS = 40;

export function paint(edit: Edit, canvas: Canvas): void {
  switch (edit.kind) {
    case 'thing':
      paintThing(edit, canvas);
      break;
    case 'light':
      paintLight(edit, canvas);
      break;
    case 'exposure':
      paintGain(canvas, 1 + (edit.factor - 1) * progressAt(canvas.atS, edit.fromS, edit.doneS));
      break;
    case 'noise':
      paintNoise(canvas, edit.sigma);
      break;
    case 'rain':
      paintRain(canvas, edit.drops);
      break;
    case 'scribble':
      paintScribble(edit, canvas);
      break;
    case 'screen':
      paintScreen(edit, canvas);
      break;
  }
}

export function paintNoise({ picture, random }: Pick<Canvas, 'picture' | 'random'>, sigma: number): void {
  const { rgb } = picture;
  // Rounds and clips stored values: a picture has a hundred thousand pixels, and a scene hundreds of pictures.
  const clipped = new Uint8ClampedArray(rgb.buffer, rgb.byteOffset, rgb.length);
  for (let at = 0; at < rgb.length; at += 3) {
    // The sum of three is close to a normal distribution, with a variance of a quarter.
    const noise = (random() + random() + random() - 1.5) * 2 * sigma;
    clipped[at] = (rgb[at] as number) + noise;
    clipped[at + 1] = (rgb[at + 1] as number) + noise;
    clipped[at + 2] = (rgb[at + 2] as number) + noise;
  }
}

function isPresent(edit: { fromS: number; toS?: number }, atS: number): boolean {
  return atS >= edit.fromS && (edit.toS === undefined || atS < edit.toS);
}

function progressAt(atS: number, fromS: number, doneS: number): number {
  return Math.min(1, Math.max(0, (atS - fromS) / Math.max(1e-9, doneS - fromS)));
}

function clip(value: number): number {
  return Math.min(255, Math.max(0, Math.round(value)));
}

/** Calls `dab` for each pixel of a box, with the place in the box, 0..1, and the index of its red byte. */
function within(
  { widthPx, heightPx }: Picture,
  box: Box,
  dab: (u: number, v: number, at: number) => void,
): void {
  const left = box[0] * widthPx;
  const top = box[1] * heightPx;
  const width = (box[2] - box[0]) * widthPx;
  const height = (box[3] - box[1]) * heightPx;
  for (let y = Math.max(0, Math.floor(top)); y < Math.min(heightPx, top + height); y += 1) {
    for (let x = Math.max(0, Math.floor(left)); x < Math.min(widthPx, left + width); x += 1) {
      dab((x - left) / width, (y - top) / height, (y * widthPx + x) * 3);
    }
  }
}

function somebodyBefore({ picture, empty }: Canvas, at: number): boolean {
  let maxLevels = 0;
  for (let c = 0; c < 3; c += 1) {
    maxLevels = Math.max(
      maxLevels,
      Math.abs((picture.rgb[at + c] as number) - (empty.rgb[at + c] as number)),
    );
  }
  return maxLevels > SOMEBODY_LEVELS;
}

function put({ picture }: Canvas, at: number, colour: readonly number[], opacity = 1): void {
  for (let c = 0; c < 3; c += 1) {
    const before = picture.rgb[at + c] as number;
    picture.rgb[at + c] = clip(before + opacity * ((colour[c] as number) - before));
  }
}

function paintThing(edit: Extract<Edit, { kind: 'thing' }>, canvas: Canvas): void {
  if (!isPresent(edit, canvas.atS)) return;
  const { look, colour, box } = edit;
  within(canvas.picture, box, (u, v, at) => {
    if (somebodyBefore(canvas, at)) return;
    const shape = shapeOf(look, u, v, canvas);
    if (shape !== undefined)
      put(
        canvas,
        at,
        colour.map((level) => level * shape),
      );
  });
}

/** Light on a thing at a place of its box, or undefined outside the thing. */
function shapeOf(look: 'bag' | 'box' | 'heap', u: number, v: number, { fixed }: Canvas): number | undefined {
  const grain = 0.85 + 0.3 * fixed(Math.floor(u * 12) + 13 * Math.floor(v * 12));
  if (look === 'box') return (v < 0.25 ? 1.3 : u < 0.6 ? 1 : 0.65) * (0.95 + 0.1 * grain);
  const wide = look === 'bag' ? 0.5 * (0.55 + 0.45 * Math.sqrt(v)) : 0.5 * v ** 0.7;
  const distance = Math.abs(u - 0.5);
  if (distance > wide || (look === 'bag' && v < 0.12 && distance < 0.15)) return undefined;
  return grain * (1.25 - 0.5 * v - 0.5 * distance);
}

function paintLight(edit: Extract<Edit, { kind: 'light' }>, { picture, atS }: Canvas): void {
  if (!isPresent(edit, atS)) return;
  const drift = (edit.driftPerS ?? 0) * (Math.min(atS, edit.stopS ?? atS) - edit.fromS);
  const [x1, y1, x2, y2] = edit.box;
  within(picture, [x1 + drift, y1, x2 + drift, y2], (u, v, at) => {
    const radius = Math.hypot(2 * u - 1, 2 * v - 1);
    const depth = Math.min(1, Math.max(0, (1 - radius) / Math.max(0.01, edit.soft)));
    for (let c = 0; c < 3; c += 1) {
      picture.rgb[at + c] = clip((picture.rgb[at + c] as number) * (1 + (edit.factor - 1) * depth));
    }
  });
}

function paintGain({ picture: { rgb } }: Canvas, gain: number): void {
  if (gain === 1) return;
  const levels = Uint8Array.from({ length: 256 }, (_, level) => clip(level * gain));
  for (let at = 0; at < rgb.length; at += 1) rgb[at] = levels[rgb[at] as number] as number;
}

function paintRain({ picture, random }: Canvas, drops: number): void {
  const { widthPx, heightPx } = picture;
  for (let drop = 0; drop < drops; drop += 1) {
    const x = Math.floor(random() * widthPx);
    const top = Math.floor(random() * heightPx);
    const length = 6 + Math.floor(random() * 14);
    for (let y = top; y < Math.min(heightPx, top + length); y += 1) {
      const at = (y * widthPx + x) * 3;
      for (let c = 0; c < 3; c += 1) picture.rgb[at + c] = clip(0.6 * (picture.rgb[at + c] as number) + 85);
    }
  }
}

function paintScribble(edit: Extract<Edit, { kind: 'scribble' }>, canvas: Canvas): void {
  const progress = progressAt(canvas.atS, edit.fromS, edit.doneS);
  if (canvas.atS < edit.fromS) return;
  const { widthPx, heightPx } = canvas.picture;
  const [x1, y1, x2, y2] = edit.box;
  const points = 400;
  for (let point = 0; point < points * progress; point += 1) {
    const along = point / points;
    // Loops from left to right, as handwriting.
    const x = (x1 + (x2 - x1) * (along + 0.06 * Math.sin(along * 40))) * widthPx;
    const y = (y1 + (y2 - y1) * (0.5 + 0.45 * Math.sin(along * 31 + 6 * canvas.fixed(1)))) * heightPx;
    const half = edit.thickPx / 2;
    within(
      canvas.picture,
      [(x - half) / widthPx, (y - half) / heightPx, (x + half) / widthPx, (y + half) / heightPx],
      (_u, _v, at) => {
        if (!somebodyBefore(canvas, at) || isColour(canvas, at, edit.colour)) put(canvas, at, edit.colour);
      },
    );
  }
}

function isColour({ picture }: Canvas, at: number, colour: Colour): boolean {
  return colour.every((level, c) => level === picture.rgb[at + c]);
}

function paintScreen(edit: Extract<Edit, { kind: 'screen' }>, canvas: Canvas): void {
  if (canvas.atS < edit.fromS) return;
  const screenNo = edit.everyS === undefined ? 1 : 1 + Math.floor((canvas.atS - edit.fromS) / edit.everyS);
  within(canvas.picture, edit.box, (u, v, at) => {
    if (somebodyBefore(canvas, at)) return;
    const tile = 7 * screenNo + Math.floor(u * 5) + 31 * Math.floor(v * 3);
    put(canvas, at, [
      255 * canvas.fixed(tile),
      255 * canvas.fixed(tile + 501),
      255 * canvas.fixed(tile + 907),
    ]);
  });
}

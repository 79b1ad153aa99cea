/** Draws the marks over the scene: the zone or line, paths, objects, figures, and the legend. */
import type { PointNorm, SizePx, XyxyNorm, XyxyPx } from '../../contract/geometry.ts';
import { iou } from '../../contract/geometry.ts';
import { UNKNOWN } from '../../contract/label.ts';
import type { Focus } from '../../contract/link.ts';
import { Canvas, type Colour } from './canvas.ts';
import { coloured, drawFigure, drawNumber, type Figure, OTHER_TINT, SUBJECT_TINT } from './figures.ts';
import { type SeenBox, type SeenFrame, type SeenTrack, treatmentOf } from './history.ts';
import { drawLegend, type LegendItem } from './legend.ts';
import { fullBoxOf, toPx } from './redaction-map.ts';

/** Subject of a picture. */
export interface Subject {
  /** Objects in the event's sequence, with their boxes at the time of the still. */
  readonly focus: readonly Focus[];
  readonly place?: Place | undefined;
}

/** Place that the rule watches: the corners of a zone, or the two ends of a line. */
export interface Place {
  readonly kind: 'zone' | 'line';
  readonly points: readonly PointNorm[];
}

/** The yellow of warning signs (RAL 1003), which contrasts with asphalt, snow and grass. */
const OBJECT: Colour = [249, 168, 0];
const PLACE: Colour = [255, 255, 255];
const RIM: Colour = [16, 16, 16];
const MIDDLE = 128;
const PATH_DOT_GAP = 4;
/** Length of a drawn path, in ms. A longer path explains no more of the event. */
export const PATH_MS = 10_000;
/** Speed from which a cycle has a rider, in heights of its box per second: 1 m in a second and a half. */
const RIDDEN_SPEED = 0.6;
const SAME_IOU = 0.3;

interface DrawnObjects {
  readonly figures: readonly Figure[];
  readonly objects: readonly { readonly xyxyPx: XyxyPx; readonly number?: number | undefined }[];
}

/** Returns the scale of signs and letters; twice as large in a large picture. */
export function scaleOf({ widthPx, heightPx }: SizePx): number {
  return Math.max(widthPx, heightPx) >= 960 ? 2 : 1;
}

/**
 * Draws all marks except the legend and returns the items that the legend must name. `frames` covers PATH_MS and ends
 * with the still's own frame.
 */
export function drawMarks(
  rgb: Uint8Array,
  size: SizePx,
  { focus, place }: Subject,
  frames: readonly SeenFrame[],
): { items: LegendItem[]; figures: readonly Figure[] } {
  const canvas = new Canvas(rgb, size);
  const scale = scaleOf(size);
  const items: LegendItem[] = [];
  const note = (text: string, sign: (box: XyxyPx) => void): void => void items.push({ text, sign });
  if (place !== undefined) {
    const [first] = place.points;
    const points = place.kind === 'zone' && first !== undefined ? [...place.points, first] : place.points;
    canvas.line(points, 2 * scale, 1, RIM);
    canvas.line(points, scale, 1, PLACE);
    note(place.kind, (box) => canvas.frame(inset(box, 1), 1, PLACE));
  }
  const paths = focus.map(({ object }) => (object === undefined ? [] : pathOf(frames, object.track)));
  for (const path of paths)
    canvas.line(path, 2 * scale, PATH_DOT_GAP * scale, coloured(SUBJECT_TINT, MIDDLE));
  if (paths.some((path) => path.length > 1)) {
    note('path', ([x1, y1, x2, y2]) => {
      const middle = (y1 + y2) / 2;
      const dot = (x: number): void =>
        canvas.rectangle([x, middle, x + 2, middle + 2], coloured(SUBJECT_TINT, MIDDLE));
      for (const x of [x1, (x1 + x2) / 2 - 1, x2 - 2]) dot(x);
    });
  }
  const { figures, objects } = shownIn(focus, frames.at(-1), size);
  for (const { xyxyPx, number } of objects) {
    canvas.frame(xyxyPx, scale, OBJECT);
    if (number !== undefined) drawNumber(canvas, xyxyPx, String(number), scale);
  }
  if (objects.length > 0) note('object', (box) => canvas.frame(inset(box, 2), 2, OBJECT));
  for (const figure of figures) drawFigure(rgb, size, canvas, figure, scale);
  const swatch =
    (tint: Colour) =>
    (box: XyxyPx): void =>
      canvas.rectangle(box, coloured(tint, MIDDLE));
  if (figures.some(({ number }) => number !== undefined)) note('subject', swatch(SUBJECT_TINT));
  if (figures.some(({ number }) => number === undefined)) note('person', swatch(OTHER_TINT));
  return { items, figures };
}

/** Draws the legend. If any part of the scene is older than the still, the first item gives its time. */
export function drawLegendOf(
  rgb: Uint8Array,
  size: SizePx,
  items: readonly LegendItem[],
  { placeAt, unknown, focus }: { placeAt: string | undefined; unknown: boolean; focus: readonly Focus[] },
): void {
  const canvas = new Canvas(rgb, size);
  const first: LegendItem[] = [];
  if (placeAt !== undefined) {
    const sign = ([x1, y1, x2, y2]: XyxyPx): void => {
      canvas.rectangle([x1, y1, x2, y2], [90, 90, 90]);
      for (let i = 0; i < x2 - x1; i += 1) {
        canvas.rectangle([x1 + i, y2 - 1 - i, x1 + i + 1, y2 - i], PLACE);
      }
    };
    first.push({ text: `place as at ${placeAt}`, sign });
  }
  if (unknown) {
    const sign = ([x1, y1, x2, y2]: XyxyPx): void => {
      canvas.rectangle([x1, y1, x2, y2], [150, 150, 150]);
      const [x, y] = [(x1 + x2) / 2, (y1 + y2) / 2];
      canvas.rectangle([x1, y1, x, y], [90, 90, 90]);
      canvas.rectangle([x, y, x2, y2], [90, 90, 90]);
    };
    first.push({ text: 'unknown', sign });
  }
  drawLegend(
    canvas,
    [...first, ...items],
    scaleOf(size),
    focus.map(({ xyxyNorm }) => toPx(xyxyNorm, size)),
  );
}

/** Selects the people to draw as figures and the objects to frame. */
function shownIn(focus: readonly Focus[], own: SeenFrame | undefined, size: SizePx): DrawnObjects {
  const figures: (Figure & { readonly box: XyxyNorm })[] = [];
  const objects: DrawnObjects['objects'][number][] = [];
  const { tracks = [], detections = [] } = own ?? {};
  focus.forEach(({ xyxyNorm, object }, index) => {
    const track = tracks.find(({ id }) => id === object?.track);
    const { group = UNKNOWN, label = UNKNOWN } = object ?? {};
    const treatment = group === UNKNOWN || label === UNKNOWN ? undefined : treatmentOf(group, label);
    const box = track?.xyxyNorm ?? xyxyNorm;
    const number = object === undefined ? undefined : index + 1;
    if (treatment === 'person' || treatment === 'rider') {
      const fullBox = fullBoxOf({ treatment, xyxyNorm: box });
      figures.push({ box: fullBox, xyxyPx: toPx(fullBox, size), number });
    } else objects.push({ xyxyPx: toPx(box, size), number });
  });
  const subjects = new Set(focus.map(({ object }) => object?.track));
  const otherBoxes = [
    ...tracks.filter(({ id }) => !subjects.has(id)),
    ...detections.filter(({ sure, treatment }) => sure && treatment === 'person'),
  ];
  const add = (one: SeenBox): void => {
    const box = fullBoxOf(one);
    if (!figures.some((other) => iou(box, other.box) >= SAME_IOU))
      figures.push({ box, xyxyPx: toPx(box, size) });
  };
  for (const one of otherBoxes) if (one.treatment === 'person') add(one);
  // A rider is mostly detected as a person too.
  for (const one of otherBoxes)
    if (one.treatment === 'rider' && (one as SeenTrack).speed >= RIDDEN_SPEED) add(one);
  return { figures, objects };
}

function pathOf(frames: readonly SeenFrame[], track: number): PointNorm[] {
  const path: PointNorm[] = [];
  for (const { tracks } of frames) {
    for (const { id, xyxyNorm: box } of tracks) if (id === track) path.push([(box[0] + box[2]) / 2, box[3]]);
  }
  return path;
}

function inset([x1, y1, x2, y2]: XyxyPx, by: number): XyxyPx {
  return [x1 + by, y1 + by, x2 - by, y2 - by];
}

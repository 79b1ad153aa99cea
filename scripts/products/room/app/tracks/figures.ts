/**
 * Draws tracks on a canvas: simple figures by class, their paths, and a heat map of standing times. The drawing
 * contains no image of a person.
 */
import { HEAT_COLUMNS, HEAT_ROWS } from './heat.ts';
import { type Piece, type PlayedTrack, piecesOf, type ShownTrack } from './replay.ts';

export interface Sheet {
  readonly context: CanvasRenderingContext2D;
  /** CSS px. */
  readonly w: number;
  readonly h: number;
}

/** Colours that are visible on any picture, by day and at night. */
const CASING = '#0b0e13';
const FIGURE = '#ff9f2e';
const CHOSEN_COLOUR = '#34e0ff';
/** Colour of the vehicle, if it was recognised; the figure keeps its outline. */
export const COLOURS: Readonly<Record<string, string>> = {
  black: '#2a2d33',
  grey: '#8f969f',
  white: '#f4f5f7',
  red: '#d8362f',
  brown: '#80522f',
  yellow: '#f2c81f',
  green: '#3a9a4b',
  blue: '#3673d6',
};
/** Highest detector score below which a track counts as unsure; it may be a shadow. */
export const UNSURE = 0.5;
const VEHICLES = new Set(['car', 'bus', 'truck']);
const CYCLES = new Set(['bicycle', 'motorcycle']);
/** Minimum visible height of a figure in CSS px. */
const HEIGHT_PX_MIN = 9;
const FONT = '600 11px system-ui, "Noto Sans", sans-serif';

export interface FigureLook {
  readonly isChosen: boolean;
  /** Label next to the figure. */
  readonly label: string | undefined;
  /** 1 at the moment of the hit, fading around it. */
  readonly pulse: number;
}

/** Draws a figure. Returns the places of its label. */
export function drawFigure(
  { context: c, w, h }: Sheet,
  { track, place }: ShownTrack,
  look: FigureLook,
): LabelPlace[] {
  const { record } = track;
  const high = Math.max(HEIGHT_PX_MIN, place.h * h);
  const wide = Math.max(5, high * (record.widthToHeight || 0.4));
  const [x, y] = [place.x * w, place.y * h];
  const isUnsure = record.score < UNSURE;
  const tone = look.isChosen ? CHOSEN_COLOUR : FIGURE;
  c.save();
  c.globalAlpha = place.isSeen ? 1 : 0.55;
  if (look.pulse > 0) ring(c, x, y, wide, look.pulse, tone);
  shadow(c, x, y, wide);
  const colour = COLOURS[record.colours[0] ?? ''];
  const paint: Paint = {
    fill: isUnsure ? 'rgb(11 14 19 / 0.18)' : (colour ?? tone),
    line: isUnsure || colour !== undefined ? tone : CASING,
    width: isUnsure ? 1.25 : 2,
    isDashed: !place.isSeen,
    isOutlined: isUnsure,
  };
  if (record.class === 'person') person(c, x, y, high, paint);
  else if (VEHICLES.has(record.class)) vehicle(c, x, y, wide, high, paint, record.class);
  else if (CYCLES.has(record.class)) cycle(c, x, y, wide, high, paint);
  else block(c, x, y, wide, high, paint);
  c.restore();
  if (look.label === undefined) return [];
  return [{ x, y: y - high - 6, text: look.label, isChosen: look.isChosen }];
}

interface Paint {
  readonly fill: string;
  readonly line: string;
  readonly width: number;
  readonly isDashed: boolean;
  readonly isOutlined: boolean;
}

/** Fills and outlines the current path, with a dark casing that is visible on any ground. */
function painted(c: CanvasRenderingContext2D, paint: Paint): void {
  c.setLineDash(paint.isDashed ? [4, 3] : []);
  c.lineJoin = 'round';
  if (!paint.isOutlined) {
    c.lineWidth = paint.width + 2;
    c.strokeStyle = CASING;
    c.stroke();
  }
  c.fillStyle = paint.fill;
  c.fill();
  c.lineWidth = paint.width;
  c.strokeStyle = paint.line;
  c.stroke();
}

function person(c: CanvasRenderingContext2D, x: number, y: number, high: number, paint: Paint): void {
  const head = high * 0.085;
  const body = high * 0.15;
  c.beginPath();
  c.arc(x, y - high + head, head, 0, 2 * Math.PI);
  c.closePath();
  c.roundRect(x - body, y - high + 2 * head + high * 0.035, 2 * body, high * 0.795, body);
  painted(c, paint);
}

function vehicle(
  c: CanvasRenderingContext2D,
  x: number,
  y: number,
  wide: number,
  high: number,
  paint: Paint,
  label: string,
): void {
  const [left, top] = [x - wide / 2, y - high];
  c.beginPath();
  c.roundRect(left, top, wide, high, Math.min(wide, high) * (label === 'car' ? 0.24 : 0.1));
  painted(c, paint);
  // Windows: one for a car, a row for a bus, a cab for a truck.
  c.setLineDash([]);
  c.fillStyle = 'rgb(11 14 19 / 0.55)';
  const panes = label === 'bus' ? 4 : 1;
  const part = label === 'truck' ? 0.3 : 0.72 / panes;
  for (let i = 0; i < panes; i++) {
    c.beginPath();
    c.roundRect(
      left + wide * (0.14 + i * 0.72 * (1 / panes)),
      top + high * 0.16,
      wide * part * 0.92,
      high * 0.26,
      2,
    );
    c.fill();
  }
}

function cycle(
  c: CanvasRenderingContext2D,
  x: number,
  y: number,
  wide: number,
  high: number,
  paint: Paint,
): void {
  const wheel = Math.min(wide * 0.24, high * 0.2);
  c.beginPath();
  for (const side of [-1, 1]) {
    c.moveTo(x + side * (wide / 2 - wheel) + wheel, y - wheel);
    c.arc(x + side * (wide / 2 - wheel), y - wheel, wheel, 0, 2 * Math.PI);
  }
  painted(c, { ...paint, fill: 'transparent' });
  person(c, x, y - wheel * 0.8, high - wheel * 0.8, paint);
}

function block(
  c: CanvasRenderingContext2D,
  x: number,
  y: number,
  wide: number,
  high: number,
  paint: Paint,
): void {
  c.beginPath();
  c.roundRect(x - wide / 2, y - high, wide, high, Math.min(wide, high) * 0.4);
  painted(c, paint);
}

function shadow(c: CanvasRenderingContext2D, x: number, y: number, wide: number): void {
  c.fillStyle = 'rgb(0 0 0 / 0.35)';
  c.beginPath();
  c.ellipse(x, y, wide * 0.55, Math.max(2, wide * 0.14), 0, 0, 2 * Math.PI);
  c.fill();
}

function ring(
  c: CanvasRenderingContext2D,
  x: number,
  y: number,
  wide: number,
  pulse: number,
  tone: string,
): void {
  const reach = Math.min(44, Math.max(14, wide * 0.8)) * (1.6 - 0.6 * pulse);
  c.save();
  c.globalAlpha = pulse;
  c.lineWidth = 2.5;
  c.strokeStyle = tone;
  c.beginPath();
  c.ellipse(x, y, reach, reach * 0.38, 0, 0, 2 * Math.PI);
  c.stroke();
  c.restore();
}

export interface LabelPlace {
  readonly x: number;
  /** Lower edge, CSS px. */
  readonly y: number;
  readonly text: string;
  readonly isChosen: boolean;
}

const LABEL_PX = 17;

/** Draws the labels over all figures. A label that would overlap another moves up. */
export function drawLabels({ context: c, w }: Sheet, labels: readonly LabelPlace[]): void {
  c.font = FONT;
  c.textBaseline = 'middle';
  c.textAlign = 'left';
  const labelBoxes: { left: number; right: number; top: number }[] = [];
  for (const { x, y, text, isChosen } of [...labels].sort((a, b) => b.y - a.y)) {
    const wide = c.measureText(text).width + 10;
    const left = Math.min(Math.max(x - wide / 2, 2), w - wide - 2);
    const right = left + wide;
    let top = Math.max(2, y - LABEL_PX);
    const lies = () =>
      labelBoxes.find((one) => one.left < right && left < one.right && Math.abs(one.top - top) < LABEL_PX);
    for (let other = lies(); other !== undefined && top > 2; other = lies())
      top = Math.max(2, other.top - LABEL_PX);
    labelBoxes.push({ left, right, top });
    c.fillStyle = isChosen ? CHOSEN_COLOUR : 'rgb(11 14 19 / 0.85)';
    c.beginPath();
    c.roundRect(left, top, wide, LABEL_PX - 1, 4);
    c.fill();
    c.fillStyle = isChosen ? CASING : '#fff';
    c.fillText(text, left + 5, top + LABEL_PX / 2);
  }
}

interface PathLook {
  readonly isChosen: boolean;
  readonly alpha: number;
  readonly isThin: boolean;
}

/** Draws the path between two moments; dashed where the track was not seen. */
export function drawPath(
  sheet: Sheet,
  track: PlayedTrack,
  fromMs: number,
  toMs: number,
  look: PathLook,
): void {
  const { context: c } = sheet;
  c.save();
  c.lineJoin = 'round';
  c.lineCap = 'round';
  c.globalAlpha = look.alpha;
  for (const piece of piecesOf(track, fromMs, toMs)) {
    c.setLineDash(piece.isSeen ? [] : [3, 7]);
    traced(sheet, piece);
    c.strokeStyle = 'rgb(11 14 19 / 0.6)';
    c.lineWidth = look.isThin ? 3 : 5;
    c.stroke();
    c.strokeStyle = look.isChosen ? CHOSEN_COLOUR : FIGURE;
    c.lineWidth = look.isThin ? 1.25 : 2.5;
    c.stroke();
  }
  c.restore();
}

function traced({ context: c, w, h }: Sheet, { points }: Piece): void {
  c.beginPath();
  for (const [i, [x, y]] of points.entries()) {
    if (i === 0) c.moveTo(x * w, y * h);
    else c.lineTo(x * w, y * h);
  }
}

/**
 * Draws the heat map: the longer the standing time, the stronger the colour. A logarithmic scale keeps a short stay
 * visible next to a parked car.
 */
export function drawHeat({ context: c, w, h }: Sheet, cells: Float32Array): void {
  const logMax = Math.log1p(Math.max(1, ...cells));
  const reach = (w / HEAT_COLUMNS) * 1.9;
  c.save();
  for (const [i, s] of cells.entries()) {
    if (s <= 0) continue;
    const x = (((i % HEAT_COLUMNS) + 0.5) / HEAT_COLUMNS) * w;
    const y = ((Math.floor(i / HEAT_COLUMNS) + 0.5) / HEAT_ROWS) * h;
    const strength = 0.25 + (0.6 * Math.log1p(s)) / logMax;
    const blob = c.createRadialGradient(x, y, 0, x, y, reach);
    blob.addColorStop(0, `rgb(255 45 85 / ${strength})`);
    blob.addColorStop(0.45, `rgb(255 110 40 / ${strength * 0.6})`);
    blob.addColorStop(1, 'rgb(255 170 40 / 0)');
    c.fillStyle = blob;
    c.fillRect(x - reach, y - reach, 2 * reach, 2 * reach);
  }
  c.restore();
}

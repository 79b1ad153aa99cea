/** Draws resident memory over time as SVG. */
import type { Slope } from './regression.ts';

export interface Series {
  readonly name: string;
  readonly points: readonly { readonly hours: number; readonly value: number }[];
  readonly slope: Slope | undefined;
}

const WIDTH = 800;
const HEIGHT = 300;
const MARGIN = { left: 56, right: 12, top: 28, bottom: 34 };
const COLOURS = ['#1f5fa8', '#b3541e'];

/** Draws one panel for each series, one below the other: a slope of 1 MB/h must be visible, whatever the size. */
export function memoryPicture(series: readonly Series[], warmupHours: number): string {
  const panels = series.map((one, index) => panel(one, index, warmupHours));
  const height = HEIGHT * series.length;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    ...panels.flat(),
    '</svg>',
    '',
  ].join('\n');
}

function panel({ name, points, slope }: Series, index: number, warmupHours: number): string[] {
  const top = index * HEIGHT;
  const hours = Math.max(...points.map((point) => point.hours), 1e-3);
  const values = points.map(({ value }) => value);
  const low = Math.floor(Math.min(...values) - 2);
  const high = Math.ceil(Math.max(...values) + 2);
  const x = (h: number): number => round(MARGIN.left + (h / hours) * (WIDTH - MARGIN.left - MARGIN.right));
  const y = (v: number): number =>
    round(top + MARGIN.top + ((high - v) / (high - low)) * (HEIGHT - MARGIN.top - MARGIN.bottom));
  const line = points.map((point) => `${x(point.hours)},${y(point.value)}`).join(' ');
  const colour = COLOURS[index % COLOURS.length];
  const ticks = [low, (low + high) / 2, high];
  const minutes = [0, hours / 2, hours];
  const title =
    slope === undefined
      ? name
      : `${name}: ${slope.perHour.toFixed(2)} ± ${slope.plusMinus.toFixed(2)} MB/h after warm-up`;
  const at = (h: number): number =>
    slope === undefined ? 0 : slope.from + slope.perHour * (h - warmupHours);
  return [
    `<text x="${MARGIN.left}" y="${top + 18}" font-weight="bold">${title}</text>`,
    ...ticks.map(
      (v) =>
        `<text x="${MARGIN.left - 6}" y="${y(v) + 4}" text-anchor="end">${v.toFixed(0)} MB</text><path d="M${MARGIN.left} ${y(v)}H${WIDTH - MARGIN.right}" stroke="#ddd"/>`,
    ),
    ...minutes.map(
      (h, i) =>
        `<text x="${x(h)}" y="${top + HEIGHT - 12}" text-anchor="${['start', 'middle', 'end'][i]}">${(h * 60).toFixed(0)} min</text>`,
    ),
    `<rect x="${MARGIN.left}" y="${top + MARGIN.top}" width="${round(x(Math.min(warmupHours, hours)) - MARGIN.left)}" height="${HEIGHT - MARGIN.top - MARGIN.bottom}" fill="#000" opacity="0.06"/>`,
    `<polyline points="${line}" fill="none" stroke="${colour}"/>`,
    slope === undefined
      ? ''
      : `<path d="M${x(warmupHours)} ${y(at(warmupHours))}L${x(hours)} ${y(at(hours))}" stroke="#c00" stroke-dasharray="5 4"/>`,
  ];
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

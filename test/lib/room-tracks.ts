/** Replies of a box's track log as the room returns them, of a street that no one has filmed. */
import type { FoundTrack, TrackCoverage } from '../../agent/contract/track-log.ts';
import type { TrackAnswer, TrackRequest } from '../../scripts/products/room/contract/tracks.ts';

/** HTML, an escape sequence, and a character that reverses the direction of writing. */
const HOSTILE = '<img src=x onerror=alert(1)>\u001b[31m\u202Etxt';
export const CASE = '2026/1432';
export const VIEW = '2026-11-10T06:00:00.000Z';
export const OLDER_VIEW = '2026-11-01T06:00:00.000Z';

const iso = (fromMs: number, s: number): string => new Date(fromMs + Math.round(s * 10) * 100).toISOString();

/** A number from 0 to 1 that is the same in every run. */
function chance(seed: number): number {
  const value = Math.sin(seed * 127.1) * 43_758.5453;
  return value - Math.floor(value);
}

const CLASSES = [
  'person',
  'person',
  'car',
  'person',
  'bicycle',
  'truck',
  'person',
  'bus',
  'car',
  'dog',
] as const;
const COLOURS = [['white'], ['grey', 'black'], ['red'], [], ['blue', 'white']] as const;

/** A track that crosses the lower half of the picture. Farther ones are slower and smaller; some stop for a time. */
function track(i: number, fromMs: number, fromS: number): FoundTrack {
  const at = (s: number): string => iso(fromMs, s);
  const label = CLASSES[i % CLASSES.length] ?? 'person';
  const isVehicle = ['car', 'truck', 'bus'].includes(label);
  const y = isVehicle ? 0.62 + 0.2 * chance(i + 3) : 0.52 + 0.32 * chance(i + 1);
  const high = (isVehicle ? 0.12 : label === 'dog' ? 0.08 : 0.17) * (0.35 + y);
  const isLeftward = i % 2 === 0;
  const durationS = isVehicle ? 9 : 18 + 16 * chance(i + 5);
  const standingS = i % 4 === 1 && !isVehicle ? 12 + 30 * chance(i) : 0;
  const path: FoundTrack['path'] = [];
  for (let step = 0; step <= 8; step++) {
    const along = step / 8;
    const x = isLeftward ? 1.02 - 1.04 * along : -0.02 + 1.04 * along;
    const sway = isVehicle ? 0 : 0.03 * Math.sin(step + i);
    const lateS = step > 4 ? standingS : 0;
    const isHidden = i % 5 === 2 && (step === 3 || step === 4);
    path.push([Math.round((along * durationS + lateS) * 10) / 10, x, y + sway, high, isHidden ? 0 : 1]);
    if (step === 4 && standingS > 0)
      path.push([Math.round((along * durationS + standingS) * 10) / 10, x + 0.004, y + sway, high, 1]);
  }
  const lastS = path.at(-1)?.[0] ?? 0;
  return {
    track: i + 1,
    class: label,
    colours: isVehicle ? [...(COLOURS[i % COLOURS.length] ?? [])] : [],
    from: at(fromS),
    to: at(fromS + lastS),
    at: at(fromS + durationS * (0.25 + 0.2 * chance(i + 9))),
    durationS: 0,
    seen: i % 9 !== 2,
    score: i % 6 === 3 ? 0.41 : 0.84,
    stoppedS: Math.round(standingS),
    cut: i % 11 === 6,
    widthToHeight: { person: 0.4, bicycle: 0.9, car: 1.9, truck: 2.1, bus: 2.7, dog: 1.3 }[label],
    path,
  };
}

/** Gaps in seconds since the start of the requested range. */
const GAPS = [
  [260, 335, 'blind'],
  [850, 862, 'not-running'],
  [1080, 1200, 'other-view'],
] as const;

const isInGap = (s: number): boolean => GAPS.some(([from, to]) => s + 45 > from && s < to);

const gapsFrom = (fromMs: number): TrackCoverage['gaps'] =>
  GAPS.map(([from, to, reason]) => ({ from: iso(fromMs, from), to: iso(fromMs, to), why: reason }));

function tracksOf(count: number, fromMs: number): FoundTrack[] {
  const starts: number[] = [];
  for (let i = 0; starts.length < count && i < 10 * count; i++) {
    const s = 8 + 1050 * chance(i * 3 + 2);
    if (!isInGap(s)) starts.push(s);
  }
  return starts
    .sort((a, b) => a - b)
    .map((s, i) => track(i, fromMs, s))
    .sort((a, b) => (a.at < b.at ? -1 : 1));
}

export function trackAnswer(request: TrackRequest, change: Partial<TrackAnswer> = {}): TrackAnswer {
  const { box, case: number, reason, question } = request;
  const isTracks = question.answer === 'tracks';
  const fromMs = Date.parse(question.from);
  const tracks = isTracks ? tracksOf(34, fromMs) : [];
  return {
    id: `answer-${question.answer}`,
    request: { box, case: number, reason, question },
    order: `order-7 ${HOSTILE}`,
    grade: 'persons',
    approvers: ['prosecutor', 'judge'],
    kept: { days: 7, oldest: '2026-11-06T05:12:00.000Z' },
    views: [
      {
        view: VIEW,
        to: null,
        widthToHeight: 16 / 9,
        still: { incident: 7, moment: 'snapshot', at: '2026-11-11T18:30:00.000Z' },
      },
      { view: OLDER_VIEW, to: VIEW, widthToHeight: 16 / 9, still: null },
    ],
    coverage: { seen: 0.71, watched: 0.12, gaps: gapsFrom(fromMs), more: 0 },
    matches: question.answer === 'coverage' ? 0 : 34,
    stopped: null,
    tracks: tracks.map((one) => ({
      ...one,
      video: {
        url: one.track % 3 === 0 ? null : `https://video.city.example/cam?from=${one.from}&to=${one.to}`,
        camera: `Place Jean-Jaurès 3 ${HOSTILE}`,
        range: `Range: clock=${one.from.replaceAll(/[-:]/g, '')}-${one.to.replaceAll(/[-:]/g, '')}`,
      },
    })),
    more: 0,
    left: { case: 1960, keyDay: 4960, day: 19_960 },
    ...change,
  };
}

/** Tests the colours that the observer reports for painted vehicles on a painted street, and when it reports none. */
import { Value } from '@sinclair/typebox/value';
import t from 'tap';
import type { XyxyPx } from '../../agent/contract/geometry.ts';
import { Observation, ObservedTrack } from '../../agent/contract/observation.ts';
import type { Frame, Track } from '../../agent/contract/picture.ts';
import { COLOURS, type Colour } from '../../agent/contract/track-log.ts';
import { Observer } from '../../agent/vision/observe/observer.ts';
import { masking, trackOf } from '../lib/pictures.ts';
import { ALL } from '../lib/run.ts';
import { rectangle } from '../lib/shapes.ts';

type Rgb = readonly [number, number, number];

const SOURCE = { widthPx: 208, heightPx: 128 };
const FPS = 5;
/** Time until which the street and its light are learnt; after that it has a vehicle. */
const COMES_S = 5;
const ENDS_S = 8;
const BOX: XyxyPx = [75, 60, 123, 92];

const PAINTS: Readonly<Record<Colour, Rgb>> = {
  black: [24, 24, 27],
  grey: [82, 83, 85],
  white: [225, 226, 222],
  red: [180, 40, 45],
  brown: [120, 82, 48],
  yellow: [220, 190, 50],
  green: [45, 135, 75],
  blue: [40, 75, 165],
};
const GLASS: Rgb = [38, 44, 48];
const ROAD: Rgb = [112, 111, 108];
const GRASS: Rgb = [92, 118, 60];
const BY_DAY: Rgb = [1, 1, 1];

interface Scene {
  /** Colours of the vehicle, from its roof down. */
  readonly paint: readonly Rgb[];
  /** Factors of red, green and blue. */
  readonly light?: Rgb;
  readonly isGrey?: boolean;
  /** Corners of a privacy mask, 0..1. */
  readonly mask?: [number, number][];
  readonly box?: XyxyPx;
  readonly track?: Partial<Track>;
  readonly otherTracks?: readonly Track[];
  /** True if the vehicle is parked from the beginning. */
  readonly isParked?: boolean;
  readonly isAsked?: boolean;
}

const trackAt = (id: number, xyxyPx: XyxyPx, atMs: number, changes: Partial<Track> = {}): Track =>
  trackOf(xyxyPx, {
    id,
    group: 'vehicle',
    label: 'car',
    score: 0.6,
    bestScore: 0.7,
    lastMs: atMs,
    ...changes,
  });

/** Grain of −4 to 4 levels that no two frames have alike. */
function grainAt(pixel: number, index: number): number {
  return ((Math.imul(pixel * 31 + index * 977, 2_654_435_761) >>> 24) % 9) - 4;
}

/** Pictures of the street without a vehicle, by index and light. */
const empty = new Map<string, Uint8Array>();

function painted(scene: Scene, index: number, isShown: boolean): Frame {
  const { light = BY_DAY, isGrey = false, mask } = scene;
  const key = JSON.stringify([index, light, isGrey]);
  const rgb = (isShown ? undefined : empty.get(key)) ?? pixelsOf(scene, index, isShown);
  if (!isShown) empty.set(key, rgb);
  const atMs = (1000 * (index - 1)) / FPS;
  const frame = { index, ptsNs: 0n, atMs, wallMs: atMs, source: SOURCE, input: SOURCE, rgb: rgb.slice() };
  return mask === undefined ? frame : masking([{ id: 'mask', polygon: mask }])(frame);
}

function pixelsOf(scene: Scene, index: number, isShown: boolean): Uint8Array {
  const { paint, light = BY_DAY, isGrey = false, box = BOX } = scene;
  const { widthPx, heightPx } = SOURCE;
  const rgb = new Uint8Array(widthPx * heightPx * 3);
  const [x1, y1, x2, y2] = box;
  for (let y = 0; y < heightPx; y += 1) {
    for (let x = 0; x < widthPx; x += 1) {
      const pixel = y * widthPx + x;
      let colour = y < 30 ? GRASS : ROAD;
      if (isShown && x >= x1 && x < x2 && y >= y1 && y < y2) {
        const down = (y - y1) / (y2 - y1);
        const isGlass = down > 0.15 && down < 0.4 && x > x1 + 0.2 * (x2 - x1) && x < x2 - 0.2 * (x2 - x1);
        colour = isGlass ? GLASS : (paint[Math.floor(down * paint.length)] as Rgb);
      }
      const grain = grainAt(pixel, index);
      const level = (k: number): number => ((colour[k] as number) + grain) * (light[k] as number);
      const grey = isGrey ? (level(0) + 2 * level(1) + level(2)) / 4 : undefined;
      for (let k = 0; k < 3; k += 1)
        rgb[pixel * 3 + k] = Math.max(0, Math.min(255, Math.round(grey ?? level(k))));
    }
  }
  return rgb;
}

/** All observations of a scene. */
function observe(scene: Scene): Observation[] {
  const { isParked = false, isAsked = true, box = BOX, track = {}, otherTracks = [] } = scene;
  const observer = new Observer({
    zones: [],
    lines: [],
    moveTolerances: [],
    regions: false,
    vehicleColours: isAsked,
  });
  return Array.from({ length: ENDS_S * FPS }, (_, i) => {
    const frame = painted(scene, i + 1, isParked || i >= COMES_S * FPS);
    const { atMs } = frame;
    const tracks =
      isParked || i >= COMES_S * FPS
        ? [trackAt(7, box, atMs, track), ...otherTracks.map((other) => ({ ...other, lastMs: atMs }))]
        : [];
    return observer.observationOf(frame, { detectorRan: true, detections: [], tracks });
  });
}

/** Colours reported for the vehicle at the end. */
function namesIn(scene: Scene): readonly Colour[] {
  return (
    observe(scene)
      .at(-1)
      ?.tracks.find(({ id }) => id === 7)?.colours ?? []
  );
}

t.test('each of the eight colours has its name, also under warm and cold light', async (t) => {
  const lights: [string, Rgb][] = [
    ['white', BY_DAY],
    ['warm', [1.12, 1, 0.72]],
    ['cold', [0.82, 1, 1.15]],
    ['dim', [0.7, 0.7, 0.7]],
  ];
  for (const [lightName, light] of ALL ? lights : lights.slice(1, 2))
    for (const name of COLOURS)
      t.equal(namesIn({ paint: [PAINTS[name]], light })[0], name, `${name}, ${lightName}`);
});

t.test('two colours have two names, the main one first', async (t) => {
  const { yellow, green, white } = PAINTS;
  t.same(namesIn({ paint: [yellow, yellow, yellow, green, green] }), ['yellow', 'green']);
  t.same(namesIn({ paint: [white] }), ['white'], 'glass has none');
});

t.test('no colour is named by night, in a grey picture, or under a lamp of one colour', async (t) => {
  const { white, red, blue } = PAINTS;
  for (const paint of ALL ? [[white], [red], [blue]] : [[red]]) {
    t.same(namesIn({ paint, light: [0.35, 0.35, 0.35] }), [], 'night');
    t.same(namesIn({ paint, isGrey: true }), [], 'infra-red');
    t.same(namesIn({ paint, light: [1.15, 0.8, 0.3] }), [], 'sodium');
  }
});

t.test('a privacy mask has no colour', async (t) => {
  const [left, top, right, bottom] = [BOX[0] / 208, BOX[1] / 128, BOX[2] / 208, BOX[3] / 128];
  const masked = (to: number) => rectangle(left, top, to, bottom);
  const paint = [PAINTS.red];
  t.same(namesIn({ paint, mask: masked(right) }), [], 'a vehicle behind it has none');
  t.equal(
    namesIn({ paint, mask: masked(left + 0.4 * (right - left)) })[0],
    'red',
    'the other part has its own',
  );
});

t.test('a vehicle that cannot be judged has no colour name', async (t) => {
  const paint = [PAINTS.red];
  const neighbour = (x: number): Track => trackAt(8, [x, 60, x + 48, 92], 0);
  t.same(namesIn({ paint, otherTracks: [neighbour(100)] }), [], 'another box covers half of it');
  t.same(
    namesIn({ paint, otherTracks: [{ ...neighbour(100), group: 'person', label: 'person' }] }),
    [],
    'a person covers half of it',
  );
  t.equal(namesIn({ paint, otherTracks: [neighbour(118)] })[0], 'red', 'a tenth');
  t.equal(namesIn({ paint, otherTracks: [{ ...neighbour(100), seen: false }] })[0], 'red', 'out of sight');
  t.same(namesIn({ paint, track: { seen: false } }), [], 'unseen');
  t.same(namesIn({ paint, track: { score: 0.29 } }), [], 'unsure');
  t.same(namesIn({ paint, box: [75, 60, 80, 65] }), [], 'small');
  t.same(
    namesIn({ paint, isParked: true }),
    [],
    'there from the beginning: the street is not known without it',
  );
});

t.test('the colours of clothes are never named', async (t) => {
  const paint = [PAINTS.red];
  for (const [group, label] of [
    ['person', 'person'],
    ['vehicle', 'motorcycle'],
  ] as const)
    t.same(namesIn({ paint, track: { group, label } }), [], label);
  t.same(namesIn({ paint, box: [90, 50, 105, 92] }), [], 'an upright person with a vehicle label');
  t.equal(namesIn({ paint, track: { label: 'truck' } })[0], 'red', 'a truck');
});

t.test('colours are reported as names alone, and only where the authorisation has them', async (t) => {
  const paint = [PAINTS.yellow, PAINTS.green];
  for (const observation of observe({ paint, isAsked: false })) {
    t.notOk(JSON.stringify(observation).includes('colour'));
    t.ok(Value.Check(Observation, observation));
  }
  const fields = new Set(Object.keys(ObservedTrack.properties));
  const reportedTracks = observe({ paint }).flatMap(({ tracks }) => tracks);
  t.ok(reportedTracks.some(({ colours }) => colours !== undefined));
  for (const track of reportedTracks) {
    t.ok(Value.Check(ObservedTrack, track));
    t.same(
      Object.keys(track).filter((field) => !fields.has(field)),
      [],
    );
  }
});

t.test('the memory of a vehicle’s colours ends with its track', async (t) => {
  const observer = new Observer({
    zones: [],
    lines: [],
    moveTolerances: [],
    regions: false,
    vehicleColours: true,
  });
  const scene = { paint: [PAINTS.red] };
  const idAt = (i: number): { id: number; score: number } =>
    i < 7 * FPS ? { id: 7, score: 0.6 } : { id: 9, score: 0.2 };
  const coloursById = new Map<number, readonly Colour[]>();
  for (let i = 0; i < ENDS_S * FPS; i += 1) {
    const frame = painted(scene, i + 1, i >= COMES_S * FPS);
    const { id, score } = idAt(i);
    const tracks = i < COMES_S * FPS ? [] : [trackAt(id, BOX, frame.atMs, { score })];
    for (const track of observer.observationOf(frame, { detectorRan: true, detections: [], tracks }).tracks)
      coloursById.set(track.id, track.colours ?? []);
  }
  t.same(
    [...coloursById],
    [
      [7, ['red']],
      [9, []],
    ],
  );
});

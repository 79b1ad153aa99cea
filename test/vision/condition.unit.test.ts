/** Tests conditions of the camera from synthetic pictures, and what makes it count as blind. */
import t from 'tap';
import type { CameraCondition } from '../../agent/contract/condition.ts';
import type { MaskConfig } from '../../agent/contract/config.ts';
import type { SizePx } from '../../agent/contract/geometry.ts';
import type { KnownView } from '../../agent/contract/link.ts';
import { type Detection, type Foreground, type Frame, MOVING } from '../../agent/contract/picture.ts';
import { Blindness } from '../../agent/vision/observe/blindness.ts';
import { CameraConditions } from '../../agent/vision/observe/condition.ts';
import { ConditionPicture } from '../../agent/vision/observe/condition-picture.ts';
import { signatureOf } from '../../agent/vision/observe/condition-signature.ts';
import { cpuMsOfRuns } from '../lib/cpu-time.ts';
import { detectionOf, masking, paintGrey } from '../lib/pictures.ts';
import { randomOf } from '../lib/random.ts';
import { ALL, unlessAll } from '../lib/run.ts';
import { rectangle } from '../lib/shapes.ts';

const SOURCE = { widthPx: 832, heightPx: 512 };
const INPUT = { widthPx: 416, heightPx: 256 };
const EVERY_MS = 400;
/** Number of pictures of a take, each with other noise: no two successive ones are the same. */
const PICTURES = 4;

type Level = (xPx: number, yPx: number, atS: number) => number;

/** Bright and dark rectangles, windows and walls, in light that differs from place to place. */
const street: Level = (x, y) => {
  const column = Math.floor(x / 13);
  const row = Math.floor(y / 11);
  const hash = Math.imul(column * 7919 + row * 104_729 + 1, 2_654_435_761) >>> 24;
  return 60 + (hash % 70) + 40 * Math.sin(x / 55) * Math.cos(y / 40) + 40;
};
const blurred: Level = (x, y, atS) => {
  let sum = 0;
  for (let dy = -4; dy <= 4; dy += 2) for (let dx = -4; dx <= 4; dx += 2) sum += street(x + dx, y + dy, atS);
  return sum / 25;
};

interface Take {
  readonly seconds: number;
  readonly level: Level;
  /** Half-width of the noise, levels; 0 gives exactly the same picture. */
  readonly noise?: number;
  /** Time from frame to frame, in ms. */
  readonly everyMs?: number;
  /** Size of the camera's own picture, where it differs. */
  readonly source?: SizePx;
  /** Detections during the take. */
  readonly detections?: readonly Detection[];
}

const random = randomOf(7);
const grain = Float32Array.from({ length: 65_536 }, () => 2 * random() - 1);
/** Pictures of each level, each painted once, by the half-width of their noise. */
const painted = new Map<Level, Map<number, readonly Uint8Array[]>>();

/** The pictures of a take, which it shows in sequence, repeatedly. */
function picturesOf(level: Level, half: number): readonly Uint8Array[] {
  const before = painted.get(level)?.get(half);
  if (before !== undefined) return before;
  const plain = Float32Array.from({ length: INPUT.widthPx * INPUT.heightPx }, (_, k) =>
    level(k % INPUT.widthPx, Math.floor(k / INPUT.widthPx), 0),
  );
  const pictures = Array.from({ length: half === 0 ? 1 : PICTURES }, () => {
    const rgb = new Uint8Array(plain.length * 3);
    const start = Math.floor(random() * 65_536);
    for (const [k, at] of plain.entries())
      paintGrey(rgb, k, at + half * (grain[(start + k * 31) & 65_535] as number));
    return rgb;
  });
  painted.set(level, new Map(painted.get(level)).set(half, pictures));
  return pictures;
}

/** Shows the takes in sequence; returns each change as `<seconds since the take began> <conditions>`. */
function film(
  conditions: CameraConditions,
  takes: readonly Take[],
  from = 0,
  masks: readonly MaskConfig[] = [],
): [number, string][][] {
  const mask = masking(masks);
  let atMs = from;
  let index = 0;
  let before = '';
  return takes.map(
    ({ seconds, level, noise: half = 3, everyMs = EVERY_MS, source = SOURCE, detections = [] }) => {
      const pictures = picturesOf(level, half);
      const changes: [number, string][] = [];
      for (let ms = 0; ms < seconds * 1000; ms += everyMs, atMs += everyMs) {
        index += 1;
        const rgb = (pictures[index % pictures.length] as Uint8Array).slice();
        const frame: Frame = { index, ptsNs: 0n, atMs, wallMs: atMs, source, input: INPUT, rgb };
        const now = conditions.update(mask(frame), detections).join();
        if (now !== before) changes.push([ms / 1000, now]);
        before = now;
      }
      return changes;
    },
  );
}

function filmed(...takes: Take[]): [number, string][][] {
  return film(new CameraConditions(), takes);
}

const LEARN: Take = { seconds: 30, level: street };

const shifted =
  (xPx: number, yPx: number): Level =>
  (x, y, atS) =>
    street(x + xPx, y + yPx, atS);
/** The street in another light. */
const lit =
  (gain: number, base = 0): Level =>
  (x, y, atS) =>
    base + gain * street(x, y, atS);

/** Checks that the condition begins within `withinS` of the second take and is over within `overS` of the third. */
function beginsAndEnds(
  check: Pick<typeof t, 'same' | 'match' | 'ok'>,
  [first, second, third]: [number, string][][],
  condition: CameraCondition,
  withinS: number,
  overS: number,
): void {
  check.same(first, [], `${condition}: nothing before`);
  check.match(second, [[Number, condition]], `only ${condition}`);
  check.ok((second?.[0]?.[0] ?? Number.NaN) <= withinS, `after ${second?.[0]?.[0]} s`);
  check.match(third, [[Number, '']], 'and over');
  check.ok((third?.[0]?.[0] ?? Number.NaN) <= overS, `after ${third?.[0]?.[0]} s`);
}

t.test('each fault is reported in its time, until the picture is whole again', async (t) => {
  const faults: [CameraCondition, Omit<Take, 'seconds'>, withinS: number, overS: number][] = [
    ['frozen', { level: street, noise: 0 }, 30, 0.8],
    ['frozen', { level: street, noise: 0, everyMs: 2200 }, 30, 2.2],
    ['covered', { level: () => 90 }, 10, 10],
    ['covered', { level: () => 0 }, 10, 10],
    ['moved', { level: shifted(6, 4) }, 60, 10],
    ['moved', { level: shifted(97, 40) }, 60, 10],
    ['defocused', { level: blurred }, 60, 20],
  ];
  const everySecondFault = faults.filter((_, i) => i % 2 === 0);
  for (const [condition, fault, withinS, overS] of ALL ? faults : everySecondFault) {
    const { everyMs = EVERY_MS } = fault;
    const takes = filmed(LEARN, { ...fault, seconds: withinS + 10 }, { ...LEARN, everyMs });
    beginsAndEnds(t, takes, condition, withinS, overS);
  }
});

t.test('noise, light, and objects that pass are no condition', async (t) => {
  const ground: Level = (x, y, atS) => 60 + 0.25 * street(y, x, atS);
  const lorry: Detection = detectionOf('truck', [0, 0, SOURCE.widthPx, SOURCE.heightPx], 0.6);
  const lamps: Level = (x, y, atS) => (x % 104 < 26 && y % 64 < 20 ? street : lit(0.06))(x, y, atS);
  const cases: Record<string, Take[]> = {
    'a quiet night with sensor noise': [{ seconds: 60, level: lit(0.15, 10) }],
    'key frames every two seconds': [{ seconds: 120, level: street, everyMs: 2200 }],
    'a lorry before the lens, while the detector names it': [
      LEARN,
      { seconds: 40, level: () => 90, detections: [lorry] },
      LEARN,
    ],
    'a large object for a moment': [LEARN, { seconds: 3, level: () => 90 }, LEARN],
    'an object that covered most of the picture and leaves': [
      { seconds: 8, level: ground },
      LEARN,
      { seconds: 60, level: ground },
    ],
    'a dark night with lamps': [{ seconds: 60, level: lamps }],
    'changes of light and contrast': [
      LEARN,
      ...[0.4, 1.25, 0.15].map((gain): Take => ({ seconds: 45, level: lit(gain, 12) })),
    ],
  };
  for (const [name, takes] of Object.entries(cases)) t.same(filmed(...takes).flat(), [], name);
  const doubtful = { seconds: 40, level: () => 90, detections: [{ ...lorry, score: 0.2 }] };
  t.match(filmed(LEARN, doubtful)[1], [[Number, 'covered']], 'a guess names nothing');
});

t.test('privacy masks change no condition: their black and their edges are ignored', async (t) => {
  // Half of the picture in narrow strips: every place is near one of their edges.
  const masks = Array.from({ length: 26 }, (_, i): MaskConfig => {
    const [left, right] = [i / 26, (i + 0.3) / 26];
    return {
      id: `strip-${i}`,
      polygon: rectangle(left, 0, right, 1),
    };
  });
  const masked = (...takes: Take[]) => film(new CameraConditions(), takes, 0, masks);
  const covered = masked(LEARN, { seconds: 40, level: () => 90 }, { seconds: 20, level: street });
  beginsAndEnds(t, covered, 'covered', 10, 10);
  const frozen = masked(LEARN, { seconds: 32, level: street, noise: 0 }, { seconds: 4, level: street });
  beginsAndEnds(t, frozen, 'frozen', 30, 0.8);
  t.same(masked({ seconds: 60, level: lit(0.1, 20) }), [[]], 'what is dim is not too dark');
});

t.test('a night without lamps is too dark', async (t) => {
  const dusk = [0.6, 0.35, 0.2, 0.12].map((gain): Take => ({ seconds: 15, level: lit(gain) }));
  const dark: Take = { seconds: 45, level: lit(0.06) };
  const takes = filmed(LEARN, ...dusk, dark, { seconds: 30, level: street });
  t.same(takes.slice(0, 4), [[], [], [], []]);
  t.match(takes.slice(4).flat()[0], [Number, 'too-dark']);
  t.equal(takes.flat().at(-1)?.[1], '', 'over with the day');
  t.same([...new Set(takes.flat().map(([, condition]) => condition))], ['too-dark', '']);
});

t.test('a new view stays a moved camera until a person confirms it', async (t) => {
  const turned = shifted(97, 40);
  const conditions = new CameraConditions();
  const [, second] = film(conditions, [LEARN, { seconds: ALL ? 900 : 70, level: turned }]);
  t.match(second, [[Number, 'moved']], 'and remains so');
  t.equal(second?.length, 1);
  conditions.viewToTell();
  conditions.confirm();
  const later: Take[] = [
    { seconds: 60, level: turned },
    { seconds: 70, level: street },
  ];
  const [third, fourth] = film(conditions, later, 930_000);
  t.same(third, [], 'over at once, and it is the view from now on');
  t.match(fourth, [[Number, 'moved']], 'the old one is another view now');
});

/** View of the street that a first run of vision learns. */
function knownStreet(level: Level = street): KnownView {
  const conditions = new CameraConditions();
  film(conditions, [{ seconds: 30, level }]);
  const view = conditions.viewToTell();
  if (view === undefined) throw new Error('no view was reported');
  return view;
}

t.test('a restart recognises the known view in any light, and another as moved', async (t) => {
  const view = knownStreet();
  const next = (level: Level, over: Partial<KnownView> = {}): [CameraConditions, [number, string][]] => {
    const conditions = new CameraConditions({ knownView: { ...view, ...over } });
    return [conditions, film(conditions, [{ seconds: 35, level }])[0] ?? []];
  };
  t.same(next(street)[1], []);
  t.same(next(lit(0.15, 10))[1], [], 'at night');
  const turned: Level = (x, y, atS) => street(0.7 * (x + y), 0.7 * (y - x) + 300, atS);
  const [conditions, changes] = next(turned);
  t.match(changes, [[Number, 'moved']]);
  t.ok((changes[0]?.[0] ?? 99) <= 30, `told after ${changes[0]?.[0]} s`);
  conditions.confirm();
  t.same(film(conditions, [{ seconds: 35, level: turned }], 35_000), [[]], 'confirmed');
  t.not(conditions.viewToTell()?.signature, view.signature, 'its own signature is reported');
  t.same(
    next(street, { moved: true })[1],
    [[0, 'moved']],
    'moved before the restart: from the first frame, and it stays',
  );
});

t.test('a new shape of the picture in mid-stream moves the zones, and a new size does not', async (t) => {
  const later = (source: SizePx): Take => ({ seconds: 40, level: street, source });
  const [, same] = filmed(LEARN, later({ widthPx: 416, heightPx: 256 }));
  t.same(same, []);
  const [, other] = filmed(LEARN, later({ widthPx: 640, heightPx: 480 }));
  t.same(other, [[0, 'moved']]);
});

t.test('a picture of another size is judged as by a new camera', { skip: unlessAll }, async (t) => {
  const small = { widthPx: 416, heightPx: 256 };
  const turned = shifted(97, 40);
  const cloth: Level = (x, y, atS) => 70 + 0.22 * turned(x, y, atS);
  // Each ends in the middle of something, which must not continue.
  const histories: Record<string, Take[]> = {
    covered: [LEARN, { seconds: 20, level: () => 90 }],
    'about to be covered': [LEARN, { seconds: 3.2, level: () => 90 }],
    'nearly too dark': [{ seconds: 30, level: () => 4 }],
    'nearly moved': [LEARN, { seconds: 26, level: turned }],
    'with few edges': [{ seconds: 60, level: lit(0.12, 100) }],
  };
  const futures: Record<string, Take[]> = {
    'dark, then by day': [
      { seconds: 35, level: () => 4, source: small },
      { seconds: 25, level: street, source: small },
    ],
    'covered by a cloth, then out of focus': [
      { seconds: 24, level: street, source: small },
      { seconds: 12, level: cloth, source: small },
      { seconds: 8, level: street, source: small },
      { seconds: 24, level: blurred, source: small },
    ],
  };
  for (const [past, before] of Object.entries(histories)) {
    for (const [next, after] of Object.entries(futures)) {
      const from = 1000 * before.reduce((sum, { seconds }) => sum + seconds, 0);
      const old = new CameraConditions();
      film(old, before);
      t.same(film(old, after, from), film(new CameraConditions(), after, from), `${past}; ${next}`);
    }
  }
});

t.test('a damaged stream that claims another shape for a while moves nothing', async (t) => {
  const claimed = (seconds: number): Take => ({
    seconds,
    level: street,
    source: { widthPx: 736, heightPx: 22 },
  });
  const still: Take = { seconds: 40, level: street };
  const [, during, after] = filmed(LEARN, claimed(8), still);
  t.same(during, [[0, 'moved']], 'no rule judges by such a picture');
  t.match(after, [[Number, '']]);
  t.ok((after?.[0]?.[0] ?? 99) <= 1, 'over with the first whole picture');
  const [, stays, ending] = filmed(LEARN, claimed(20), still);
  t.same([stays, ending], [[[0, 'moved']], []], 'it is for good once it has stood for longer');
});

t.test('no picture can be reconstructed from a reported view', async (t) => {
  const { signature } = knownStreet();
  t.equal(Buffer.from(signature ?? '', 'base64').length, 384, 'eight numbers for each of 48 blocks');
  const cells = 4800;
  const random = randomOf(5);
  const block = Uint8Array.from({ length: cells }, (_, k) => Math.floor((k * 48) / cells));
  const stepX = Float32Array.from({ length: cells }, () => 20 * random() - 10);
  const stepY = Float32Array.from({ length: cells }, () => 20 * random() - 10);
  // Everything within a block in another order: nothing recognisable remains.
  const order = Array.from({ length: cells }, (_, k) => k).sort(
    (a, b) => (block[a] as number) - (block[b] as number) || ((a * 7919) % 101) - ((b * 7919) % 101),
  );
  t.notOk(
    order.every((from, at) => from === at),
    'another order',
  );
  t.equal(
    signatureOf(
      { block },
      Float32Array.from(order, (k) => stepX[k] as number),
      Float32Array.from(order, (k) => stepY[k] as number),
    ),
    signatureOf({ block }, stepX, stepY),
    'the signature is the same: no place within a block is in it',
  );
});

t.test('a stream that returns keeps its view, but learns it again after a long absence', async (t) => {
  const conditions = new CameraConditions();
  const covered = (from: number): [number, string][] =>
    film(conditions, [{ seconds: 15, level: () => 90 }], from)[0] ?? [];
  film(conditions, [LEARN]);
  t.match(covered(330_000), [[Number, 'covered']], 'covered during an absence of 5 min');
  t.same(covered(2_000_000), [], 'only the present view is known');
});

t.test('the check costs less than half a pass over the frame in CPU time', { skip: unlessAll }, async (t) => {
  const random = randomOf(1);
  const rgb = Uint8Array.from({ length: INPUT.widthPx * INPUT.heightPx * 3 }, () => 255 * random());
  const conditions = new CameraConditions();
  const { ms, pass } = cpuMsOfRuns(3000, (k) => {
    const atMs = k * 200;
    conditions.update({ index: k + 1, ptsNs: 0n, atMs, wallMs: atMs, source: SOURCE, input: INPUT, rgb }, []);
  });
  t.comment(`${ms.toFixed(3)} CPU-ms a frame, a pass over it ${pass.toFixed(3)}`);
  t.ok(ms < pass / 2, `${(ms / pass).toFixed(2)} passes`);
});

const [COLUMNS, ROWS] = [64, 40];
const STEP_MS = 200;
/** Time in which a camera would have been told blind. */
const LONG_S = ALL ? 180 : 100;
/** Duration of a walker's way through the picture, and of the pause until the next one. */
const [WAY_MS, PAUSE_MS] = [4000, 3000];

/** Green of a cell of the street, 0..255, and red and blue over it. */
type Ground = (place: number) => readonly [green: number, tint: number];
const byDay: Ground = (place) => [10 + (place % 200), 20];
const infrared: Ground = (place) => [10 + (place % 200), 0];
const inHaze: Ground = (place) => [90 + (place % 90), 10];

/** Score of the detection at the walker, and its offset in widths. */
interface WeakDetection {
  readonly score: number;
  readonly offsetWidths?: number;
}

/** Shows walkers for `seconds`; returns when the camera was first reported blind, s. */
function blindAfter(street: Ground, seconds: number, detection?: WeakDetection, everyMs = WAY_MS + PAUSE_MS) {
  const blindness = new Blindness({ zones: [] });
  const rgb = new Uint8Array(INPUT.widthPx * INPUT.heightPx * 3);
  for (let k = 0; k < rgb.length; k += 3) {
    const [green, tint] = street(Math.floor(k / 24) * 37);
    rgb.set([green + tint, green, green], k);
  }
  let picture: ConditionPicture | undefined;
  for (let atMs = 0; atMs < seconds * 1000; atMs += STEP_MS) {
    const frame: Frame = { index: 0, ptsNs: 0n, atMs, wallMs: atMs, source: SOURCE, input: INPUT, rgb };
    const onWay = (atMs % everyMs) / WAY_MS;
    const cells = new Uint8Array(COLUMNS * ROWS);
    const column = Math.floor(onWay * 50) + 4;
    if (onWay < 1)
      for (let y = 15; y < 23; y += 1) cells.fill(MOVING, y * COLUMNS + column, y * COLUMNS + column + 4);
    const foreground: Foreground = {
      columns: COLUMNS,
      rows: ROWS,
      cellNorm: [1 / COLUMNS, 1 / ROWS],
      cells,
    };
    const detections: Detection[] = [];
    if (onWay < 1 && detection !== undefined) {
      const leftPx = (column + 4 * (detection.offsetWidths ?? 0)) * 13;
      const { score } = detection;
      detections.push({ xyxyPx: [leftPx, 192, leftPx + 52, 294], score, label: 'person', group: 'person' });
    }
    blindness.see({ detections, detectorRan: true, foreground }, SOURCE, atMs);
    picture ??= new ConditionPicture(frame);
    picture.add(frame);
    if (picture.frames < 12) continue;
    blindness.assessWindow(picture, 2400, true, atMs);
    picture.clear();
    if (blindness.camera.missed) return atMs / 1000;
  }
  return undefined;
}

t.test('undetected motion by day and in colour never counts as blindness', async (t) => {
  t.equal(blindAfter(byDay, LONG_S), undefined);
});

t.test('a detector that misses all motion at night counts as blind within a minute', async (t) => {
  const atS = blindAfter(infrared, 120);
  t.ok(atS !== undefined && atS <= 65, `after ${atS} s`);
});

t.test('beams of light over an empty street at night do not count as blindness', async (t) => {
  t.equal(blindAfter(infrared, ALL ? 300 : 150, undefined, 30_000), undefined, 'two a minute');
});

t.test('neither detected nor doubtful walkers count as missed at night', async (t) => {
  t.equal(blindAfter(infrared, LONG_S, { score: 0.6 }), undefined, 'seen');
  t.equal(blindAfter(infrared, LONG_S, { score: 0.16 }), undefined, 'unsure');
  t.equal(blindAfter(infrared, LONG_S, { score: 0.16, offsetWidths: 1.5 }), undefined, 'a shadow');
});

t.test('doubtful walkers count as missed in haze, but not a shadow beside a detected one', async (t) => {
  const atS = blindAfter(inHaze, 120, { score: 0.16 });
  t.ok(atS !== undefined && atS <= 60, `after ${atS} s`);
  t.equal(blindAfter(inHaze, LONG_S, { score: 0.6 }), undefined, 'seen');
  t.equal(blindAfter(inHaze, LONG_S, { score: 0.6, offsetWidths: 1.5 }), undefined, 'a shadow');
});

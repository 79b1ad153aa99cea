/**
 * Tests what remains of people and vehicles in published pictures: the place, a figure, and blocks. Pictures are made from
 * JPEG stills, compared as files, and read back with sharp.
 */

import fc from 'fast-check';
import sharp from 'sharp';
import t from 'tap';
import type { SizePx, XyxyPx } from '../../agent/contract/geometry.ts';
import {
  type Detection,
  type Foreground,
  MOVING,
  SETTLED,
  type Still,
  type YuvPlanes,
} from '../../agent/contract/picture.ts';
import type { RedactedJpeg } from '../../agent/contract/redacted-jpeg.ts';
import type { Subject } from '../../agent/vision/redact/marks.ts';
import { placeTime } from '../../agent/vision/redact/place-time.ts';
import { type Format, PREVIEW, Redactor } from '../../agent/vision/redact/redactor.ts';
import { detectionOf, stillFrom, trackOf } from '../lib/pictures.ts';
import { randomOf, SEED } from '../lib/random.ts';
import { ALL } from '../lib/run.ts';
import { lumaAt, noiseBytes, pixelsOf, planesOf, sharpOf, stillOf } from '../lib/stills.ts';

const SIZE: SizePx = { widthPx: 640, heightPx: 480 };
const PERSON_BOX: XyxyPx = [280, 120, 360, 340];
const PERSON = detectionOf('person', PERSON_BOX);
const TRACK = trackOf(PERSON_BOX, { id: 7 });
const SUBJECT: Subject = {
  focus: [
    {
      xyxyNorm: [280 / 640, 120 / 480, 360 / 640, 340 / 480],
      velocityNormPerS: [0, 0],
      object: { track: 7, group: 'person', label: 'person' },
    },
  ],
};
const random = randomOf(SEED);

interface Scene {
  /** Levels of coat and trousers; undefined without a person. */
  readonly person?: readonly [number, number];
  readonly ground: number;
  readonly light?: number;
  readonly noise?: number;
}

/** Brightness and colour of a pixel: the body fills the middle of the box, a head on top. */
function pixelOf(
  x: number,
  y: number,
  { person, ground }: Pick<Scene, 'ground'> & { readonly person: Scene['person'] | undefined },
): [number, number, number] {
  const level = ground + 25 * Math.sin(x / 11) * Math.cos(y / 17);
  const [left, top, right, bottom] = PERSON_BOX;
  const offset = Math.abs(x - (left + right) / 2) / (right - left);
  const down = (y - top) / (bottom - top);
  if (person === undefined || down < 0 || down > 1) return [level, level + 6, level - 4];
  const [coat, trousers] = person;
  if (down < 0.14) return offset < 0.14 ? [coat + 20, coat, coat - 15] : [level, level + 6, level - 4];
  if (offset > (down < 0.55 ? 0.42 : 0.3)) return [level, level + 6, level - 4];
  const cloth = down < 0.55 ? coat : trousers;
  return [cloth + 8 * Math.sin(x / 3), cloth, cloth + 8 * Math.cos(y / 4)];
}

const bare = new Map<string, Float64Array>();

/** Levels without light and noise, computed once for each scene. */
function bareOf({ person, ground }: Scene): Float64Array {
  const key = JSON.stringify([person, ground]);
  const before = bare.get(key);
  if (before !== undefined) return before;
  const levels = new Float64Array(SIZE.widthPx * SIZE.heightPx * 3);
  for (let at = 0; at < levels.length; at += 3) {
    const [x, y] = [(at / 3) % SIZE.widthPx, Math.floor(at / 3 / SIZE.widthPx)];
    levels.set(pixelOf(x, y, { person, ground }), at);
  }
  bare.set(key, levels);
  return levels;
}

function rgbOf(scene: Scene): Buffer {
  const { light = 1, noise = 0 } = scene;
  const levels = bareOf(scene);
  const rgb = Buffer.alloc(levels.length);
  for (let at = 0; at < rgb.length; at += 1) {
    const by = noise === 0 ? 0 : noise * (random() + random() - 1);
    rgb[at] = Math.min(255, Math.max(0, Math.round((levels[at] as number) * light + by)));
  }
  return rgb;
}

/** A camera that has seen the empty street for ten seconds, if it has, and then the person. */
class Box {
  readonly #redactor = new Redactor('UTC');
  #atMs = 0;

  learn(scene: Scene): this {
    const planes = planesOf(rgbOf({ ...scene, noise: 3 }), SIZE);
    for (let s = 0; s < 10; s += 1) this.#see(planes, false);
    return this;
  }

  async picture(scene: Scene, subject: Subject = SUBJECT, format?: Format): Promise<RedactedJpeg> {
    this.#see(undefined, scene.person !== undefined);
    return this.anotherStill(scene, subject, format);
  }

  /** Another still of the same moment. */
  async anotherStill(scene: Scene, subject: Subject = SUBJECT, format?: Format): Promise<RedactedJpeg> {
    // With colours at half the size, as a camera codes them.
    const jpeg = await (await sharpOf(rgbOf(scene), SIZE)).jpeg({ quality: 90 }).toBuffer();
    return this.#redactor.redact(stillFrom(jpeg, SIZE, { atMs: this.#atMs - 1000 }), subject, format);
  }

  #see(planes: YuvPlanes | undefined, person: boolean): void {
    const frame = { atMs: this.#atMs, wallMs: this.#atMs, source: SIZE };
    this.#redactor.remember(frame, person ? [PERSON] : [], person ? [TRACK] : []);
    this.#redactor.learnPlace(planes);
    this.#atMs += 1000;
  }
}

t.test('pictures of two people in the same box are the same file', async (t) => {
  const box = new Box().learn({ ground: 120 });
  const dark = await box.picture({ person: [30, 30], ground: 120 });
  const light = await box.anotherStill({ person: [230, 200], ground: 120 });
  t.equal(dark.sha256, light.sha256);
  const brighter = await box.anotherStill({ person: [30, 30], ground: 123 });
  t.not(dark.sha256, brighter.sha256, 'while a change of the street is seen');
});

t.test('a technician’s preview hides what a published picture hides', async (t) => {
  const box = new Box().learn({ ground: 120 });
  const nobody: Subject = { focus: [] };
  const dark = await box.picture({ person: [30, 30], ground: 120 }, nobody, PREVIEW);
  const light = await box.anotherStill({ person: [230, 200], ground: 120 }, nobody, PREVIEW);
  t.equal(dark.sha256, light.sha256, 'two people in the same box: the same file');
  const published = await box.anotherStill({ person: [30, 30], ground: 120 }, nobody);
  t.strictSame(dark.redaction, published.redaction);
  t.not(dark.sha256, published.sha256, 'only coarser');
  const [preview, snapshot] = [(await pixelsOf(dark.bytes)).rgb, (await pixelsOf(published.bytes)).rgb];
  const difference = preview.reduce((sum, level, i) => sum + Math.abs(level - (snapshot[i] as number)), 0);
  t.ok(difference / preview.length < 3, `${(difference / preview.length).toFixed(2)} levels on average`);
});

t.test('the clean plate takes the light of the still', async (t) => {
  for (const light of ALL ? [0.5, 0.8, 1.25, 1.6] : [0.5]) {
    const box = new Box().learn({ ground: 110 });
    const { bytes } = await box.picture({ person: [40, 40], ground: 110, light }, { focus: [] });
    const { rgb } = await pixelsOf(bytes);
    const empty = rgbOf({ ground: 110, light });
    // Beside the figure, at the feet and above the head, where the picture is the clean plate.
    let [sum, count] = [0, 0];
    for (let y = 104; y < 116; y += 1) {
      for (let x = 272; x < 368; x += 1) {
        const at = (y * SIZE.widthPx + x) * 3;
        sum += Math.abs(lumaAt(rgb, at) - lumaAt(empty, at));
        count += 1;
      }
    }
    t.ok(sum / count <= 6, `${light}: ${(sum / count).toFixed(1)} levels`);
  }
});

t.test('the redaction report names the parts that are not of the moment', async (t) => {
  const box = new Box().learn({ ground: 120 });
  const learnt = await box.picture({ person: [30, 30], ground: 120 });
  t.match(learnt.redaction, { figures: 1, mosaicShare: 0, masks: 0 });
  t.ok(
    learnt.redaction.cleanPlate.ratio > 0.05 && learnt.redaction.cleanPlate.ratio < 0.2,
    `${learnt.redaction.cleanPlate.ratio}`,
  );
  t.ok(
    learnt.redaction.cleanPlate.maxAgeS >= 1 && learnt.redaction.cleanPlate.maxAgeS < 10,
    `${learnt.redaction.cleanPlate.maxAgeS}`,
  );
  const unlearnt = await new Box().picture({ person: [30, 30], ground: 120 });
  t.match(unlearnt.redaction, { figures: 1, cleanPlate: { ratio: 0, maxAgeS: 0 }, masks: 0 });
  t.equal(unlearnt.redaction.mosaicShare, learnt.redaction.cleanPlate.ratio, 'what is not known is blocks');
  const street = await new Box().learn({ ground: 120 }).picture({ ground: 120 }, { focus: [] });
  t.same(street.redaction, { figures: 0, cleanPlate: { ratio: 0, maxAgeS: 0 }, mosaicShare: 0, masks: 0 });
});

t.test('the age of the clean plate is in the site’s own time, with the day where it differs', async (t) => {
  const learntMs = Date.UTC(2026, 6, 1, 12, 2);
  t.equal(placeTime(learntMs, learntMs + 3_600_000, 'Europe/Paris'), '14:02 CEST');
  t.equal(placeTime(learntMs, learntMs + 20 * 3_600_000, 'Europe/Paris'), '2026-07-01 14:02 CEST');
  t.equal(placeTime(learntMs, learntMs, 'UTC'), '12:02 UTC');
});

/** Size of a picture that is scaled down to 1280 px. */
const LARGE: SizePx = { widthPx: 1920, heightPx: 1440 };
const GRID = { columns: 64, rows: 48, cellNorm: [1 / 64, 1 / 48] as const };
/** Cells of a person whom the detector has missed; with the margin of a cell 20..30 by 14..36. */
const MISSED = [21, 15, 29, 35] as const;
const REGION: XyxyPx = [20, 14, 30, 36];

function foregroundOf([left, top, right, bottom]: typeof MISSED, value: number): Foreground {
  const cells = new Uint8Array(64 * 48);
  for (let y = top; y < bottom; y += 1) cells.fill(value, y * 64 + left, y * 64 + right);
  return { ...GRID, cells };
}

function noiseOf({ widthPx, heightPx }: SizePx, seed: number): Buffer {
  return Buffer.from(noiseBytes(widthPx * heightPx * 3, seed).map((level) => 80 + (level * 90) / 255));
}

/** Replaces the noise in the blocks of 8 × 8 px that lie wholly in a part of the foreground's grid. */
function changedIn(rgb: Buffer, { widthPx }: SizePx, part: XyxyPx, seed: number): Buffer {
  const cellPx = widthPx / 64;
  const [left, top, right, bottom] = part.map((cell) => cell * cellPx) as [number, number, number, number];
  const [changedRgb, other] = [
    Buffer.from(rgb),
    noiseOf({ widthPx, heightPx: rgb.length / 3 / widthPx }, seed),
  ];
  for (let y = Math.ceil(top / 8) * 8; y < Math.floor(bottom / 8) * 8; y += 1) {
    const [from, to] = [Math.ceil(left / 8) * 8, Math.floor(right / 8) * 8].map(
      (x) => (y * widthPx + x) * 3,
    ) as [number, number];
    other.copy(changedRgb, from, from, to);
  }
  return changedRgb;
}

interface FrameContent {
  readonly detections?: readonly Detection[];
  readonly foreground?: Foreground;
}

function snapshot(still: Still, { detections = [], foreground }: FrameContent): Promise<RedactedJpeg> {
  const redactor = new Redactor('UTC');
  redactor.remember({ atMs: 1000, wallMs: 1000, source: still.source }, detections, [], foreground);
  return redactor.redact(still, { focus: [] });
}

/** Counts the blocks that lie wholly in a box, and those of one colour. */
async function readBack(jpeg: Uint8Array, [left, top, right, bottom]: XyxyPx, sidePx = 8) {
  const { rgb, size } = await pixelsOf(jpeg);
  const blockCounts = { blocks: 0, flat: 0 };
  for (let y = Math.ceil(top / sidePx) * sidePx; y + sidePx <= bottom; y += sidePx) {
    for (let x = Math.ceil(left / sidePx) * sidePx; x + sidePx <= right; x += sidePx) {
      const colours = new Set<string>();
      for (let i = 0; i < sidePx * sidePx; i += 1) {
        const at = ((y + Math.floor(i / sidePx)) * size.widthPx + x + (i % sidePx)) * 3;
        colours.add(rgb.toString('hex', at, at + 3));
      }
      blockCounts.blocks += 1;
      if (colours.size === 1) blockCounts.flat += 1;
    }
  }
  return blockCounts;
}

for (const source of ALL ? [SIZE, LARGE] : [SIZE]) {
  t.test(`${source.widthPx} px: an undetected moving person has no effect on the file`, async (t) => {
    const rgb = noiseOf(source, 3);
    const still = await stillOf(rgb, source);
    const content = { foreground: foregroundOf(MISSED, MOVING) };
    const snapshotMade = await snapshot(still, content);
    t.match(snapshotMade.redaction, { figures: 0, cleanPlate: { ratio: 0 } });
    // The region is 7 % of the picture; partly covered cells are hidden completely.
    const { mosaicShare } = snapshotMade.redaction;
    t.ok(
      mosaicShare >= (10 * 22) / (64 * 48) && mosaicShare < 0.09,
      `and the snapshot says so: ${mosaicShare}`,
    );
    const other = await stillOf(changedIn(rgb, source, REGION, 4), source);
    t.equal(
      (await snapshot(other, content)).sha256,
      snapshotMade.sha256,
      'another one there gives the same file',
    );
    const outside = await stillOf(changedIn(rgb, source, [20, 10, 30, 36], 4), source);
    t.not((await snapshot(outside, content)).sha256, snapshotMade.sha256, 'what is above the region is seen');
    const scale = snapshotMade.widthPx / 640;
    const neighbour = await readBack(snapshotMade.bytes, [400 * scale, 40 * scale, 600 * scale, 440 * scale]);
    t.ok(neighbour.blocks > 1000 && neighbour.flat === 0, 'the street beside it is unchanged');

    const settled = { foreground: foregroundOf(MISSED, SETTLED) };
    const control = await snapshot(still, settled);
    t.equal(control.redaction.mosaicShare, 0, 'a thing that was put down stays visible');
    t.not((await snapshot(other, settled)).sha256, control.sha256, 'and another thing is another picture');
  });
}

t.test('moving parts that stick out of a box are hidden too', async (t) => {
  const rgb = noiseOf(SIZE, 7);
  const still = await stillOf(rgb, SIZE);
  // The detector has seen the lower half; head and shoulders move above its box.
  const legs = detectionOf('person', [210, 260, 290, 350], 0.3);
  const content = { detections: [legs], foreground: foregroundOf(MISSED, MOVING) };
  const head = await stillOf(changedIn(rgb, SIZE, [20, 14, 30, 24], 8), SIZE);
  t.equal((await snapshot(still, content)).sha256, (await snapshot(head, content)).sha256);
  const alone = { detections: [legs] };
  t.not(
    (await snapshot(still, alone)).sha256,
    (await snapshot(head, alone)).sha256,
    'by the box alone it is not',
  );
});

const car = (score: number, ...xyxyPx: XyxyPx): Detection => detectionOf('car', xyxyPx, score);

t.test('a moving sure vehicle is coarse; a doubtful one and a person before one are hidden', async (t) => {
  const rgb = noiseOf(SIZE, 9);
  const still = await stillOf(rgb, SIZE);
  const other = await stillOf(changedIn(rgb, SIZE, [22, 16, 28, 34], 10), SIZE);
  const foreground = foregroundOf(MISSED, MOVING);
  const box: XyxyPx = [180, 120, 320, 380];
  const files = async (...detections: Detection[]): Promise<[RedactedJpeg, RedactedJpeg]> => [
    await snapshot(still, { detections, foreground }),
    await snapshot(other, { detections, foreground }),
  ];
  const [sure, another] = await files(car(0.6, ...box));
  t.equal(sure.redaction.mosaicShare, 0);
  t.not(sure.sha256, another.sha256, 'it is made of its own colours');
  // With its margin it is 192 px wide: blocks of 16 px, those at the ends cut.
  const withMargin: XyxyPx = [154, 94, 346, 406];
  const [own, larger] = [
    await readBack(sure.bytes, withMargin, 16),
    await readBack(sure.bytes, withMargin, 32),
  ];
  t.ok(own.blocks > 150 && own.flat === own.blocks, `${own.flat} of ${own.blocks} blocks of one colour`);
  t.ok(larger.flat < larger.blocks / 4, 'and no larger ones');
  const before = detectionOf('person', [205, 140, 295, 370], 0.2);
  for (const detections of [[car(0.4, ...box)], [car(0.6, ...box), before]]) {
    const [one, two] = await files(...detections);
    t.equal(one.sha256, two.sha256, `${detections.length}: hidden`);
    t.ok(one.redaction.mosaicShare > 0.07);
  }
});

t.test('pictures that differ only within one block of a vehicle become the same file', async (t) => {
  const corner = fc.tuple(
    fc.nat(300),
    fc.nat(200),
    fc.integer({ min: 110, max: 330 }),
    fc.integer({ min: 110, max: 270 }),
  );
  const tile = fc.tuple(fc.nat({ max: 1 }), fc.nat({ max: 1 }));
  await fc.assert(
    fc.asyncProperty(corner, fc.nat(), tile, tile, async ([left, top, width, height], seed, from, to) => {
      const detections = [car(0.6, left, top, left + width, top + height)];
      // A twelfth of its short side is more than 8 px, so squares of 16 px lie within its blocks.
      const [x, y] = [(left + 40) & -16, (top + 40) & -16];
      const one = noiseOf(SIZE, seed);
      const swapped = Buffer.from(one);
      for (let line = 0; line < 8; line += 1) {
        const [a, b] = [from, to].map(
          ([column, row]) => ((y + row * 8 + line) * 640 + x + column * 8) * 3,
        ) as [number, number];
        one.copy(swapped, b, a, a + 24);
        one.copy(swapped, a, b, b + 24);
      }
      const [before, after] = [
        await snapshot(await stillOf(one, SIZE), { detections }),
        await snapshot(await stillOf(swapped, SIZE), { detections }),
      ];
      return before.sha256 === after.sha256;
    }),
    { numRuns: ALL ? 20 : 5 },
  );
  t.pass('holds for every scene tried');
});

t.test('a hidden area beside a vehicle takes none of its colours', async (t) => {
  const rgb = noiseOf(SIZE, 11);
  const person = detectionOf('person', [330, 130, 400, 330], 0.2);
  const detections = [car(0.6, 100, 100, 290, 300), person];
  const whiteCar = Buffer.from(rgb);
  // Its own box is all white.
  for (let y = 100; y < 300; y += 1) whiteCar.fill(255, (y * 640 + 100) * 3, (y * 640 + 290) * 3);
  const parts = [];
  for (const picture of [rgb, whiteCar]) {
    const { bytes } = await snapshot(await stillOf(picture, SIZE), { detections });
    const part = (left: number) =>
      sharp(bytes).extract({ left, top: 112, width: 88, height: 232 }).raw().toBuffer();
    parts.push([await part(152), await part(320)]);
  }
  const [[ownA, besideA], [ownB, besideB]] = parts as [[Buffer, Buffer], [Buffer, Buffer]];
  t.notOk(ownA.equals(ownB), 'the vehicle is another one');
  t.ok(besideA.equals(besideB), 'and it has no effect beside it');
});

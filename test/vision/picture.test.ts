/**
 * Tests what remains of a person in published pictures, however many there are: the place, and a figure. Pictures are
 * made from JPEG stills of a street with a person of another brightness in front, and read back.
 */
import sharp from 'sharp';
import t from 'tap';
import type { SizePx, XyxyPx } from '../../agent/contract/geometry.ts';
import type { Detection, Track, YuvPlanes } from '../../agent/contract/picture.ts';
import type { RedactedJpeg } from '../../agent/contract/redacted-jpeg.ts';
import type { Subject } from '../../agent/vision/redact/marks.ts';
import { placeTime } from '../../agent/vision/redact/place-time.ts';
import { type Format, PREVIEW, Redactor } from '../../agent/vision/redact/redactor.ts';
import { stillFrom } from '../lib/pictures.ts';
import { randomOf, SEED } from '../lib/random.ts';
import { FULL } from '../lib/run.ts';

const SIZE: SizePx = { widthPx: 640, heightPx: 480 };
const PERSON_BOX: XyxyPx = [280, 120, 360, 340];
const PERSON: Detection = { group: 'person', label: 'person', score: 0.8, xyxyPx: PERSON_BOX };
const TRACK: Track = {
  ...PERSON,
  bestScore: 0.8,
  id: 7,
  velocityPxPerS: [0, 0],
  firstMs: 0,
  lastMs: 0,
  seen: true,
};
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

/** Planes by JPEG's own formula, as a decoder's planes become a still. */
function planesOf(rgb: Uint8Array): YuvPlanes {
  const { widthPx, heightPx } = SIZE;
  const y = new Uint8Array(widthPx * heightPx);
  const [u, v] = [new Uint8Array(y.length / 4), new Uint8Array(y.length / 4)];
  for (let at = 0; at < y.length; at += 1) {
    const [r, g, b] = [0, 1, 2].map((i) => rgb[at * 3 + i] as number) as [number, number, number];
    const luma = 0.299 * r + 0.587 * g + 0.114 * b;
    y[at] = Math.round(luma);
    const half = (Math.floor(at / widthPx) >> 1) * (widthPx / 2) + ((at % widthPx) >> 1);
    u[half] = Math.round(128 + (b - luma) / 1.772);
    v[half] = Math.round(128 + (r - luma) / 1.402);
  }
  return { size: SIZE, y, u, v, strideY: widthPx, strideUv: widthPx / 2 };
}

/** A camera that has seen the empty street for ten seconds, if it has, and then the person. */
class Box {
  readonly #redactor = new Redactor('UTC');
  #atMs = 0;

  learn(scene: Scene): this {
    for (let s = 0; s < 10; s += 1) this.#see(rgbOf({ ...scene, noise: 3 }), false);
    return this;
  }

  async picture(scene: Scene, subject: Subject = SUBJECT, format?: Format): Promise<RedactedJpeg> {
    this.#see(undefined, scene.person !== undefined);
    return this.anotherStill(scene, subject, format);
  }

  /** Another still of the same moment. */
  async anotherStill(scene: Scene, subject: Subject = SUBJECT, format?: Format): Promise<RedactedJpeg> {
    const raw = { width: SIZE.widthPx, height: SIZE.heightPx, channels: 3 } as const;
    const jpeg = await sharp(rgbOf(scene), { raw }).jpeg({ quality: 90 }).toBuffer();
    return this.#redactor.redact(stillFrom(jpeg, SIZE, { atMs: this.#atMs - 1000 }), subject, format);
  }

  #see(rgb: Buffer | undefined, person: boolean): void {
    const planes = rgb && planesOf(rgb);
    const frame = { atMs: this.#atMs, wallMs: this.#atMs, source: SIZE };
    this.#redactor.remember(frame, person ? [PERSON] : [], person ? [TRACK] : []);
    this.#redactor.learnPlace(planes);
    this.#atMs += 1000;
  }
}

async function pixelsOf({ bytes }: RedactedJpeg): Promise<Buffer> {
  return sharp(bytes).raw().toBuffer();
}

function lumaOf(rgb: ArrayLike<number>, pixel: number): number {
  const [r, g, b] = [0, 1, 2].map((i) => rgb[pixel * 3 + i] as number) as [number, number, number];
  return 0.299 * r + 0.587 * g + 0.114 * b;
}

/** Pearson's correlation over the pixels of the box, of brightness or of all three colours. */
function correlation(a: ArrayLike<number>, b: ArrayLike<number>, of: 'brightness' | 'colours'): number {
  const values: [number, number][] = [];
  for (let y = PERSON_BOX[1]; y < PERSON_BOX[3]; y += 1) {
    for (let x = PERSON_BOX[0]; x < PERSON_BOX[2]; x += 1) {
      const at = y * SIZE.widthPx + x;
      if (of === 'brightness') values.push([lumaOf(a, at), lumaOf(b, at)]);
      else for (const i of [0, 1, 2]) values.push([a[at * 3 + i] as number, b[at * 3 + i] as number]);
    }
  }
  const mean = (i: 0 | 1): number => values.reduce((sum, pair) => sum + pair[i], 0) / values.length;
  const [ma, mb] = [mean(0), mean(1)];
  let [aa, bb, ab] = [0, 0, 0];
  for (const [va, vb] of values) {
    aa += (va - ma) ** 2;
    bb += (vb - mb) ** 2;
    ab += (va - ma) * (vb - mb);
  }
  return ab / Math.sqrt(aa * bb);
}

/** Number of pictures from which noise cancels out; more show what a patient viewer could see. */
const PICTURES = FULL ? 64 : 24;

t.test(
  'pictures of a person who does not move show only the place and a figure, also together',
  async (t) => {
    const cases: [string, Scene][] = [
      ['dark clothes on light ground', { person: [40, 60], ground: 150 }],
      ['light clothes on dark ground', { person: [220, 180], ground: 70 }],
      ['a light coat, dark trousers', { person: [210, 40], ground: 120 }],
    ];
    for (const [name, scene] of cases) {
      const box = new Box().learn({ ground: scene.ground });
      const sums = new Float64Array(SIZE.widthPx * SIZE.heightPx * 3);
      for (let n = 0; n < PICTURES; n += 1) {
        const rgb = await pixelsOf(await box.picture({ ...scene, noise: 6 }));
        for (let i = 0; i < sums.length; i += 1)
          sums[i] = (sums[i] as number) + (rgb[i] as number) / PICTURES;
      }
      const original = rgbOf(scene);
      const empty = rgbOf({ ground: scene.ground });
      for (const of of ['brightness', 'colours'] as const) {
        const published = correlation(sums, original, of);
        const place = correlation(empty, original, of);
        const excess = Math.abs(published) - Math.abs(place);
        t.ok(
          excess <= 0.1,
          `${name}: ${of}: ${published.toFixed(3)} with the original, the place ${place.toFixed(3)}`,
        );
      }
      const fine = correlation(original, original, 'brightness');
      t.ok(fine > 0.999, 'the measure would tell');
    }
  },
);

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
  const [preview, snapshot] = [await pixelsOf(dark), await pixelsOf(published)];
  const difference = preview.reduce((sum, level, i) => sum + Math.abs(level - (snapshot[i] as number)), 0);
  t.ok(difference / preview.length < 3, `${(difference / preview.length).toFixed(2)} levels on average`);
});

t.test('the clean plate takes the light of the still', async (t) => {
  for (const light of [0.5, 0.8, 1.25, 1.6]) {
    const box = new Box().learn({ ground: 110 });
    const rgb = await pixelsOf(await box.picture({ person: [40, 40], ground: 110, light }, { focus: [] }));
    const empty = rgbOf({ ground: 110, light });
    // Beside the figure, at the feet and above the head, where the picture is the clean plate.
    let [sum, count] = [0, 0];
    for (let y = 104; y < 116; y += 1) {
      for (let x = 272; x < 368; x += 1) {
        const at = y * SIZE.widthPx + x;
        sum += Math.abs(lumaOf(rgb, at) - lumaOf(empty, at));
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

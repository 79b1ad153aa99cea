/**
 * Tests what remains of a person in published pictures, however many there are: the place, and a figure. Pictures are
 * made from JPEG stills of a street with a person of another brightness in front, and read back.
 */
import t from 'tap';
import type { SizePx, XyxyPx } from '../../agent/contract/geometry.ts';
import type { YuvPlanes } from '../../agent/contract/picture.ts';
import type { RedactedJpeg } from '../../agent/contract/redacted-jpeg.ts';
import type { Subject } from '../../agent/vision/redact/marks.ts';
import { placeTime } from '../../agent/vision/redact/place-time.ts';
import { type Format, PREVIEW, Redactor } from '../../agent/vision/redact/redactor.ts';
import { detectionOf, stillFrom, trackOf } from '../lib/pictures.ts';
import { randomOf, SEED } from '../lib/random.ts';
import { ALL } from '../lib/run.ts';
import { lumaAt, pixelsOf, planesOf, sharpOf } from '../lib/stills.ts';

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

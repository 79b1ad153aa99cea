/** Snapshots as files: each is read back with sharp, and with a marker parser of our own. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import type { Sharp } from 'sharp';
import t from 'tap';
import type { MaskConfig } from '../../agent/contract/config.ts';
import type { SizePx, XyxyNorm, XyxyPx } from '../../agent/contract/geometry.ts';
import type { Detection, Still } from '../../agent/contract/picture.ts';
import type { RedactedJpeg } from '../../agent/contract/redacted-jpeg.ts';
import { Redactor } from '../../agent/vision/redact/redactor.ts';
import { stillFrom } from '../lib/pictures.ts';

const SMALL: SizePx = { widthPx: 768, heightPx: 640 };
const LARGE: SizePx = { widthPx: 1920, heightPx: 1080 };

/** Noise on top of a slope, the same for the same seed (xorshift32). `grain`: 0 (smooth) to 255. */
function picture({ widthPx, heightPx }: SizePx, seed: number, grain: number): Buffer {
  const rgb = Buffer.alloc(widthPx * heightPx * 3);
  let state = seed | 1;
  for (let i = 0; i < rgb.length; i += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    const slope = ((i / 3) % widthPx) / widthPx + i / rgb.length;
    rgb[i] = Math.round((slope / 2) * (255 - grain)) + ((state & 255) * grain) / 255;
  }
  return rgb;
}

/** sharp is loaded here as late as in the program: the first test looks at that. */
async function sharpOf(rgb: Buffer, { widthPx, heightPx }: SizePx): Promise<Sharp> {
  const { default: sharp } = await import('sharp');
  return sharp(rgb, { raw: { width: widthPx, height: heightPx, channels: 3 } });
}

/** Its blocks of 8 × 8 px are coded each for itself: a change stays within the blocks that it touches. */
async function stillOf(
  rgb: Buffer,
  source: SizePx,
  masks: MaskConfig[] = [],
): Promise<Still & { jpeg: Uint8Array }> {
  const jpeg = await (await sharpOf(rgb, source))
    .jpeg({ quality: 97, chromaSubsampling: '4:4:4' })
    .toBuffer();
  return { ...stillFrom(jpeg, source, { masks }), jpeg };
}

async function pixelsOf(jpeg: Uint8Array): Promise<{ rgb: Buffer; size: SizePx }> {
  const { default: sharp } = await import('sharp');
  const { data, info } = await sharp(jpeg).raw().toBuffer({ resolveWithObject: true });
  return { rgb: data, size: { widthPx: info.width, heightPx: info.height } };
}

function person(...xyxyPx: XyxyPx): Detection {
  return { group: 'person', label: 'person', score: 0.15, xyxyPx };
}

function redactorFor(source: SizePx, detections: readonly Detection[]): Redactor {
  const redactor = new Redactor();
  const input = { widthPx: 32, heightPx: 32 };
  redactor.remember({ index: 1, atMs: 1000, source, input, rgb: new Uint8Array(0) }, detections, []);
  return redactor;
}

function snapshot(
  still: Still,
  detections: readonly Detection[],
  focus: XyxyNorm[] = [],
): Promise<RedactedJpeg> {
  return redactorFor(still.source, detections).redact(still, focus);
}

/** All 64 pixels of a block are the same. Blocks cut by the picture's edge are judged by what is left. */
function isFlat(rgb: Buffer, { widthPx, heightPx }: SizePx, left: number, top: number): boolean {
  const first = (top * widthPx + left) * 3;
  for (let y = top; y < Math.min(top + 8, heightPx); y += 1) {
    for (let x = left; x < Math.min(left + 8, widthPx); x += 1) {
      const at = (y * widthPx + x) * 3;
      if (rgb.compare(rgb, first, first + 3, at, at + 3) !== 0) return false;
    }
  }
  return true;
}

/** The blocks that a box touches, by their upper left corners. */
function blocksOf([x1, y1, x2, y2]: XyxyPx, { widthPx, heightPx }: SizePx): [number, number][] {
  const out: [number, number][] = [];
  for (let top = Math.floor(y1 / 8) * 8; top < Math.min(y2, heightPx); top += 8) {
    for (let left = Math.floor(x1 / 8) * 8; left < Math.min(x2, widthPx); left += 8) out.push([left, top]);
  }
  return out;
}

function rectangle(id: string, [x1, y1, x2, y2]: XyxyPx, { widthPx, heightPx }: SizePx): MaskConfig {
  const [left, right, top, bottom] = [x1 / widthPx, x2 / widthPx, y1 / heightPx, y2 / heightPx];
  return {
    id,
    polygon: [
      [left, top],
      [right, top],
      [right, bottom],
      [left, bottom],
    ],
  };
}

t.test('no snapshot without the detector; sharp is loaded by the first snapshot only', async (t) => {
  const loaded = (): boolean => readFileSync('/proc/self/maps', 'utf8').includes('libvips');
  const blind = new Redactor();
  const unread = stillFrom(new Uint8Array(4), SMALL);
  await t.rejects(blind.redact(unread, []), { kind: 'unavailable', message: /no frame yet/ });
  const stale = redactorFor(SMALL, []);
  await t.rejects(stale.redact({ ...unread, atMs: 1200 }, []), {
    name: 'AgentError',
    kind: 'unavailable',
    message: /has not seen the still's frame at 1200 ms \(it has seen frames up to 1000 ms\)/,
  });
  t.notOk(loaded(), 'nothing was decoded for that');
  const still = await stillOf(picture(SMALL, 1, 20), SMALL);
  await t.resolves(stale.redact(still, []), 'a frame without detections is known too');
  t.ok(loaded());
  const twice = redactorFor(SMALL, []);
  const first = twice.redact(still, []);
  await t.rejects(twice.redact(still, []), { kind: 'bug', message: /one snapshot at a time/ });
  await t.resolves(first);
  await t.resolves(twice.redact(still, []));
});

t.test('a still that is not what it says gives no snapshot', async (t) => {
  const still = await stillOf(picture(SMALL, 1, 20), SMALL);
  const png = await (await sharpOf(picture(SMALL, 1, 20), SMALL)).png().toBuffer();
  const cases: [string, Uint8Array, RegExp][] = [
    ['truncated', still.jpeg.subarray(0, still.jpeg.length / 2), /cannot be decoded/],
    ['nothing', new Uint8Array(0), /cannot be decoded/],
    ['noise', picture({ widthPx: 10, heightPx: 10 }, 3, 255), /cannot be decoded/],
    ['another format', png, /the still is png 768×640, not jpeg 768×640/],
    ['another size', (await stillOf(picture(LARGE, 1, 0), LARGE)).jpeg, /jpeg 1920×1080, not jpeg 768×640/],
  ];
  for (const [name, jpeg, message] of cases) {
    const redactor = redactorFor(SMALL, []);
    await t.rejects(redactor.redact(stillFrom(jpeg, SMALL), []), { kind: 'corrupt', message }, name);
    await t.resolves(redactor.redact(still, []), `${name}: the next still is fine`);
  }
});

t.test('what is in a redacted box: at most 8 × 8 samples, no coefficient but DC', async (t) => {
  const span = (max: number) => fc.double({ min: 8, max, noNaN: true });
  const box = fc.tuple(span(700), span(560), span(400), span(500)).map(([x, y, width, height]) => {
    return person(x, y, Math.min(768, x + width), Math.min(640, y + height));
  });
  await fc.assert(
    fc.asyncProperty(fc.array(box, { minLength: 1, maxLength: 6 }), fc.nat(), async (people, seed) => {
      const original = picture(SMALL, seed, 60);
      const { rgb, size } = await pixelsOf((await snapshot(await stillOf(original, SMALL), people)).bytes);
      for (const { xyxyPx } of people) {
        const colours = new Set<string>();
        for (const [left, top] of blocksOf(xyxyPx, size)) {
          if (!isFlat(rgb, size, left, top)) return false;
          const at = (top * size.widthPx + left) * 3;
          colours.add(rgb.toString('hex', at, at + 3));
        }
        if (colours.size > 64) return false;
      }
      return true;
    }),
    { numRuns: 25 },
  );
  t.pass('holds for every scene tried');
});

/** One person whose box has cells of 64 px at multiples of 64 px. */
const TALL = person(128, 64, 448, 512);

t.test('pictures that differ only within one sample become the same file', async (t) => {
  const tile = fc.tuple(fc.nat({ max: 3 }), fc.nat({ max: 3 }));
  const cell = fc.tuple(fc.integer({ min: 2, max: 6 }), fc.integer({ min: 1, max: 7 }));
  const other = fc.tuple(fc.nat({ max: 500 }), fc.nat({ max: 400 }), fc.integer({ min: 8, max: 200 }));
  const scene = fc.tuple(fc.nat(), cell, tile, tile, fc.array(other, { maxLength: 4 }));
  await fc.assert(
    fc.asyncProperty(scene, async ([seed, [column, row], a, b, others]) => {
      const people = [TALL, ...others.map(([x, y, side]) => person(x, y, x + side, y + side * 1.2))];
      const one = picture(SMALL, seed, 60);
      const swapped = Buffer.from(one);
      const from = [column * 64 + a[0] * 16, row * 64 + a[1] * 16] as const;
      const to = [column * 64 + b[0] * 16, row * 64 + b[1] * 16] as const;
      for (let y = 0; y < 16; y += 1) {
        const atA = ((from[1] + y) * 768 + from[0]) * 3;
        const atB = ((to[1] + y) * 768 + to[0]) * 3;
        one.copy(swapped, atB, atA, atA + 48);
        one.copy(swapped, atA, atB, atB + 48);
      }
      const before = await snapshot(await stillOf(one, SMALL), people);
      const after = await snapshot(await stillOf(swapped, SMALL), people);
      return before.sha256 === after.sha256;
    }),
    { numRuns: 15 },
  );
  t.pass('holds for every scene tried');
  const one = picture(SMALL, 5, 60);
  const brighter = Buffer.from(one);
  for (let y = 200; y < 216; y += 1) brighter.fill(255, (y * 768 + 200) * 3, (y * 768 + 216) * 3);
  const before = await snapshot(await stillOf(one, SMALL), [TALL]);
  const after = await snapshot(await stillOf(brighter, SMALL), [TALL]);
  t.not(before.sha256, after.sha256, 'while another mean is seen');
});

t.test('under a mask nothing counts, at full size and scaled down', async (t) => {
  for (const source of [SMALL, LARGE]) {
    const hidden: XyxyPx = [160, 240, 480, 560];
    // Scaled down, the mask's edge is that of the change; at full size it cuts blocks.
    const masked: XyxyPx = source === LARGE ? hidden : [157, 237, 483, 563];
    const masks = [rectangle('window', masked, source)];
    const people = [person(400, 300, 520, 600)];
    const one = picture(source, 9, 40);
    const other = Buffer.from(one);
    for (let y = hidden[1]; y < hidden[3]; y += 1) {
      other.fill(255, (y * source.widthPx + hidden[0]) * 3, (y * source.widthPx + hidden[2]) * 3);
    }
    const before = await snapshot(await stillOf(one, source, masks), people, [[0.1, 0.1, 0.3, 0.9]]);
    const after = await snapshot(await stillOf(other, source, masks), people, [[0.1, 0.1, 0.3, 0.9]]);
    t.equal(before.sha256, after.sha256, `${source.widthPx}: byte by byte`);
    const outside = Buffer.from(one).fill(255, 0, source.widthPx * 30);
    const changed = await snapshot(await stillOf(outside, source, masks), people, [[0.1, 0.1, 0.3, 0.9]]);
    t.not(before.sha256, changed.sha256, `${source.widthPx}: while a change elsewhere is seen`);
    t.same(before.redaction, { persons: 1, plates: 0, moving: 0, masks: 1 });

    const { rgb, size } = await pixelsOf(before.bytes);
    const scale = size.widthPx / source.widthPx;
    let brightest = 0;
    for (let y = Math.floor(masked[1] * scale); y < masked[3] * scale; y += 1) {
      const row = y * size.widthPx;
      const from = (row + Math.floor(masked[0] * scale)) * 3;
      brightest = Math.max(brightest, ...rgb.subarray(from, (row + Math.ceil(masked[2] * scale)) * 3));
    }
    // Blocks at the mask's edge hold public pixels too: JPEG rings into the black there.
    t.ok(brightest < 64, `${source.widthPx}: black to the edge (brightest ${brightest})`);
    const inner = rgb.subarray((Math.round(400 * scale) * size.widthPx + Math.round(300 * scale)) * 3);
    t.same([...inner.subarray(0, 60)], Array(60).fill(0), `${source.widthPx}: wholly black inside`);
  }
});

t.test('scaled down: nothing of a person reaches the public part', async (t) => {
  const box: XyxyPx = [600, 300, 800, 800];
  const people = [
    person(...box),
    { ...person(1200, 400, 1500, 600), group: 'vehicle', label: 'car' } as const,
  ];
  const one = picture(LARGE, 11, 30);
  const gone = Buffer.from(one);
  for (let y = box[1]; y < box[3]; y += 1) {
    gone.fill(0, (y * 1920 + box[0]) * 3, (y * 1920 + box[2]) * 3);
  }
  const before = await snapshot(await stillOf(one, LARGE), people);
  const after = await snapshot(await stillOf(gone, LARGE), people);
  t.same(before.redaction, { persons: 1, plates: 1, moving: 0, masks: 0 });
  const [a, b] = [await pixelsOf(before.bytes), await pixelsOf(after.bytes)];
  t.same(a.size, { widthPx: 1280, heightPx: 720 });
  let changedBlocks = 0;
  let publicChanged = 0;
  for (const [left, top] of blocksOf([0, 0, 1280, 720], a.size)) {
    const rows = Array.from({ length: 8 }, (_, y) => ((top + y) * 1280 + left) * 3);
    if (rows.every((at) => a.rgb.compare(b.rgb, at, at + 24, at, at + 24) === 0)) continue;
    changedBlocks += 1;
    if (!isFlat(a.rgb, a.size, left, top)) publicChanged += 1;
  }
  t.ok(changedBlocks > 500, `${changedBlocks} blocks show that the person has gone`);
  t.equal(publicChanged, 0, 'all of them redacted ones');
});

/** The segments of a JPEG, by their markers, up to the entropy-coded data. */
function markersOf(jpeg: Uint8Array): { marker: number; body: Buffer }[] {
  const bytes = Buffer.from(jpeg);
  const out: { marker: number; body: Buffer }[] = [];
  for (let at = 2; at + 4 <= bytes.length; ) {
    const marker = bytes.readUInt16BE(at);
    const length = bytes.readUInt16BE(at + 2);
    out.push({ marker, body: bytes.subarray(at + 4, at + 2 + length) });
    if (marker === 0xffda) break;
    at += 2 + length;
  }
  return out;
}

t.test('no metadata comes through', async (t) => {
  const rgb = picture(SMALL, 3, 20);
  const secret = 'SECRET-48.8566N-2.3522E';
  const thumbnail = await (await sharpOf(rgb, SMALL)).resize(64).jpeg().toBuffer();
  const clean = await stillOf(rgb, SMALL);
  const laden = await (await sharpOf(rgb, SMALL))
    .withExif({
      IFD0: { Copyright: secret, ImageDescription: secret },
      IFD3: { GPSLatitude: '48/1 51/1 0/1' },
    })
    .withMetadata({ orientation: 6, density: 301 })
    .withIccProfile('p3')
    .withXmp(`<x:xmpmeta xmlns:x="adobe:ns:meta/">${secret}</x:xmpmeta>`)
    .jpeg({ quality: 97, chromaSubsampling: '4:4:4' })
    .toBuffer();
  const comment = Buffer.concat([Buffer.from([0xff, 0xfe, 0, secret.length + 2]), Buffer.from(secret)]);
  const jpeg = Buffer.concat([
    laden.subarray(0, 2),
    comment,
    laden.subarray(2),
    thumbnail,
    Buffer.from(secret),
  ]);
  t.ok(jpeg.includes(secret) && jpeg.includes('Exif') && jpeg.includes('ICC_PROFILE'), 'the still is laden');

  const made = await snapshot(stillFrom(jpeg, SMALL), [TALL]);
  const bytes = Buffer.from(made.bytes);
  for (const trace of ['SECRET', 'Exif', 'ICC', 'adobe', 'xmp', 'Photoshop']) {
    t.notOk(bytes.includes(trace), `no ${trace}`);
  }
  const segments = markersOf(bytes);
  const needed = new Set([0xffdb, 0xffc0, 0xffc4, 0xffda]);
  t.same(new Set(segments.map(({ marker }) => marker)), needed, 'tables, frame and scan, no more');
  t.equal(bytes.readUInt16BE(bytes.length - 2), 0xffd9, 'the file ends with its picture');
  t.equal(made.sha256, createHash('sha256').update(bytes).digest('hex'));

  const turned = await (await sharpOf(rgb, SMALL))
    .withMetadata({ orientation: 6 })
    .jpeg({ quality: 97, chromaSubsampling: '4:4:4' })
    .toBuffer();
  const asTold = await snapshot(stillFrom(turned, SMALL), [TALL]);
  const asIs = await snapshot(clean, [TALL]);
  t.equal(asTold.sha256, asIs.sha256, 'an orientation tag turns nothing: boxes would miss');
});

t.test('never more than 1280 px or 150 kB, whatever the picture', async (t) => {
  const cases: [string, SizePx, number, SizePx | undefined][] = [
    ['a quiet scene keeps its size', SMALL, 10, SMALL],
    ['a large quiet scene is scaled', LARGE, 10, { widthPx: 1280, heightPx: 720 }],
    ['upright', { widthPx: 1080, heightPx: 1920 }, 10, { widthPx: 720, heightPx: 1280 }],
    ['a grainy one loses quality first', LARGE, 60, { widthPx: 1280, heightPx: 720 }],
    ['noise', LARGE, 255, undefined],
    ['square noise', { widthPx: 1280, heightPx: 1280 }, 255, undefined],
    ['very wide', { widthPx: 4096, heightPx: 16 }, 255, { widthPx: 1280, heightPx: 5 }],
    ['one pixel', { widthPx: 1, heightPx: 1 }, 255, { widthPx: 1, heightPx: 1 }],
  ];
  for (const [name, source, grain, wanted] of cases) {
    const made = await snapshot(await stillOf(picture(source, 21, grain), source), [person(0, 0, 40, 90)]);
    const size = { widthPx: made.widthPx, heightPx: made.heightPx };
    t.ok(
      made.bytes.length <= 150_000,
      `${name}: ${made.bytes.length} bytes, ${size.widthPx}×${size.heightPx}`,
    );
    t.ok(Math.max(size.widthPx, size.heightPx) <= 1280, name);
    t.same((await pixelsOf(made.bytes)).size, size, `${name}: the file is as large as it says`);
    if (wanted !== undefined) t.same(size, wanted, name);
  }
  const source = { widthPx: 640, heightPx: 640 };
  const harsh = picture(source, 21, 255).map((value) => (value < 128 ? 0 : 255));
  const last = await snapshot(await stillOf(Buffer.from(harsh), source), []);
  t.equal(last.widthPx, 320, 'black and white noise needs the last step');
  t.ok(last.bytes.length <= 150_000, `and fits: ${last.bytes.length} bytes`);
});

t.test('the outline of what an incident is about', async (t) => {
  const still = await stillOf(picture(SMALL, 2, 10), SMALL);
  const plain = await pixelsOf((await snapshot(still, [TALL])).bytes);
  const framed = await pixelsOf((await snapshot(still, [TALL], [[0.5, 0.5, 0.75, 0.75]])).bytes);
  const yellow = ({ rgb }: { rgb: Buffer }): number =>
    rgb.filter((red, at) => at % 3 === 0 && red > 200 && (rgb[at + 1] ?? 0) < 200 && (rgb[at + 2] ?? 0) < 80)
      .length;
  t.equal(yellow(plain), 0);
  // Two pixels along the edges of 192 × 160 px.
  t.ok(Math.abs(yellow(framed) - 2 * 2 * (192 + 160 + 4)) < 100, `${yellow(framed)} pixels`);
});

/** CPU of this process, all threads, per run of `work`, ms. */
async function cpuMsOf(runs: number, work: (run: number) => unknown): Promise<number> {
  const start = process.cpuUsage();
  for (let run = 0; run < runs; run += 1) await work(run);
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000 / runs;
}

t.test('what it costs', async (t) => {
  const people = (source: SizePx): Detection[] =>
    Array.from({ length: 24 }, (_, i) => {
      const left = (source.widthPx / 26) * i;
      return person(left, source.heightPx / 3, left + source.widthPx / 20, source.heightPx / 2);
    });
  for (const source of [{ widthPx: 768, heightPx: 576 }, LARGE]) {
    const redactor = redactorFor(source, []);
    const frame = { index: 1, source, input: source, rgb: new Uint8Array(0) };
    const found = people(source);
    const rememberMs = await cpuMsOf(5000, (run) => {
      redactor.remember({ ...frame, atMs: 2000 + run * 200 }, found, []);
    });
    const still = { ...(await stillOf(picture(source, 4, 10), source)), atMs: 2000 + 4999 * 200 };
    await redactor.redact(still, []);
    const redactMs = await cpuMsOf(10, () => redactor.redact(still, []));
    t.comment(
      `${source.widthPx}×${source.heightPx}, 24 boxes: remember ${rememberMs.toFixed(4)} CPU-ms a frame, ` +
        `redact ${redactMs.toFixed(1)} CPU-ms a snapshot`,
    );
    // A hundredth of the 10 ms that the detector takes for the same frame; ten times what it takes here.
    t.ok(rememberMs < 0.1, `${rememberMs.toFixed(4)} ms a frame`);
  }
});

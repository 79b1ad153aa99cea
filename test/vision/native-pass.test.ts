/**
 * Compares the addon's output for a decoder's picture, byte by byte, with GStreamer's own scaler, converter and JPEG
 * encoder. Proves that masked areas are black before anyone gets the picture.
 */
import { execFileSync } from 'node:child_process';
import sharp from 'sharp';
import t from 'tap';
import type { Picture } from 'vigie-native';
import { systemClock } from '../../agent/base/clock.ts';
import { fitted } from '../../agent/contract/fitted-size.ts';
import type { SizePx } from '../../agent/contract/geometry.ts';
import { placementOf } from '../../agent/contract/letterbox.ts';
import { PrivacyMasks } from '../../agent/vision/camera/mask.ts';
import { planesBytes, planesOf } from '../../agent/vision/camera/planes.ts';
import { addon } from '../../agent/vision/native/addon.ts';
import { EVERY_PICTURE, NativePipeline } from '../../agent/vision/native/gstreamer.ts';
import { ALL, unlessAll } from '../lib/run.ts';
import { rectangle } from '../lib/shapes.ts';

const INPUT = { widthPx: 416, heightPx: 256 };
const FINE = { widthPx: 832, heightPx: 512 };
const NO_MASK = new PrivacyMasks([]);

/** All buffers of a GStreamer pipeline without a sink, concatenated. */
function gstreamerFrames(text: string): Buffer {
  return execFileSync('gst-launch-1.0', ['-q', ...text.split(' '), '!', 'fdsink', 'fd=1'], {
    maxBuffer: 268_435_456,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

interface Shape {
  readonly width: number;
  readonly height: number;
  readonly par?: string;
  readonly colorimetry?: string;
  readonly format?: string;
  readonly pattern?: string;
}

/** Launch text of pictures of that shape, with a moving pattern so that each differs. */
function sourceText({
  width,
  height,
  par = '1/1',
  colorimetry = 'bt709',
  format = 'I420',
  pattern,
}: Shape): string {
  const caps = `width=${width},height=${height},pixel-aspect-ratio=${par},colorimetry=${colorimetry},framerate=10/1`;
  return `videotestsrc pattern=${pattern ?? 'smpte'} num-buffers=2 ! video/x-raw,format=${format},${caps}`;
}

/** Like `sourceText`, with `columns` coded columns at the left in one colour; the rest is white. */
function stripText(shape: Shape, columns: number, fill: string): string {
  const rest = sourceText({ ...shape, width: shape.width - columns, pattern: 'white' });
  return `${rest} ! videobox left=-${columns} fill=${fill}`;
}

/** The second picture. */
function pictureOfShape(shape: Shape): Promise<Picture> {
  return pictureOfText(sourceText(shape));
}

async function pictureOfText(picturesText: string): Promise<Picture> {
  const text = `${picturesText} ! picturesink name=sink sync=false max-buffers=2`;
  const pipeline = new NativePipeline(text, systemClock);
  pipeline.open();
  (await pipeline.look()).picture?.release();
  const { picture } = await pipeline.look();
  if (picture === null) throw new Error('no picture');
  // Each open pipeline holds a worker of libuv. A picture outlives its pipeline.
  await pipeline.dispose();
  return picture;
}

function letterboxed(picture: Picture, input: SizePx, masks = NO_MASK): Buffer {
  const rgb = Buffer.alloc(input.widthPx * input.heightPx * 3);
  const { ranges } = masks.inPixels(picture, input);
  picture.letterbox(rgb, input, placementOf(picture.source, input), ranges);
  return rgb;
}

const SHAPES: readonly (Shape & { readonly input?: SizePx })[] = [
  { width: 768, height: 576, colorimetry: '2:0:0:0' },
  { width: 768, height: 576, colorimetry: '2:0:0:0', pattern: 'snow' },
  { width: 1920, height: 1080 },
  { width: 1920, height: 1080, colorimetry: 'bt601', input: FINE },
  { width: 3840, height: 2160, pattern: 'snow' },
  // Twice as large: GStreamer takes the mean of four.
  { width: 2560, height: 1440 },
  { width: 832, height: 512 },
  { width: 832, height: 256, pattern: 'snow' },
  // On end, wide pixels, odd sides, smaller than the frame, as large.
  { width: 1080, height: 1920 },
  { width: 720, height: 576, par: '64/45' },
  { width: 334, height: 178, pattern: 'snow' },
  { width: 300, height: 256 },
  { width: 64, height: 48 },
  { width: 416, height: 256, pattern: 'snow' },
  { width: 1280, height: 720, format: 'YV12' },
];

void t.test('the addon scales, letterboxes and colours as GStreamer does, byte by byte', async (t) => {
  for (const { input = INPUT, ...shape } of ALL ? SHAPES : SHAPES.slice(0, 1)) {
    const name = JSON.stringify({ ...shape, input: input.widthPx });
    const own = await pictureOfShape(shape);
    const { source } = own;
    const size = `width=${input.widthPx},height=${input.heightPx},pixel-aspect-ratio=1/1`;
    const rgb = gstreamerFrames(
      `${sourceText(shape)} ! videoscale add-borders=true ! video/x-raw,${size} ! videoconvert ! video/x-raw,format=RGB`,
    );
    const box = letterboxed(own, input);
    t.ok(rgb.subarray(rgb.length / 2).equals(box), `${name}: the frame`);
    const planeSize = fitted(source, 1280);
    const i420 = Buffer.alloc(planesBytes(planeSize));
    own.planes(i420, planeSize, NO_MASK.inPlanes(own, planeSize));
    const reference = gstreamerFrames(
      `${sourceText(shape)} ! videoscale ! video/x-raw,width=${planeSize.widthPx},height=${planeSize.heightPx},pixel-aspect-ratio=1/1 ! videoconvert ! video/x-raw,format=I420`,
    );
    t.ok(samePlanes(reference.subarray(reference.length / 2), i420, planeSize), `${name}: the planes`);
    const grey = Buffer.alloc(planeSize.widthPx * planeSize.heightPx);
    own.grey(grey, planeSize, new Int32Array());
    const { y, strideY } = planesOf(i420, planeSize);
    const row = Math.floor(planeSize.heightPx / 3);
    t.ok(
      grey
        .subarray(row * planeSize.widthPx, (row + 1) * planeSize.widthPx)
        .equals(y.subarray(row * strideY, row * strideY + planeSize.widthPx)),
      `${name}: the brightness alone`,
    );
    for (const [stillName, stillSize] of [
      ['still', source],
      ['smaller still', planeSize],
    ] as const) {
      const { widthPx, heightPx } = stillSize;
      const scaled = `videoscale ! video/x-raw,width=${widthPx},height=${heightPx},pixel-aspect-ratio=1/1`;
      const jpegs = gstreamerFrames(`${sourceText(shape)} ! ${scaled} ! jpegenc`);
      const { jpeg: still } = await own.still(stillSize, NO_MASK.inPlanes(own, stillSize));
      const second = jpegs.subarray(jpegs.lastIndexOf(JPEG_START));
      t.ok(await samePixels(second, still), `${name}: the ${stillName}`);
    }
  }
});

const JPEG_START = Buffer.from([0xff, 0xd8, 0xff]);

/** Compares pixels except for incomplete last blocks of a row: jpegenc fills them up with the bytes behind them. */
async function samePixels(one: Buffer, other: Buffer): Promise<boolean> {
  const { width } = await sharp(one).metadata();
  const area = { left: 0, top: 0, width: width % 16 === 0 ? width : width - (width % 16) - 1 };
  const pixels = async (jpeg: Buffer): Promise<Buffer> => {
    const { height } = await sharp(jpeg).metadata();
    return sharp(jpeg)
      .extract({ ...area, height })
      .raw()
      .toBuffer();
  };
  return (await pixels(one)).equals(await pixels(other));
}

/** Compares planes without the padding of the rows. */
function samePlanes(one: Buffer, other: Buffer, size: SizePx): boolean {
  const [a, b] = [planesOf(one, size), planesOf(other, size)];
  return (['y', 'u', 'v'] as const).every((plane) => {
    const half = plane === 'y' ? 1 : 2;
    const [width, height] = [Math.ceil(size.widthPx / half), Math.ceil(size.heightPx / half)];
    const stride = plane === 'y' ? a.strideY : a.strideUv;
    return Array.from({ length: height }, (_, y) => y * stride).every((from) =>
      Buffer.from(a[plane].subarray(from, from + width)).equals(b[plane].subarray(from, from + width)),
    );
  });
}

void t.test('planes side by side or in one another give the same picture', { skip: unlessAll }, async (t) => {
  const shape = { width: 1280, height: 720, pattern: 'smpte' };
  const [one, other] = [await pictureOfShape(shape), await pictureOfShape({ ...shape, format: 'NV12' })];
  t.ok(letterboxed(one, INPUT).equals(letterboxed(other, INPUT)));
  const third = await pictureOfShape({ ...shape, format: 'NV21' });
  t.ok(letterboxed(one, INPUT).equals(letterboxed(third, INPUT)));
});

void t.test('masked areas are black in the frame, the grey picture, the planes and the still', async (t) => {
  const polygon = rectangle(0.25, 0.25, 0.75, 0.75);
  const masks = new PrivacyMasks([{ id: 'house', polygon }]);
  for (const format of ['I420', 'NV12']) {
    const own = await pictureOfShape({ width: 640, height: 480, pattern: 'white', format });
    const { source } = own;
    const at = (px: number, ratio: number): number => Math.floor(px * ratio);
    const rgb = letterboxed(own, INPUT, masks);
    t.equal(rgb.readUIntBE((128 * 416 + 208) * 3, 3), 0);
    t.ok(rgb.readUIntBE((10 * 416 + 208) * 3, 3) > 0xf0f0f0, 'and the rest is white');
    const size = { widthPx: 160, heightPx: 120 };
    const grey = Buffer.alloc(160 * 120);
    const area = { leftPx: 0, topPx: 0, ...size };
    own.grey(grey, size, masks.inPixels(own, size, area).ranges);
    t.same([grey[60 * 160 + 80], (grey[5 * 160 + 80] ?? 0) > 200], [0, true]);
    const i420 = Buffer.alloc(planesBytes(size));
    own.planes(i420, size, masks.inPlanes(own, size));
    const { y, u, v, strideY, strideUv } = planesOf(i420, size);
    t.same([y[60 * strideY + 80], u[30 * strideUv + 40], v[30 * strideUv + 40]], [0, 128, 128]);
    const { jpeg } = await own.still(source, masks.inPlanes(own, source));
    const { data } = await sharp(jpeg).raw().toBuffer({ resolveWithObject: true });
    let brightest = 0;
    for (let row = at(480, 0.25) + 8; row < at(480, 0.75) - 8; row += 1)
      for (let x = (row * 640 + at(640, 0.25) + 8) * 3; x < (row * 640 + at(640, 0.75) - 8) * 3; x += 1)
        brightest = Math.max(brightest, data[x] as number);
    t.ok(brightest <= 2, `${format}: ${brightest} levels in the JPEG itself`);
    t.ok((data[(20 * 640 + 320) * 3] ?? 0) > 200);
  }
});

void t.test('a mask reaches as far as non-square pixels are spread', async (t) => {
  const shapes = [
    { width: 720, height: 576, par: '64/45' },
    { width: 352, height: 576, par: '24/11' },
    { width: 704, height: 240, par: '5/11' },
    { width: 640, height: 480 },
  ];
  for (const shape of ALL ? shapes : shapes.slice(0, 1)) {
    const columns = shape.width >> 2;
    // The mask touches the last column of the colour, and covers little of it.
    const edgeX = (columns - 0.98) / shape.width;
    const strip = rectangle(0, 0, edgeX, 1);
    const picturesOf = async (fill: string, masks: PrivacyMasks) => {
      const own = await pictureOfText(stripText(shape, columns, fill));
      const size = fitted(own.source, 1280);
      const i420 = Buffer.alloc(planesBytes(size));
      own.planes(i420, size, masks.inPlanes(own, size));
      const grey = Buffer.alloc(size.widthPx * size.heightPx);
      const area = { leftPx: 0, topPx: 0, ...size };
      own.grey(grey, size, masks.inPixels(own, size, area).ranges);
      const { jpeg: still } = await own.still(size, masks.inPlanes(own, size));
      return { planes: i420, grey, still, frame: letterboxed(own, FINE, masks) };
    };
    const masks = new PrivacyMasks([{ id: 'strip', polygon: strip }]);
    const [red, blue] = [await picturesOf('red', masks), await picturesOf('blue', masks)];
    const [bareRed, bareBlue] = [await picturesOf('red', NO_MASK), await picturesOf('blue', NO_MASK)];
    for (const kind of ['planes', 'grey', 'still', 'frame'] as const) {
      const name = `${shape.width}x${shape.height}: ${kind}`;
      t.ok(
        Buffer.from(red[kind]).equals(Buffer.from(blue[kind])),
        `${name} does not depend on the masked pixels`,
      );
      t.notOk(
        Buffer.from(bareRed[kind]).equals(Buffer.from(bareBlue[kind])),
        `${name} does without the mask`,
      );
    }
  }
});

void t.test('sizes and lengths that do not fit are refused, and so is a released picture', async (t) => {
  const own = await pictureOfShape({ width: 640, height: 480 });
  const at = { leftPx: 0, topPx: 0, widthPx: 32, heightPx: 32 };
  const nothing = new Int32Array();
  const box = (size: SizePx, place = at): Buffer => {
    const rgb = Buffer.alloc(size.widthPx * size.heightPx * 3);
    own.letterbox(rgb, size, place, nothing);
    return rgb;
  };
  const square = { widthPx: 32, heightPx: 32 };
  const small = { widthPx: 16, heightPx: 16 };
  t.throws(() => own.letterbox(Buffer.alloc(10), square, at, nothing), /10 bytes, and the picture 3072/);
  t.throws(() => box(small), /does not lie within/);
  for (const place of [{ leftPx: 2 ** 31 - 1 }, { topPx: 2 ** 31 - 1 }, { leftPx: -1 }, { leftPx: 1 }])
    t.throws(() => box(square, { ...at, ...place }), /does not lie within/, JSON.stringify(place));
  t.throws(() => box(square, { ...at, leftPx: 2 ** 31 }), /32 bits/);
  t.throws(() => box(square, { ...at, widthPx: 0.5 }), /32 bits/);
  t.throws(() => own.grey(Buffer.alloc(10), small, nothing), /10 bytes, and the picture 256/);
  t.throws(() => own.planes(Buffer.alloc(10), small, { y: nothing, uv: nothing }), /10 bytes/);
  t.throws(() => own.grey(Buffer.alloc(0), { widthPx: 0, heightPx: 0 }, nothing), /0x0/);
  t.throws(() => own.grey(Buffer.alloc(0), { widthPx: 2 ** 30, heightPx: 4 }, nothing), /1 to 16384 pixels/);
  await t.rejects(own.still({ widthPx: 1, heightPx: 2 }, { y: nothing, uv: nothing }), /2 to 16384 pixels/);
  // Ranges beyond the picture are cut.
  const grey = Buffer.alloc(256, 7);
  own.grey(grey, small, Int32Array.of(-5, 4, 250, 100_000, 9, 3));
  t.same([grey[3], grey[255]], [0, 0]);
  own.release();
  own.release();
  t.throws(() => own.grey(Buffer.alloc(256), small, nothing), /the picture was released/);
});

void t.test('the width of a letterbox need not be a multiple of four', async (t) => {
  const own = await pictureOfShape({ width: 640, height: 480 });
  const rows = (widthPx: number): Buffer[] => {
    const rgb = Buffer.alloc(widthPx * 32 * 3);
    own.letterbox(
      rgb,
      { widthPx, heightPx: 32 },
      { leftPx: 0, topPx: 0, widthPx: 30, heightPx: 32 },
      new Int32Array(),
    );
    return Array.from({ length: 32 }, (_, y) => rgb.subarray(y * widthPx * 3, y * widthPx * 3 + 90));
  };
  t.same(rows(30), rows(32));
});

void t.test('each of many stills at once shows its own picture', async (t) => {
  const text =
    'videotestsrc pattern=ball num-buffers=12 ! video/x-raw,format=I420,width=320,height=240 ! ' +
    'picturesink name=sink sync=false';
  const pipeline = new NativePipeline(text, systemClock);
  pipeline.open();
  const pictures: Picture[] = [];
  for (let { picture } = await pipeline.look(); picture !== null; { picture } = await pipeline.look())
    pictures.push(picture);
  const none = { y: new Int32Array(), uv: new Int32Array() };
  const one = async (picture: Picture): Promise<string> =>
    (await picture.still(picture.source, none)).jpeg.toString('base64');
  const alone: string[] = [];
  for (const picture of pictures) alone.push(await one(picture));
  t.equal(new Set(alone).size, 12, 'they differ');
  for (let round = 0; round < 5; round += 1) t.same(await Promise.all(pictures.map(one)), alone);
  // A picture that is released meanwhile is kept until its still is made.
  const last = pictures.map((picture) => {
    const still = one(picture);
    picture.release();
    return still;
  });
  t.same(await Promise.all(last), alone);
  await pipeline.dispose();
});

void t.test('a picture may be taken while another is awaited', async (t) => {
  const text =
    'videotestsrc is-live=true num-buffers=6 ! video/x-raw,format=I420,width=64,height=48,framerate=10/1 ! ' +
    'picturesink name=sink sync=false async=false';
  const pipeline = new NativePipeline(text, systemClock);
  pipeline.open();
  const id = Number(pipeline.get('sink', 'id'));
  const times: bigint[] = [];
  const take = (look: { picture: { ptsNs: bigint | null } | null } | null): boolean => {
    const { picture } = look ?? { picture: null };
    if (picture !== null) times.push(picture.ptsNs ?? -1n);
    return picture !== null;
  };
  const pulls = Array.from({ length: 3 }, async () => {
    while (take(await addon.pullLook(id, EVERY_PICTURE)));
  });
  const taking = setInterval(() => take(addon.takeLook(id, EVERY_PICTURE)), 5);
  await Promise.all(pulls);
  clearInterval(taking);
  t.equal(new Set(times).size, 6, 'each once, to one of them');
  t.equal(times.length, 6);
  await pipeline.dispose();
});

void t.test('pictures of another format end the opening with a reason', async (t) => {
  for (const [format, message] of [
    ['I420_10LE', /pictures of I420_10LE: complete ones of 8 bits in 4:2:0 are possible/],
    ['RGB', /pictures of RGB/],
    ['Y444', /pictures of Y444/],
  ] as const) {
    const text = `videotestsrc num-buffers=1 ! video/x-raw,format=${format},width=64,height=48 ! picturesink name=sink`;
    const pipeline = new NativePipeline(text, systemClock);
    pipeline.open();
    t.equal((await pipeline.look()).picture, null);
    t.match(pipeline.error?.message, message);
    await pipeline.dispose();
  }
  t.throws(() => addon.takeLook(2 ** 31 - 1, EVERY_PICTURE), /no such picturesink/);
});

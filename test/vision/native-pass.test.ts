/**
 * Compares the addon's output for a decoder's picture, byte by byte, with GStreamer's own scaler, converter and JPEG
 * encoder. Proves that masked areas are black before anyone gets the picture.
 */
import { execFileSync } from 'node:child_process';
import sharp from 'sharp';
import t from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
import { fitted } from '../../agent/contract/fitted-size.ts';
import type { SizePx } from '../../agent/contract/geometry.ts';
import { placementOf } from '../../agent/contract/letterbox.ts';
import { PrivacyMasks } from '../../agent/vision/camera/mask.ts';
import { planesBytes, planesOf } from '../../agent/vision/camera/planes.ts';
import { NativePipeline, type SinkPicture } from '../../agent/vision/native/gstreamer.ts';
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

/** The second picture, held by a sink that is at rest, so that its content stays. */
function pictureOfShape(shape: Shape): Promise<PictureAtRest> {
  return pictureOfText(sourceText(shape));
}

interface PictureAtRest {
  readonly pipeline: NativePipeline;
  readonly picture: SinkPicture;
}

async function pictureOfText(picturesText: string): Promise<PictureAtRest> {
  const text = `${picturesText} ! appsink name=sink sync=false max-buffers=2`;
  const pipeline = new NativePipeline(text, systemClock);
  pipeline.open();
  await pipeline.pull();
  const picture = await pipeline.pull();
  if (picture === null) throw new Error('no picture');
  // Each open pipeline holds a worker of libuv.
  await pipeline.dispose();
  return { pipeline, picture };
}

function letterboxed({ pipeline, picture }: PictureAtRest, input: SizePx, masks = NO_MASK): Buffer {
  const rgb = Buffer.alloc(input.widthPx * input.heightPx * 3);
  const { ranges } = masks.inPixels(picture, input);
  pipeline.pictures.letterbox(rgb, input, placementOf(picture.source, input), ranges);
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
    const { source } = own.picture;
    const size = `width=${input.widthPx},height=${input.heightPx},pixel-aspect-ratio=1/1`;
    const rgb = gstreamerFrames(
      `${sourceText(shape)} ! videoscale add-borders=true ! video/x-raw,${size} ! videoconvert ! video/x-raw,format=RGB`,
    );
    const box = letterboxed(own, input);
    t.ok(rgb.subarray(rgb.length / 2).equals(box), `${name}: the frame`);
    const planeSize = fitted(source, 1280);
    const i420 = Buffer.alloc(planesBytes(planeSize));
    own.pipeline.pictures.planes(i420, planeSize, NO_MASK.inPlanes(own.picture, planeSize));
    const reference = gstreamerFrames(
      `${sourceText(shape)} ! videoscale ! video/x-raw,width=${planeSize.widthPx},height=${planeSize.heightPx},pixel-aspect-ratio=1/1 ! videoconvert ! video/x-raw,format=I420`,
    );
    t.ok(samePlanes(reference.subarray(reference.length / 2), i420, planeSize), `${name}: the planes`);
    const grey = Buffer.alloc(planeSize.widthPx * planeSize.heightPx);
    own.pipeline.pictures.luma(grey, planeSize, new Int32Array());
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
      const still = await own.pipeline.pictures.still(stillSize, NO_MASK.inPlanes(own.picture, stillSize));
      const second = jpegs.subarray(jpegs.lastIndexOf(JPEG_START));
      t.ok(still !== null && (await samePixels(second, still)), `${name}: the ${stillName}`);
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
    const { source } = own.picture;
    const at = (px: number, ratio: number): number => Math.floor(px * ratio);
    const rgb = letterboxed(own, INPUT, masks);
    t.equal(rgb.readUIntBE((128 * 416 + 208) * 3, 3), 0);
    t.ok(rgb.readUIntBE((10 * 416 + 208) * 3, 3) > 0xf0f0f0, 'and the rest is white');
    const size = { widthPx: 160, heightPx: 120 };
    const grey = Buffer.alloc(160 * 120);
    const area = { leftPx: 0, topPx: 0, ...size };
    own.pipeline.pictures.luma(grey, size, masks.inPixels(own.picture, size, area).ranges);
    t.same([grey[60 * 160 + 80], (grey[5 * 160 + 80] ?? 0) > 200], [0, true]);
    const i420 = Buffer.alloc(planesBytes(size));
    own.pipeline.pictures.planes(i420, size, masks.inPlanes(own.picture, size));
    const { y, u, v, strideY, strideUv } = planesOf(i420, size);
    t.same([y[60 * strideY + 80], u[30 * strideUv + 40], v[30 * strideUv + 40]], [0, 128, 128]);
    const jpeg = await own.pipeline.pictures.still(source, masks.inPlanes(own.picture, source));
    const { data } = await sharp(jpeg ?? Buffer.alloc(0))
      .raw()
      .toBuffer({ resolveWithObject: true });
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
      const { pipeline, picture } = own;
      const size = fitted(picture.source, 1280);
      const i420 = Buffer.alloc(planesBytes(size));
      pipeline.pictures.planes(i420, size, masks.inPlanes(picture, size));
      const grey = Buffer.alloc(size.widthPx * size.heightPx);
      const area = { leftPx: 0, topPx: 0, ...size };
      pipeline.pictures.luma(grey, size, masks.inPixels(picture, size, area).ranges);
      const still = await pipeline.pictures.still(size, masks.inPlanes(picture, size));
      return { planes: i420, grey, still: still ?? '', frame: letterboxed(own, FINE, masks) };
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

void t.test('a buffer of the wrong length and an invalid picture are refused', async (t) => {
  const own = await pictureOfShape({ width: 640, height: 480 });
  const { pictures } = own.pipeline;
  const at = { leftPx: 0, topPx: 0, widthPx: 32, heightPx: 32 };
  const nothing = new Int32Array();
  t.throws(
    () => pictures.letterbox(Buffer.alloc(10), { widthPx: 32, heightPx: 32 }, at, nothing),
    /not as long/,
  );
  const small = { widthPx: 16, heightPx: 16 };
  t.throws(() => pictures.letterbox(Buffer.alloc(768), small, at, nothing), /does not lie within/);
  t.throws(() => pictures.luma(Buffer.alloc(10), small, nothing), /not as long/);
  t.throws(() => pictures.planes(Buffer.alloc(10), small, { y: nothing, uv: nothing }), /not as long/);
  // Ranges beyond the picture are cut.
  const grey = Buffer.alloc(256, 7);
  pictures.luma(grey, small, Int32Array.of(-5, 4, 250, 100_000, 9, 3));
  t.same([grey[3], grey[255]], [0, 0]);
  t.equal(await own.pipeline.pull(), null, 'it is over');
  t.throws(() => pictures.luma(Buffer.alloc(256), small, nothing), /no picture/);
});

/** Moving regions in published snapshots: read back with sharp, without a single detection. */
import sharp from 'sharp';
import t from 'tap';
import type { SizePx } from '../../agent/contract/geometry.ts';
import {
  type Detection,
  type Foreground,
  MOVING,
  SETTLED,
  type Still,
} from '../../agent/contract/picture.ts';
import type { RedactedJpeg } from '../../agent/contract/redacted-jpeg.ts';
import { Redactor } from '../../agent/vision/redact/redactor.ts';
import { stillFrom } from '../lib/pictures.ts';

const SMALL: SizePx = { widthPx: 640, heightPx: 480 };
/** Is scaled down to 1280 px. */
const LARGE: SizePx = { widthPx: 1920, heightPx: 1440 };
const GRID = { columns: 64, rows: 48, cellNorm: [1 / 64, 1 / 48] as const };
/** In cells: somebody whom the detector has missed; with the margin 20..30 by 14..36. */
const MISSED = [21, 15, 29, 35] as const;

function foregroundOf([left, top, right, bottom]: typeof MISSED, value: number): Foreground {
  const cells = new Uint8Array(64 * 48);
  for (let y = top; y < bottom; y += 1) cells.fill(value, y * 64 + left, y * 64 + right);
  return { ...GRID, cells };
}

function noise({ widthPx, heightPx }: SizePx, seed: number): Buffer {
  let state = seed | 1;
  const next = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return 40 + ((state & 255) * 170) / 255;
  };
  return Buffer.from(Array.from({ length: widthPx * heightPx * 3 }, next));
}

async function stillOf(rgb: Buffer, source: SizePx): Promise<Still & { jpeg: Uint8Array }> {
  const raw = { width: source.widthPx, height: source.heightPx, channels: 3 } as const;
  const jpeg = await sharp(rgb, { raw }).jpeg({ quality: 97, chromaSubsampling: '4:4:4' }).toBuffer();
  return { ...stillFrom(jpeg, source), jpeg };
}

function snapshot(still: Still, foreground: Foreground, found: Detection[] = []): Promise<RedactedJpeg> {
  const redactor = new Redactor();
  const { source } = still;
  const frame = { index: 1, atMs: 1000, source, input: source, rgb: new Uint8Array(0) };
  redactor.remember(frame, found, [], foreground);
  return redactor.redact(still, []);
}

/** Of the blocks that lie wholly in a box of cells: how many there are, those of one colour, and the colours. */
async function readBack(jpeg: Uint8Array, [left, top, right, bottom]: readonly number[]) {
  const { data, info } = await sharp(jpeg).raw().toBuffer({ resolveWithObject: true });
  const [across, down] = [info.width / 64, info.height / 48];
  const seen = { blocks: 0, flat: 0, colours: new Set<string>() };
  for (let y = 0; y < info.height; y += 8) {
    for (let x = 0; x < info.width; x += 8) {
      const inside =
        x + 8 > (left ?? 0) * across &&
        x < (right ?? 0) * across &&
        y + 8 > (top ?? 0) * down &&
        y < (bottom ?? 0) * down;
      if (!inside) continue;
      seen.blocks += 1;
      const first = (y * info.width + x) * 3;
      let flat = true;
      for (let i = 0; i < 64; i += 1) {
        const at = ((y + (i >> 3)) * info.width + x + (i & 7)) * 3;
        flat &&= data.compare(data, first, first + 3, at, at + 3) === 0;
      }
      if (flat) seen.flat += 1;
      seen.colours.add(data.toString('hex', first, first + 3));
    }
  }
  return seen;
}

for (const source of [SMALL, LARGE]) {
  t.test(`${source.widthPx} px: who moves is covered though nobody was detected`, async (t) => {
    const still = await stillOf(noise(source, 3), source);
    const made = await snapshot(still, foregroundOf(MISSED, MOVING));
    t.same(made.redaction, { persons: 0, plates: 0, moving: 1, masks: 0 }, 'and the snapshot says so');
    // One cell of margin on every side.
    const covered = await readBack(made.bytes, [20, 14, 30, 36]);
    t.ok(covered.blocks > 100, `${covered.blocks} blocks`);
    t.equal(covered.flat, covered.blocks, 'every block of it is of one colour');
    t.ok(covered.colours.size <= 64, `${covered.colours.size} samples`);
    const beside = await readBack(made.bytes, [40, 4, 60, 44]);
    t.equal(beside.flat, 0, 'the street beside is as it was');
    const control = await snapshot(still, foregroundOf(MISSED, SETTLED));
    t.equal(control.redaction.moving, 0);
    t.equal(
      (await readBack(control.bytes, [20, 14, 30, 36])).flat,
      0,
      'a thing that was put down stays visible',
    );
  });
}

t.test('stills that differ only within the samples of who moves become the same file', async (t) => {
  const rgb = noise(SMALL, 5);
  const swapped = Buffer.from(rgb);
  // Blocks 8 px apart, within one cell of 32 px of the mosaic (the region is 220 px high: 8 cells of 32).
  const [a, b] = [
    { x: 232, y: 200 },
    { x: 240, y: 208 },
  ];
  for (let y = 0; y < 8; y += 1) {
    const [from, to] = [((a.y + y) * 640 + a.x) * 3, ((b.y + y) * 640 + b.x) * 3];
    rgb.copy(swapped, to, from, from + 24);
    rgb.copy(swapped, from, to, to + 24);
  }
  const [one, other] = [await stillOf(rgb, SMALL), await stillOf(swapped, SMALL)];
  t.notOk(Buffer.from(one.jpeg).equals(Buffer.from(other.jpeg)));
  const moving = foregroundOf(MISSED, MOVING);
  t.equal((await snapshot(one, moving)).sha256, (await snapshot(other, moving)).sha256);
  const standing = foregroundOf(MISSED, SETTLED);
  t.not(
    (await snapshot(one, standing)).sha256,
    (await snapshot(other, standing)).sha256,
    'without it they differ',
  );
});

t.test('beside a box, only what sticks out of it is drawn, as coarsely as the whole region', async (t) => {
  const still = await stillOf(noise(SMALL, 7), SMALL);
  // The detector has seen the lower half; head and shoulders move above its box.
  const legs: Detection = { group: 'person', label: 'person', score: 0.3, xyxyPx: [210, 260, 290, 350] };
  const made = await snapshot(still, foregroundOf(MISSED, MOVING), [legs]);
  t.same(made.redaction, { persons: 1, plates: 0, moving: 1, masks: 0 });
  const head = await readBack(made.bytes, [20, 14, 30, 21]);
  t.equal(head.flat, head.blocks);
  t.ok(head.colours.size <= 16, `${head.colours.size} samples: cells of 32 px`);
});

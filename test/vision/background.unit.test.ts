/** Tests the ground of a cell as learnt from noisy pictures, and the effect of exposure on it. */
import t from 'tap';
import type { Frame } from '../../agent/contract/picture.ts';
import { Background } from '../../agent/vision/observe/background.ts';
import { GROUND, OCCLUDED } from '../../agent/vision/observe/background-state.ts';
import { SmallPicture } from '../../agent/vision/observe/small-picture.ts';
import { EVERYWHERE, INPUT, SOURCE } from '../lib/scene-play.ts';

const EVERY_MS = 200;

/** Levels at a place of the picture, 0..1 across and down. */
type Level = (xNorm: number, yNorm: number) => number;

/**
 * A picture with independent noise of every pixel and channel, as at full gain: uniform, `noise` levels to each side.
 */
function picture(level: Level, noise: number, seed: number): Frame {
  const { widthPx, heightPx } = INPUT;
  const rgb = new Uint8Array(widthPx * heightPx * 3);
  let state = seed;
  for (let i = 0; i < rgb.length; i += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const pixel = Math.floor(i / 3);
    const at = level((pixel % widthPx) / widthPx, Math.floor(pixel / widthPx) / heightPx);
    rgb[i] = Math.max(0, Math.min(255, Math.round(at + noise * (2 * (state / 2 ** 32) - 1))));
  }
  const atMs = seed * EVERY_MS;
  return { index: seed, ptsNs: 0n, atMs, wallMs: atMs, source: SOURCE, input: INPUT, rgb };
}

function street(): Background {
  return new Background(new SmallPicture({ source: SOURCE, input: INPUT }, [EVERYWHERE]));
}

function see(background: Background, frame: Frame): void {
  background.picture.read(frame);
  background.update(frame.atMs);
}

const ratioOf = (background: Background, of: Uint8Array, value: number): number => {
  const { usedCells } = background.picture.grid;
  return usedCells.filter((cell) => of[cell] === value).length / usedCells.length;
};

t.test('a noisy sensor at full gain comes to rest within seconds', async (t) => {
  const background = street();
  for (let k = 1; k <= 25; k += 1)
    see(
      background,
      picture(() => 100, 60, k),
    );
  t.ok(ratioOf(background, background.resting, 1) > 0.97, 'nearly all of it rests after 5 s');
  t.ok(ratioOf(background, background.state, GROUND) > 0.97, 'and is ground');
});

/** A dark floor, and a wall that is mostly behind a person. */
const FLOOR = 45;
const WALL = 90;
const room: Level = (_x, y) => (y < 0.5 ? WALL : FLOOR);
const inSight = (x: number): boolean => x > 0.8;

function roomWith(...levels: Level[]): Background {
  const background = street();
  const { columns, usedCells } = background.picture.grid;
  let k = 1;
  for (; k <= 20; k += 1) see(background, picture(room, 4, k));
  for (const level of levels) {
    for (const cell of usedCells) {
      const [x, y] = [(cell % columns) / columns, cell / columns / background.picture.grid.rows];
      background.occlusion[cell] = y < 0.5 && !inSight(x) ? OCCLUDED : 0;
    }
    for (const to = k + 5; k < to; k += 1) see(background, picture(level, 4, k));
  }
  return background;
}

function wallOf({ picture: { grid }, ground }: Background): number {
  return ground.green[Math.floor(grid.rows / 4) * grid.columns + Math.floor(grid.columns / 4)] as number;
}

t.test('an undetected person before the rest of a wall does not change the exposure', async (t) => {
  const coat: Level = (x, y) => (y < 0.5 && inSight(x) ? FLOOR : room(x, y));
  t.ok(Math.abs(wallOf(roomWith(coat)) - WALL) < 4, 'the wall keeps its brightness');
});

t.test('the background follows exposure: half of the gain, a higher gain, and up to white', async (t) => {
  for (const [name, after] of [
    ['half', (level: number) => level / 2],
    ['more', (level: number) => 1.4 * level],
  ] as const) {
    const background = roomWith((x, y) => after(room(x, y)));
    t.ok(Math.abs(wallOf(background) - after(WALL)) < 5, `${name}: ${wallOf(background)}`);
  }
  const background = street();
  const bright: Level = (_x, y) => (y < 0.5 ? 230 : y < 0.75 ? 170 : 60);
  for (let k = 1; k <= 20; k += 1) see(background, picture(bright, 4, k));
  for (let k = 21; k <= 25; k += 1)
    see(
      background,
      picture((x, y) => Math.min(255, 1.5 * bright(x, y)), 4, k),
    );
  t.ok(wallOf(background) > 245, 'white');
});

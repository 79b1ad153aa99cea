/** Tests that undetected motion makes a camera count as blind, and when. */
import t from 'tap';
import { type Detection, type Foreground, type Frame, MOVING } from '../../agent/contract/picture.ts';
import { Blindness } from '../../agent/vision/observe/blindness.ts';
import { ConditionPicture } from '../../agent/vision/observe/condition-picture.ts';

const SOURCE = { widthPx: 832, heightPx: 512 };
const INPUT = { widthPx: 416, heightPx: 256 };
const [COLUMNS, ROWS] = [64, 40];
const EVERY_MS = 200;
/** Duration of a walker's way through the picture, and of the pause until the next one. */
const [WAY_MS, PAUSE_MS] = [4000, 3000];

/** Green of a cell of the street, 0..255, and red and blue over it. */
type Street = (place: number) => readonly [green: number, tint: number];
const byDay: Street = (place) => [10 + (place % 200), 20];
const infrared: Street = (place) => [10 + (place % 200), 0];
const inHaze: Street = (place) => [90 + (place % 90), 10];

/** Score of the detection at the walker, and its offset in widths. */
interface WeakDetection {
  readonly score: number;
  readonly offsetWidths?: number;
}

/** Shows walkers for `seconds`; returns when the camera was first reported blind, s. */
function blindAfter(street: Street, seconds: number, detection?: WeakDetection, everyMs = WAY_MS + PAUSE_MS) {
  const blindness = new Blindness({ zones: [] });
  const rgb = new Uint8Array(INPUT.widthPx * INPUT.heightPx * 3);
  for (let k = 0; k < rgb.length; k += 3) {
    const [green, tint] = street(Math.floor(k / 24) * 37);
    rgb.set([green + tint, green, green], k);
  }
  let picture: ConditionPicture | undefined;
  for (let atMs = 0; atMs < seconds * 1000; atMs += EVERY_MS) {
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
  t.equal(blindAfter(byDay, 180), undefined);
});

t.test('a detector that misses all motion at night counts as blind within a minute', async (t) => {
  const atS = blindAfter(infrared, 120);
  t.ok(atS !== undefined && atS <= 65, `after ${atS} s`);
});

t.test('beams of light over an empty street at night do not count as blindness', async (t) => {
  t.equal(blindAfter(infrared, 300, undefined, 30_000), undefined, 'two a minute');
});

t.test('neither detected nor doubtful walkers count as missed at night', async (t) => {
  t.equal(blindAfter(infrared, 180, { score: 0.6 }), undefined, 'seen');
  t.equal(blindAfter(infrared, 180, { score: 0.16 }), undefined, 'unsure');
  t.equal(blindAfter(infrared, 180, { score: 0.16, offsetWidths: 1.5 }), undefined, 'a shadow');
});

t.test('doubtful walkers count as missed in haze, but not a shadow beside a detected one', async (t) => {
  const atS = blindAfter(inHaze, 120, { score: 0.16 });
  t.ok(atS !== undefined && atS <= 60, `after ${atS} s`);
  t.equal(blindAfter(inHaze, 180, { score: 0.6 }), undefined, 'seen');
  t.equal(blindAfter(inHaze, 180, { score: 0.6, offsetWidths: 1.5 }), undefined, 'a shadow');
});

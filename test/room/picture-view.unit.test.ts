/** Tests where a picture is drawn in full size, without a browser. */
import t from 'tap';
import {
  type Frame,
  movedBy,
  natural,
  scaled,
  wholeScale,
} from '../../scripts/programs/room/app/parts/picture-zoom.ts';

const LARGE: Frame = { picture: { width: 1280, height: 960 }, stage: { width: 1280, height: 720 } };
const SMALL: Frame = { picture: { width: 640, height: 360 }, stage: { width: 1280, height: 720 } };
const PHONE: Frame = { picture: { width: 1280, height: 720 }, stage: { width: 390, height: 700 } };

t.test('the whole picture fits into the stage, and a small one is not enlarged', async (t) => {
  t.equal(wholeScale(LARGE), 0.75);
  t.equal(wholeScale(SMALL), 1);
  t.equal(wholeScale(PHONE), 390 / 1280);
});

t.test('the natural size shows the place of the alert, without a margin beside the picture', async (t) => {
  t.strictSame(natural(SMALL), { scale: 1, x: 320, y: 180 });
  t.strictSame(natural(PHONE, { x: 0.5, y: 0.5 }), { scale: 1, x: -445, y: -10 });
  t.strictSame(natural(PHONE, { x: 1, y: 0 }), { scale: 1, x: 390 - 1280, y: 0 });
});

t.test('a zoom keeps the point under the finger', async (t) => {
  const before = natural(LARGE);
  const at = { x: 300, y: 500 };
  const after = scaled(before, LARGE, 2.5, at);
  t.equal((at.x - after.x) / after.scale, (at.x - before.x) / before.scale);
  t.equal((at.y - after.y) / after.scale, (at.y - before.y) / before.scale);
});

t.test('a zoom ends at the whole picture and at eight times its size', async (t) => {
  const middle = { x: 640, y: 360 };
  t.equal(scaled(natural(LARGE), LARGE, 100, middle).scale, 8);
  t.strictSame(scaled(natural(LARGE), LARGE, 0, middle), { scale: 0.75, x: 160, y: 0 });
});

t.test('a picture cannot be moved out of the stage', async (t) => {
  const place = scaled(natural(LARGE), LARGE, 2, { x: 640, y: 360 });
  t.strictSame(movedBy(place, LARGE, 9999, 9999), { scale: 2, x: 0, y: 0 });
  t.strictSame(movedBy(place, LARGE, -9999, -9999), { scale: 2, x: 1280 - 2560, y: 720 - 1920 });
  t.strictSame(movedBy(natural(SMALL), SMALL, 50, -50), natural(SMALL), 'a smaller one stays in the middle');
});

/** Tests the geometry of the enlarged picture, of drag handles close together, and of the signs in the picture. */
import fc from 'fast-check';
import t from 'tap';
import { handleAt, hasCloseCorners, sidesFrom, TARGET_PX } from '../../agent/kit/drag-handle.ts';
import type { PointNorm } from '../../agent/kit/stage.ts';
import {
  type PictureView,
  placeAt,
  WHOLE_PICTURE,
  ZOOM_MAX,
  zoomed,
  zoomedAround,
} from '../../agent/kit/zoom.ts';
import { type Area, placedSigns } from '../../agent/page/app/sign-layout.ts';

const SIZE = { w: 312, h: 234 };
/** Corners 19 px apart on the phone, as on the lawn of the sample. */
const CLOSE: PointNorm[] = [
  [0.5, 0.5],
  [0.9, 0.92],
  [0.9, 1],
  [0.1, 1],
];

const round = ([x, y]: PointNorm): PointNorm => [Math.round(x * 1e6) / 1e6, Math.round(y * 1e6) / 1e6];

t.test('a pinch keeps the place under the fingers and stays within the picture', async (t) => {
  const enlarged = zoomed(WHOLE_PICTURE, 2, [0.5, 0.5]);
  t.same(enlarged, { zoom: 2, x: 0.25, y: 0.25 });
  t.same(round(placeAt(zoomed(enlarged, 1, [0.5, 0.5], [0.6, 0.4]), [0.6, 0.4])), [0.5, 0.5], 'moved');
  t.same(zoomed(enlarged, 0.1, [0.5, 0.5]), WHOLE_PICTURE);
  t.equal(zoomed(enlarged, 100, [0.5, 0.5]).zoom, ZOOM_MAX);
  t.same(zoomedAround(4, [1, 0]), { zoom: 4, x: 0.75, y: 0 });
  const ratio = fc.double({ min: -0.5, max: 1.5, noNaN: true });
  const spots = fc.tuple(ratio, ratio);
  const steps = fc.array(fc.tuple(fc.double({ min: 0.05, max: 20, noNaN: true }), spots, spots));
  fc.assert(
    fc.property(steps, (all) => {
      let view: PictureView = WHOLE_PICTURE;
      for (const [factor, from, to] of all) view = zoomed(view, factor, from, to);
      const { zoom, x, y } = view;
      return [x, y].every((value) => value >= 0 && value + 1 / zoom <= 1 + 1e-9) && zoom >= 1 && zoom <= 4;
    }),
  );
});

t.test('a finger takes the nearest of two close corners, between which no middle lies', async (t) => {
  t.ok(hasCloseCorners(CLOSE, SIZE));
  t.notOk(hasCloseCorners(CLOSE, { w: 3 * SIZE.w, h: 3 * SIZE.h }), 'zoom sets them apart');
  t.same(sidesFrom(CLOSE, SIZE, 2 * TARGET_PX), [0, 2, 3]);
  t.same(handleAt(CLOSE, [0.9, 0.955], SIZE, 2 * TARGET_PX), { corner: 1 });
  t.same(handleAt(CLOSE, [0.9, 0.965], SIZE, 2 * TARGET_PX), { corner: 2 });
  t.same(handleAt(CLOSE, [0.9, 0.96], SIZE, 0), { between: 1, at: [0.9, 0.96] });
  t.same(
    handleAt(
      [
        [0.5, 0.5],
        [0.5, 0.5],
      ],
      [0.5, 0.51],
      SIZE,
      undefined,
    ),
    { corner: 0 },
    'at equal distance the first',
  );
});

t.test('a sign lies next to its shape, inside the frame, and apart from other signs', async (t) => {
  const frame: Area = { left: 0, top: 0, w: 312, h: 234 };
  const sign = (name: string, left: number, top: number, w: number, h: number) => {
    return { name, text: 'Côtés croisés ou surface nulle', about: { left, top, w, h } };
  };
  const area = (about: ReturnType<typeof sign>): Area => placedSigns([about], frame)[0]?.area as Area;
  t.equal(area(sign('free', 100, 50, 80, 60)).top, 122, 'below it');
  const above = area(sign('at the lower edge', 0, 110, 312, 124));
  t.ok(above.top + above.h < 110, 'above it');
  const wholeArea = area(sign('whole picture', 0, 0, 312, 234));
  t.ok(wholeArea.top >= 0 && wholeArea.top + wholeArea.h <= 234);
  const placed = placedSigns([sign('a', 10, 50, 80, 60), sign('b', 12, 52, 80, 60)], frame);
  const [a, b] = placed.map((one) => one.area) as [Area, Area];
  t.ok(a.top + a.h <= b.top || b.top + b.h <= a.top);
  for (const { area: one } of placed) t.ok(one.left >= 0 && one.left + one.w <= 312);
  const narrow = placedSigns([sign('narrow', 5, 5, 10, 10)], { ...frame, w: 150 })[0];
  t.equal(narrow?.lines.length, 2, 'a long text takes two lines');
});

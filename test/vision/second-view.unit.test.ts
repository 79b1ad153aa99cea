/** Tests the second stream as a waker: the motion that it shows, and when it is not trusted. */
import t from 'tap';
import type { SmallPicture } from '../../agent/contract/picture.ts';
import { SecondView } from '../../agent/vision/schedule/second-view.ts';

const SIZE = { widthPx: 208, heightPx: 117 };

/** A grey picture with a bright square whose left edge is at `x`; none where that is below 0. */
function picture(x = -1, size = SIZE): SmallPicture {
  const luma = new Uint8Array(size.widthPx * size.heightPx).fill(100);
  if (x >= 0)
    for (let row = 40; row < 60; row += 1)
      luma.fill(220, row * size.widthPx + x, row * size.widthPx + Math.min(size.widthPx, x + 20));
  return { size, luma };
}

class Street {
  readonly view = new SecondView();
  atMs = 0;

  /** Shows stillness in both streams for this time, at ten and one pictures a second. */
  still(seconds: number): this {
    for (let n = 0; n < seconds * 10; n += 1) {
      this.atMs += 100;
      this.view.watchSecond({ atMs: this.atMs, small: picture() });
      this.view.watchMain({ atMs: this.atMs, small: picture() }, true);
    }
    return this;
  }

  /** Begins motion. In the second stream it begins `laterMs` after the main one, or not at all. */
  begin(laterMs: number | undefined): this {
    for (let n = 0; n < 30; n += 1) {
      this.atMs += 100;
      const isShown = laterMs !== undefined && n * 100 >= laterMs;
      this.view.watchSecond({ atMs: this.atMs, small: picture(isShown ? 10 + 3 * n : -1) });
      this.view.watchMain({ atMs: this.atMs, small: picture() }, false);
    }
    return this;
  }

  get problem(): string | undefined {
    return this.view.problem(this.atMs);
  }
}

void t.test('the second stream is trusted after nineteen of twenty beginnings of motion', (t) => {
  const street = new Street().still(5);
  t.match(street.problem, /0 of 20 beginnings of motion are compared/);
  for (let n = 0; n < 19; n += 1) street.begin(n % 2 === 0 ? 0 : 800).still(5);
  t.match(street.problem, /19 of 20/);
  street.begin(undefined).still(5);
  t.equal(street.problem, undefined, 'one of twenty may be noise of the main stream');
  t.ok(street.view.isStill(street.atMs));
  street.begin(1500).still(5);
  t.match(street.problem, /showed 18 of 20/, 'a second later is too late');
  for (let n = 0; n < 18; n += 1) street.begin(0).still(5);
  t.match(street.problem, /showed 18 of 20/);
  street.begin(0).still(5);
  t.equal(street.problem, undefined, 'the first of the two is forgotten');
  t.end();
});

void t.test('beginnings that the main stream reports late still count', (t) => {
  const street = new Street().still(5);
  for (let n = 0; n < 20; n += 1) {
    const beganMs = street.atMs + 100;
    for (let k = 0; k < 30; k += 1) {
      street.atMs += 100;
      street.view.watchSecond({ atMs: street.atMs, small: picture(10 + 3 * k) });
    }
    street.view.watchMain({ atMs: beganMs, small: picture() }, false);
    street.still(5);
  }
  t.equal(street.problem, undefined);
  t.end();
});

void t.test('silence, a gap and another shape do not count as stillness', (t) => {
  const street = new Street().still(5);
  for (let n = 0; n < 20; n += 1) street.begin(0).still(5);
  t.equal(street.problem, undefined);
  t.match(street.view.problem(street.atMs + 1001), /gives no pictures/);
  street.atMs += 5000;
  t.ok(street.view.watchSecond({ atMs: street.atMs, small: picture() }), 'after a gap it is unknown');
  t.notOk(street.view.isStill(street.atMs + 1900));
  street.still(3);
  t.equal(street.problem, undefined);
  const tall = { widthPx: 156, heightPx: 117 };
  t.ok(street.view.watchSecond({ atMs: street.atMs + 100, small: picture(-1, tall) }), 'nor of another size');
  t.match(street.problem, /another shape/);
  t.end();
});

void t.test('slow motion adds up within a second', (t) => {
  const view = new SecondView();
  const fading = (level: number): SmallPicture => {
    const small = picture();
    for (let row = 40; row < 60; row += 1) small.luma.fill(level, row * 208 + 50, row * 208 + 70);
    return small;
  };
  // Each step is below the difference between two successive pictures.
  const movedIndexes: number[] = [];
  for (let n = 0; n < 40; n += 1)
    if (view.watchSecond({ atMs: n * 100, small: fading(100 + (n < 20 ? 0 : n - 20)) })) movedIndexes.push(n);
  t.same(
    movedIndexes.filter((n) => n > 0 && n < 20),
    [],
  );
  t.ok(
    movedIndexes.some((n) => n >= 20),
    `moves in picture ${movedIndexes.join(', ')}`,
  );
  t.end();
});

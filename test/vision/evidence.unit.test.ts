/** Tests requests for pictures: each picture is made at any time, and the subject of the request is drawn in it. */
import sharp from 'sharp';
import t from 'tap';
import type { SizePx, XyxyNorm, XyxyPx } from '../../agent/contract/geometry.ts';
import { type EvidenceRequest, type Focus, FromVision, LinkDecoder } from '../../agent/contract/link.ts';
import type { Detection, Frame, FrameAnalysis, Track } from '../../agent/contract/picture.ts';
import type { Redaction } from '../../agent/contract/redacted-jpeg.ts';
import { Evidence } from '../../agent/vision/redact/evidence.ts';
import { SILENT } from '../lib/outbox.ts';
import { detectionOf, stillFrom, trackOf } from '../lib/pictures.ts';
import { rectangle } from '../lib/shapes.ts';

const SOURCE: SizePx = { widthPx: 384, heightPx: 320 };
const JPEG = await sharp(Buffer.alloc(384 * 320 * 3, 110), { raw: { width: 384, height: 320, channels: 3 } })
  .jpeg({ quality: 97 })
  .toBuffer();
const STEP_MS = 200;
const NOBODY: FrameAnalysis = { detectorRan: true, detections: [], tracks: [] };

function frame(atMs: number): Frame {
  const input = { widthPx: 32, heightPx: 32 };
  return { index: 1, ptsNs: 0n, atMs, wallMs: atMs, source: SOURCE, input, rgb: new Uint8Array(32 * 32 * 3) };
}

const SQUARE = rectangle(0.25, 0.25, 0.75, 0.75);

/** A request for the still at 1000 ms, which exists (up to 500 ms before too), or for another, which does not. */
const request = (number: number, atMs: number) => ({ request: number, atMs, focus: [], seal: false });

class Answers {
  readonly evidence: Evidence;
  readonly answers: string[] = [];
  snapshot: { readonly redaction: Redaction; readonly jpeg: Uint8Array } | undefined;
  /** Called at each answer. */
  onAnswer: (count: number) => void = () => undefined;

  /** Makes the redactor with these detector runs up to the still's frame. */
  constructor(analyses: readonly FrameAnalysis[] = [NOBODY]) {
    this.evidence = new Evidence({
      stillNear: (atMs) => (atMs > 500 && atMs <= 1000 ? stillFrom(JPEG, SOURCE) : undefined),
      sealTo: [],
      zones: [{ id: 'square', polygon: SQUARE }],
      // A line may bear the name of a zone.
      lines: [
        { id: 'gate', from: [0.5, 0.25], to: [0.5, 0.75] },
        { id: 'square', from: [0.1, 0.1], to: [0.2, 0.1] },
      ],
      timeZone: 'UTC',
      log: SILENT,
      send: (encoded) => {
        for (const { message, binary } of new LinkDecoder(FromVision).push(encoded)) {
          if (message.kind === 'snapshot') this.snapshot = { redaction: message.redaction, jpeg: binary };
          if ('request' in message) this.answers.push(`${message.kind} ${message.request}`);
        }
        this.onAnswer(this.answers.length);
        return true;
      },
    });
    analyses.forEach((analysis, i) => {
      this.evidence.remember(frame(1000 - (analyses.length - 1 - i) * STEP_MS), analysis, undefined);
    });
  }
}

async function microtasks(count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) await undefined;
}

t.test('a request during the previous answer is always answered', async (t) => {
  for (const [atMs, kind] of [
    [1000, 'snapshot'],
    [2000, 'no-snapshot'],
  ] as const) {
    for (let wait = 0; wait < 16; wait += 1) {
      const answers = new Answers();
      const { evidence, answers: answerList } = answers;
      const requested = new Promise<void>((resolve) => {
        answers.onAnswer = (count) => {
          if (count > 1) return;
          void microtasks(wait).then(() => {
            evidence.request(request(2, atMs));
            resolve();
          });
        };
      });
      evidence.request(request(1, atMs));
      await requested;
      await evidence.idle();
      t.same(answerList, [`${kind} 1`, `${kind} 2`], `${wait} microtasks after the answer`);
    }
  }
});

t.test('a failed picture delays no other, and requests beyond 16 are refused with a reason', async (t) => {
  const { evidence, answers: answerList } = new Answers();
  for (let i = 1; i <= 20; i += 1) evidence.request(request(i, i === 3 ? 2000 : 1000));
  await evidence.idle();
  t.equal(answerList.length, 20);
  t.same(
    answerList.filter((answer) => answer.startsWith('no-')),
    [
      // One is being made, 16 wait.
      ...[18, 19, 20].map((n) => `no-snapshot ${n}`),
      'no-snapshot 3',
    ],
  );
});

t.test('a preview is made after all other pictures, and a second one is not waited for', async (t) => {
  const { evidence, answers: answerList } = new Answers();
  for (let i = 1; i <= 3; i += 1) evidence.request(request(i, 1000));
  evidence.preview(1);
  evidence.preview(2);
  evidence.request(request(4, 1000));
  await evidence.idle();
  t.same(answerList, ['no-preview 2', ...[1, 2, 3, 4].map((n) => `snapshot ${n}`), 'preview 1']);
  evidence.preview(3);
  await evidence.idle();
  t.equal(answerList.at(-1), 'preview 3', 'also when it is the only request');

  const blind = new Answers([]);
  blind.evidence.preview(1);
  await blind.evidence.idle();
  t.same(blind.answers, ['no-preview 1'], 'no frame has been looked at');
});

type Is = (r: number, g: number, b: number) => boolean;
const isYellow: Is = (r, g, b) => r > 180 && g > 110 && g < 210 && b < 90;
const isOrange: Is = (r, _, b) => r > b + 100;
const isBlue: Is = (r, _, b) => b > r + 100;
const isWhite: Is = (r, g, b) => Math.min(r, g, b) > 200;

/** A published picture that counts pixels of a kind in an area. */
interface Picture extends Redaction {
  count(is: Is, part?: XyxyPx): number;
}

/** The picture of one request. */
async function pictureOf(
  change: Partial<EvidenceRequest>,
  analyses?: readonly FrameAnalysis[],
): Promise<Picture> {
  const answers = new Answers(analyses);
  answers.evidence.request({ ...request(1, 1000), ...change });
  await answers.evidence.idle();
  if (answers.snapshot === undefined) throw new Error(`no snapshot: ${answers.answers}`);
  const { redaction, jpeg } = answers.snapshot;
  const rgb = await sharp(jpeg).raw().toBuffer();
  const count = (is: Is, [left, top, right, bottom]: XyxyPx = [0, 0, 384, 320]): number => {
    let pixels = 0;
    for (let y = top; y < bottom; y += 1) {
      for (let x = left; x < right; x += 1) {
        const [r = 0, g = 0, b = 0] = rgb.subarray((y * 384 + x) * 3);
        if (is(r, g, b)) pixels += 1;
      }
    }
    return pixels;
  };
  return { ...redaction, count };
}

/** An object of the event at a place of the picture. */
function focusOn(xyxyNorm: XyxyNorm, group: 'person' | 'bag', track: number): Focus {
  const label = group === 'person' ? 'person' : 'suitcase';
  return { xyxyNorm, velocityNormPerS: [0, 0], object: { track, group, label } };
}
const person = (x: number, y: number, score = 0.7): Detection =>
  detectionOf('person', [x, y, x + 30, y + 80], score);
const track = (id: number, { group, label, xyxyPx }: Detection): Track =>
  trackOf(xyxyPx, { id, group, label, lastMs: 1000 });

t.test('only the zone or line that a request names is drawn', async (t) => {
  const sides: XyxyPx[] = [
    [96, 78, 288, 83],
    [285, 80, 291, 240],
    [96, 237, 288, 243],
    // The last side of a zone leads back to its first corner.
    [93, 80, 99, 240],
  ];
  const gate: XyxyPx = [189, 84, 195, 236];
  const sidesOf = ({ count }: Picture): boolean[] =>
    [...sides, gate].map((part) => count(isWhite, part) > 120);
  const [zone, line] = [await pictureOf({ zone: 'square' }), await pictureOf({ line: 'gate' })];
  t.same(sidesOf(zone), [true, true, true, true, false], 'a zone');
  t.same(sidesOf(line), [false, false, false, false, true], 'a line');
  t.equal(zone.count(isWhite, [110, 100, 270, 220]), 0, 'nothing within the zone');
  for (const change of [{}, { zone: 'gate', line: 'bridge' }]) {
    t.equal(
      (await pictureOf(change)).count((r) => Math.abs(r - 110) > 3),
      0,
      'none is named, or none is known of that name',
    );
  }
});

t.test("an object of the event is framed at its place at the still's time", async (t) => {
  const bag = focusOn([0.5, 0.5, 0.75, 0.75], 'bag', 3);
  const still = await pictureOf({ focus: [bag] });
  const [at, inside]: XyxyPx[] = [
    [190, 158, 290, 242],
    [194, 162, 286, 238],
  ];
  // A line of a pixel around 96 × 80 px.
  t.ok(still.count(isYellow, at) > 300, `${still.count(isYellow, at)} pixels`);
  t.equal(still.count(isYellow, inside), 0);
  t.ok(still.count(isWhite, [230, 148, 250, 158]) >= 5, 'its number above it');
  t.match(still, { figures: 0, cleanPlate: { ratio: 0 }, mosaicShare: 0 });
  // A fifth of a second earlier it was on its way: 10 % of the picture further left.
  const movedPicture = await pictureOf({
    atMs: 800,
    focus: [{ ...bag, xyxyNorm: [0.4, 0.5, 0.65, 0.75], velocityNormPerS: [0.5, 0] }],
  });
  t.ok(movedPicture.count(isYellow, at) > 300);
  t.equal(movedPicture.count(isYellow, [140, 140, 188, 250]), 0);
});

t.test('people are figures: orange with a number for subjects, blue for others', async (t) => {
  const [first, second, third] = [40, 140, 240].map((x) => person(x, 60)) as [
    Detection,
    Detection,
    Detection,
  ];
  const analysis = {
    detectorRan: true,
    detections: [first, second, third],
    tracks: [track(7, first), track(8, second)],
  };
  // The second is where the tracker says, whatever the box in the event.
  const focus = [focusOn([0.8, 0.8, 0.9, 0.9], 'bag', 3), focusOn([0, 0, 0.1, 0.2], 'person', 8)];
  const still = await pictureOf({ focus }, [analysis]);
  t.equal(still.figures, 3);
  const counts = (is: Is, above = 0): number[] =>
    [first, second, third].map(({ xyxyPx: [x1, y1, x2, y2] }) =>
      still.count(is, above > 0 ? [x1, y1 - above, x2, y1 - 2] : [x1, y1, x2, y2]),
    );
  t.same(
    counts(isOrange).map((count) => count > 400),
    [false, true, false],
    `${counts(isOrange)}`,
  );
  t.same(
    counts(isBlue).map((count) => count > 400),
    [true, false, true],
    `${counts(isBlue)}`,
  );
  t.same(
    counts(isWhite, 11).map((count) => count >= 5),
    [false, true, false],
    `the number: ${counts(isWhite, 11)}`,
  );
  t.equal(still.count(isOrange, [0, 0, 38, 76]), 0, 'none where the event had its box');

  const unsure = await pictureOf({}, [{ detectorRan: true, detections: [person(40, 60, 0.2)], tracks: [] }]);
  t.equal(unsure.figures, 0, 'of whom it is not sure is hidden, and not drawn');
  t.ok(unsure.mosaicShare > 0.02, `${unsure.mosaicShare}`);
});

t.test("the path of the event's subject runs along the feet, and no one else has one", async (t) => {
  const analyses = [30, 80, 130, 180, 230].map((x) => {
    const tracks = [track(4, person(x, 60)), track(5, person(300 - x, 180))];
    return { detectorRan: true, detections: [], tracks };
  });
  const still = await pictureOf({ focus: [focusOn([0, 0, 0.1, 0.1], 'person', 4)] }, analyses);
  const steps = [45, 95, 145].map((x) => still.count(isOrange, [x, 137, x + 50, 144]));
  t.ok(
    steps.every((count) => count > 20),
    `${steps}`,
  );
  t.equal(still.count(isOrange, [0, 180, 384, 290]), 0);
  t.equal((await pictureOf({}, analyses)).count(isOrange), 0);
});

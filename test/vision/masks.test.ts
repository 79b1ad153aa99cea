/**
 * Proves that nothing under a privacy mask has an effect: whatever is painted there, vision's messages are the same,
 * byte for byte. Lossless clips of a real street, into which a real person is painted, go through the real vision
 * process.
 */
import { existsSync } from 'node:fs';
import t, { type Test } from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
import { makeLogger } from '../../agent/base/log.ts';
import type { MaskConfig } from '../../agent/contract/config.ts';
import { placementOf } from '../../agent/contract/letterbox.ts';
import type { FromVision, VisionSettings } from '../../agent/contract/link.ts';
import { VisionProcess } from '../../agent/supervisor/vision-process.ts';
import { testCamera } from '../lib/camera.ts';
import { encodedClip } from '../lib/encoded-clip.ts';
import { STREET_CLIP } from '../lib/paths.ts';
import { ALL, unlessAll } from '../lib/run.ts';
import { rectangle } from '../lib/shapes.ts';
import { BARE_PERMIT, bareSettings, useBundledVision } from '../lib/vision.ts';

const skip = existsSync(STREET_CLIP) ? false : 'no .cache/vtest.avi: run scripts/setup';
// Seven runs of vision, each with its model.
t.setTimeout(300_000);

const log = makeLogger('masks-test', 'silent');
const SOURCE = { widthPx: 768, heightPx: 576 };
const INPUT = { widthPx: 416, heightPx: 256 };
/** The larger picture beside a frame of that input. */
const FINE = { widthPx: 832, heightPx: 512 };
/** A person of the clip, with a margin: frame after its start, and place. */
const PERSON = { frame: 30, crop: '64:124:616:240' };
const EVERYWHERE = rectangle(0, 0, 1, 1);
const FRAMES = 15;

/**
 * Makes a clip: 3 s at 5 frames a second of the clip's first picture, held still, with the person as `filter` places
 * it.
 */
function paint(filter: string): string {
  const street = encodedClip(['-i', STREET_CLIP, '-frames:v', '1'], 'png');
  const selection = `select=eq(n\\,${PERSON.frame}),crop=${PERSON.crop}`;
  const person = encodedClip(['-i', STREET_CLIP, '-vf', selection, '-frames:v', '1'], 'png');
  const still = (picture: string): string[] => [
    '-loop',
    '1',
    '-framerate',
    '5',
    '-t',
    String(FRAMES / 5),
    '-i',
    picture,
  ];
  // All of it in 4:2:0, as decoders give it, and without loss.
  const overlay = `[0]format=yuv420p[street];[1]format=yuv420p[person];[street][person]${filter}`;
  return encodedClip([...still(street), ...still(person), '-filter_complex', overlay, '-c:v', 'ffv1']);
}

function maskOver(id: string, [left, top, right, bottom]: readonly number[]): MaskConfig {
  const [x1, x2] = [left, right].map((x = 0) => x / SOURCE.widthPx) as [number, number];
  const [y1, y2] = [top, bottom].map((y = 0) => y / SOURCE.heightPx) as [number, number];
  return { id, polygon: rectangle(x1, y1, x2, y2) };
}

interface VisionOutput {
  readonly frames: Extract<FromVision, { kind: 'frame' }>[];
  /** Hash of the one picture, taken late in the clip. */
  readonly snapshot: string;
  readonly framesHeld: number;
  /** Places of persons, in pixels of the source, with a fairly high score. */
  persons(): [number, number, number, number][];
}

/** All messages of the vision process for a clip, with everything requested. */
async function outputOf(t: Test, clip: string, masks: MaskConfig[]): Promise<VisionOutput> {
  const settings: VisionSettings = {
    ...bareSettings(`file:${clip}`, 5),
    mode: 'replay',
    zones: [{ id: 'everywhere', polygon: EVERYWHERE }],
    masks,
    moveTolerances: [0.25],
    regions: true,
    detections: true,
  };
  const frames: VisionOutput['frames'] = [];
  let snapshot = '';
  let framesHeld = -1;
  await new Promise<void>((resolve, reject) => {
    const vision = new VisionProcess({
      restraintDir: undefined,
      clock: systemClock,
      log,
      onMessage: ({ message }) => {
        if (message.kind === 'snapshot') snapshot = message.sha256;
        if (message.kind === 'no-snapshot' || message.kind === 'failed')
          reject(new Error(JSON.stringify(message)));
        if (message.kind === 'ended') framesHeld = message.stats.framesHeld;
        if (message.kind !== 'frame') return;
        frames.push(message);
        const { frame, atMs } = message.observation;
        const picture = { request: 1, atMs: atMs - 2000, focus: [], seal: false };
        vision.send({ kind: 'ack', frame, evidence: frame === FRAMES - 2 ? [picture] : [] });
      },
      onExit: ({ code }) => (code === 0 ? resolve() : reject(new Error(`vision ended with ${code}`))),
    });
    t.teardown(() => vision.stop());
    vision.start(BARE_PERMIT, settings);
  });
  return {
    frames,
    snapshot,
    framesHeld,
    persons: () =>
      frames.flatMap(({ detections }) =>
        detections
          .filter(({ group, score }) => group === 'person' && score > 0.5)
          .map(({ xyxyNorm: [x1, y1, x2, y2] }): [number, number, number, number] => [
            x1 * SOURCE.widthPx,
            y1 * SOURCE.heightPx,
            x2 * SOURCE.widthPx,
            y2 * SOURCE.heightPx,
          ]),
      ),
  };
}

/** The first message that differs between the two. */
function unlike(one: VisionOutput, other: VisionOutput): string | undefined {
  const otherFrames = other.frames.map((frame) => JSON.stringify(frame));
  const ownFrames = one.frames.map((frame) => JSON.stringify(frame));
  return ownFrames.find((frame, i) => frame !== otherFrames[i]) ?? otherFrames[ownFrames.length];
}

/** The person walks over the grass from 60 to 240 px. */
const WALK = "overlay=x='60+2*floor(15*t)':y=380:shortest=1";
/** The same walk, outside of any picture. */
const NOBODY = 'overlay=x=2000:y=380:shortest=1';
/** The person walks down the picture at 60 px, with the middle at 94. */
const DOWN = "overlay=x=60:y='300+2*floor(8*t)':shortest=1";

void t.test('a person under a mask causes no detection, track, motion or trace', { skip }, async (t) => {
  useBundledVision(t);
  const [walk, nobody] = [paint(WALK), paint(NOBODY)];
  const masks = [maskOver('lawn', [32, 352, 336, 528])];
  const inside = ([x1, y1, x2, y2]: readonly [number, number, number, number]): boolean =>
    x1 > 32 && x2 < 336 && y1 > 352 && y2 < 528;

  const bare = await outputOf(t, walk, []);
  t.equal(bare.frames.length, FRAMES);
  t.ok(bare.persons().filter(inside).length >= (FRAMES * 2) / 3, 'without the mask he is found');
  const tracked = bare.frames.some(({ observation }) =>
    observation.tracks.some(({ xyxyNorm: [x1, , x2] }) => x1 > 0.05 && x2 < 0.4),
  );
  t.ok(tracked, 'and followed');

  const [masked, empty] = [await outputOf(t, walk, masks), await outputOf(t, nobody, masks)];
  t.same(masked.persons().filter(inside), [], 'with it he is not');
  t.equal(masked.frames.length, FRAMES);
  t.equal(unlike(masked, empty), undefined, 'every message is that of the empty place');
  t.equal(masked.snapshot, empty.snapshot, 'and so is the picture');
  t.equal(masked.framesHeld, empty.framesHeld, 'and when the detector rested');
  t.ok(
    masked.framesHeld > bare.framesHeld,
    `nothing moved in ${masked.framesHeld} frames (${bare.framesHeld} without)`,
  );
  t.not(bare.snapshot, masked.snapshot);
});

void t.test(
  'a person half under a mask is reported by the other half only',
  { skip: skip || unlessAll },
  async (t) => {
    const clips = [DOWN, `${DOWN},drawbox=x=40:y=280:w=52:h=280:color=magenta:t=fill`];
    const masks = [maskOver('left', [32, 272, 92, 568])];
    const [person, half] = clips.map(paint) as [string, string];
    const [one, other] = [await outputOf(t, person, masks), await outputOf(t, half, masks)];
    t.equal(unlike(one, other), undefined, 'what he looks like under it changes nothing');
    const bare = [await outputOf(t, person, []), await outputOf(t, half, [])] as const;
    t.ok(unlike(...bare), 'while without it all differs');
  },
);

void t.test("the camera's output is black under a mask and unchanged elsewhere", { skip }, async (t) => {
  const polygon: MaskConfig['polygon'] = [
    [0.1, 0.2],
    [0.6, 0.15],
    [0.4, 0.9],
  ];
  const pictures = ALL ? 5 : 1;
  type PictureSet = Readonly<Record<'frame' | 'still' | 'fine', Buffer>>;
  const framesOf = async (masks: MaskConfig[]): Promise<PictureSet[]> => {
    const camera = testCamera(t, { source: `file:${STREET_CLIP}`, masks });
    await camera.start();
    const out: PictureSet[] = [];
    camera.wantFine(Number.POSITIVE_INFINITY);
    for (
      let frame = await camera.next();
      frame !== null && out.length < pictures;
      frame = await camera.next()
    ) {
      if (frame.fine === undefined) continue;
      t.same(frame.fine.size, FINE);
      const still = await camera.stillNear(frame.atMs)?.pixels(SOURCE);
      const [fine, pixels] = [Buffer.from(frame.fine.rgb), Buffer.from(still?.rgb ?? '')];
      out.push({ frame: Buffer.from(frame.rgb), still: pixels, fine });
    }
    await camera.stop();
    return out;
  };
  const [bare, masked] = [await framesOf([]), await framesOf([{ id: 'house', polygon }])];
  t.equal(masked.length, pictures);
  const full = { leftPx: 0, topPx: 0, ...SOURCE };
  const kinds = [
    ['frame', INPUT.widthPx, placementOf(SOURCE, INPUT), 5],
    ['fine', FINE.widthPx, placementOf(SOURCE, FINE), 5],
    // It is black before it is a JPEG: blocks of colour are 16 pixels wide and high, and are smoothed over one more.
    ['still', SOURCE.widthPx, full, 25],
  ] as const;
  for (const [kind, width, placement, reachPx] of ALL ? kinds : kinds.slice(0, 1)) {
    const { leftPx, topPx, widthPx, heightPx } = placement;
    const [counts, rows] = [
      { black: 0, lit: 0, kept: 0, changed: 0 },
      Array.from({ length: heightPx }, (_, y) => y),
    ];
    const depth = insideBy(polygon.map(([x, y]) => [leftPx + x * widthPx, topPx + y * heightPx] as const));
    const pairs = masked.map(({ [kind]: after }, i) => [bare[i]?.[kind] as Buffer, after] as const);
    for (const y of rows) {
      for (let x = 0; x < widthPx; x += 1) {
        const within = depth(leftPx + x + 0.5, topPx + y + 0.5);
        const at = ((topPx + y) * width + leftPx + x) * 3;
        for (const [before, after] of pairs) {
          if (within >= -0.5) counts[after.readUIntBE(at, 3) === 0 ? 'black' : 'lit'] += 1;
          else if (within < -reachPx)
            counts[after.compare(before, at, at + 3, at, at + 3) === 0 ? 'kept' : 'changed'] += 1;
        }
      }
    }
    t.match(counts, { lit: 0, changed: 0 }, `${kind}: ${JSON.stringify(counts)}`);
    t.ok(counts.black > 0.1 * pictures * widthPx * heightPx && counts.kept > counts.black);
  }
});

/** Distance of a point to the edges of a convex polygon (corners clockwise, y down); negative outside. */
function insideBy(corners: readonly (readonly [number, number])[]): (x: number, y: number) => number {
  return (x, y) =>
    Math.min(
      ...corners.map(([ax, ay], i) => {
        const [bx, by] = corners[(i + 1) % corners.length] ?? [ax, ay];
        return ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / Math.hypot(bx - ax, by - ay);
      }),
    );
}

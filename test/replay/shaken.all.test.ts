/**
 * Tests that alerts do not depend on the processor: labelled films play with detector outputs perturbed as another int8
 * kernel would round them. VIGIE_TEST_RUN=full plays every film with twenty seeds, and with all scores moved one way; by
 * default only the perturbed detector is compared with the installed one.
 */
import t, { type Test } from 'tap';
import type { UnnumberedEvent } from '../../agent/contract/event-sink.ts';
import type { Detection, Frame } from '../../agent/contract/picture.ts';
import { labelsIn } from '../../scripts/programs/evaluate/events.ts';
import {
  type Label,
  scoreConditions,
  scoreStarts,
  startsOf,
} from '../../scripts/programs/evaluate/labels.ts';
import { filteredClip } from '../lib/filtered-clip.ts';
import { detections } from '../lib/model-inferences.ts';
import { evaluationData, MODEL_DIR, scratch } from '../lib/paths.ts';
import { unlessFull } from '../lib/run.ts';
import {
  biasOf,
  playShaken,
  SHAKE_SCORE,
  type Shake,
  ShakenDetector,
  shakeOf,
  unshaken,
} from '../lib/shaken.ts';

const SEEDS = 20;

const SHAKES: readonly (readonly [name: string, shake: () => Shake])[] = [
  ['unshaken', () => unshaken],
  ['all scores up', () => biasOf(SHAKE_SCORE)],
  ['all scores down', () => biasOf(-SHAKE_SCORE)],
  ...Array.from({ length: SEEDS }, (_, k) => [`seed ${k + 1}`, () => shakeOf(k + 1)] as const),
];

/**
 * Accepted faults by film and shake; each must continue to occur.
 * - crosswalk: a pole and its signal split the box of a pick-up truck, and a distant car is found in only three or four
 *   detector runs. The car is missed where its pixels are not seen to move, or where its number changes on the line. A
 *   part of the truck that was tracked alone for more than a second crosses again.
 * - boulevard-park: weak boxes of the first seconds lie in the lanes before the queue comes. Where a car of the queue
 *   takes over a number within its own size, its arrival was not seen. It is reported as present at the start, so two
 *   of the cars are found, not three.
 * - one-by-one: the sixth person leaves the picture at 135.9 s, in the same inference in which the rule's 11 s are
 *   reached. With 10.5 s every seed reports the person, at 135.4 s.
 * - pets09-quiet: a barrier tape hangs higher after a person has walked along it. Seven cells in a row look like an
 *   object left behind, where six are required (0.0006 of the frame; the limit is 0.0005).
 */
const EXCEPTIONS: Readonly<Record<string, readonly string[]>> = {
  'pets09-quiet, seed 7': ['pets09-quiet: bag false at 65.7 s'],
  'one-by-one, seed 5': ['one-by-one: stay missed between 130 and 136.5 s'],
  'one-by-one, seed 11': ['one-by-one: stay missed between 130 and 136.5 s'],
  'one-by-one, seed 13': ['one-by-one: stay missed between 130 and 136.5 s'],
  'one-by-one, seed 14': ['one-by-one: stay missed between 130 and 136.5 s'],
  'one-by-one, seed 15': ['one-by-one: stay missed between 130 and 136.5 s'],
  'one-by-one, seed 20': ['one-by-one: stay missed between 130 and 136.5 s'],
  'crosswalk, seed 1': ['crosswalk: line missed between 2.6 and 5 s'],
  'crosswalk, seed 7': ['crosswalk: line missed between 9 and 11.2 s'],
  'crosswalk, seed 8': ['crosswalk: line missed between 9 and 11.2 s'],
  'crosswalk, seed 14': ['crosswalk: line missed between 9 and 11.2 s'],
  'crosswalk, seed 16': ['crosswalk: line false at 11.2 s'],
  'crosswalk, seed 17': ['crosswalk: line false at 11.2 s'],
  'boulevard-park, seed 5': ['boulevard-park: park8 2 starts, at least 3 expected'],
  'boulevard-park, seed 8': ['boulevard-park: park8 2 starts, at least 3 expected'],
};

const folders = ['labels', 'labels-hard'].map((name) => evaluationData(name));
const skip = folders.find(({ skip }) => skip)?.skip ?? false;
const films = skip ? [] : folders.flatMap(({ file }) => labelsIn(file));

function mistakesOf(label: Label, events: readonly UnnumberedEvent[]): string[] {
  const starts = startsOf(events);
  const scores = [...scoreStarts(label, starts), ...scoreConditions(label, starts)];
  return scores.flatMap(({ mistakes }) => mistakes.map(({ line }) => line));
}

async function openDetector(t: Test): Promise<ShakenDetector> {
  const detector = await ShakenDetector.open(scratch(t));
  t.teardown(() => detector.release());
  return detector;
}

t.test('unshaken detections are those of the installed model', { skip }, async (t) => {
  const detector = await openDetector(t);
  const frames: Frame[] = [];
  for await (const frame of filteredClip('null')) {
    if (frame.index % 40 === 0) frames.push(frame);
  }
  const expected = await detections(MODEL_DIR, 'nanodet-g-city10', [416, 256], frames);
  const actual: Detection[][] = [];
  for (const frame of frames) actual.push(detector.resultOf(await detector.infer(frame), frame, unshaken));
  t.ok(expected.flat().length > 50, `${expected.flat().length} boxes`);
  t.same(actual, expected);
  const [first] = frames as [Frame];
  t.notSame(
    detector.resultOf(await detector.infer(first), first, shakeOf(1)),
    expected[0],
    'a shake changes them',
  );
});

t.test(
  'no shake adds a false alert or loses an incident',
  { skip: skip || unlessFull, timeout: 14_400_000 },
  async (t) => {
    const detector = await openDetector(t);
    t.ok(films.length > 0, `${films.length} films`);
    for (const label of films) {
      const startsByShake = await playShaken(
        label,
        detector,
        SHAKES.map(([, shake]) => shake()),
      );
      // A box may report blindness on some films; incidents missed without a shake are no fault of the shake.
      const unshakenMistakes = label.orCannotSee === true ? mistakesOf(label, startsByShake[0] ?? []) : [];
      SHAKES.forEach(([name], k) => {
        const key = `${label.name}, ${name}`;
        t.same(mistakesOf(label, startsByShake[k] ?? []), EXCEPTIONS[key] ?? unshakenMistakes, key);
      });
    }
  },
);

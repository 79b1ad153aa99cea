/**
 * Tests objects that move as a person does and are not classified: a rule may request them, and no other rule sees them.
 */
import { Value } from '@sinclair/typebox/value';
import t from 'tap';
import { Observation } from '../../agent/contract/observation.ts';
import type { Detection } from '../../agent/contract/picture.ts';
import { makeRule } from '../../agent/rules/registry.ts';
import { Observer } from '../../agent/vision/observe/observer.ts';
import { frame, nothing, type Paint } from '../lib/scene-play.ts';

const SITE = { timeZone: 'Europe/Paris', holidays: [] };
const LINE = { id: 'kerb', from: [0.5, 0.2], to: [0.5, 1] } as const;
/**
 * Time until which the street is learnt. A person walks through it from left to right afterwards, at a fifth of its
 * width a second.
 */
const ENTERS_S = 6;

const isIn = (s: number, x: number, y: number): boolean => {
  const centre = 0.2 * (s - ENTERS_S);
  return s > ENTERS_S && Math.abs(x - centre) < 0.03 && y > 0.45 && y < 0.8;
};
const walker =
  (s: number): Paint =>
  (x, y, level) =>
    isIn(s, x, y) ? 250 - level / 2 : level;

/** Alerts of a rule on the line, by the classes that count for it. */
function crossings(classes: ('person' | 'unknown')[], over: { score?: number; sways?: boolean } = {}) {
  const observer = new Observer({
    zones: [],
    lines: [{ ...LINE, from: [...LINE.from], to: [...LINE.to] }],
    moveTolerances: [],
    regions: false,
  });
  const rule = makeRule(
    { id: 'r', kind: 'line-crossing', line: 'kerb', purpose: 'p', classes, direction: 'both' },
    SITE,
  );
  const times: number[] = [];
  for (let i = 0; i < 70; i += 1) {
    const s = i / 5;
    // To and fro over the line, as a branch: it goes nowhere.
    const at = over.sways ? ENTERS_S + 2.5 + 0.15 * Math.sin(3 * s) : s;
    const image = frame(i + 1, Math.round(1000 * s), s > ENTERS_S ? walker(at) : nothing);
    const centrePx = 0.2 * (s - ENTERS_S) * image.source.widthPx;
    const detections: Detection[] =
      over.score === undefined || s <= ENTERS_S
        ? []
        : [
            {
              xyxyPx: [centrePx - 23, 0.45 * 432, centrePx + 23, 0.8 * 432],
              score: over.score,
              label: 'person',
              group: 'person',
            },
          ];
    const observation = observer.observationOf(image, { detectorRan: true, detections, tracks: [] });
    t.ok(Value.Check(Observation, observation));
    times.push(...rule.observe(observation).map(() => s));
  }
  return times;
}

t.test('an unclassified object is reported once to a rule that requests it, and not to others', async (t) => {
  const times = crossings(['person', 'unknown']);
  t.equal(times.length, 1);
  t.ok((times[0] ?? 0) > ENTERS_S + 2 && (times[0] ?? 99) < ENTERS_S + 4, `at ${times[0]} s`);
  t.same(crossings(['person']), []);
});

t.test('neither a sure detection nor a swaying branch is an unclassified object', async (t) => {
  t.same(crossings(['unknown'], { score: 0.6 }), []);
  t.equal(crossings(['unknown'], { score: 0.2 }).length, 1, 'a weak box names nothing');
  t.same(crossings(['unknown'], { sways: true }), []);
});

/** Unit tests of boxes that begin a change and fall silent: when a rollout halts, holds and continues. */
import fc from 'fast-check';
import t from 'tap';
import { randomOf } from '../../scripts/lib/random.ts';
import { compare, DOUBT, type Watched } from '../../scripts/products/fleet/rollout/silence.ts';
import { stalledAt } from '../../scripts/products/fleet/rollout/stall.ts';
import type { BoxState, RolloutBox, Step } from '../../scripts/products/fleet/rollout/states.ts';
import { boxesOf, HOUR, Lifetime, PLAN } from '../lib/rollout-life.ts';
import { ALL, FULL } from '../lib/run.ts';

const THRESHOLDS = PLAN.thresholds;
const installs = ({ orders }: Step): number => orders.filter(({ action }) => action === 'install').length;

void t.test('a site without power proves nothing', (t) => {
  const group = (site: string, all: number, silent: number): Watched[] =>
    Array.from({ length: all }, (_, i) => ({ id: `${site}/b-${i}`, isSilent: i < silent }));
  // Six of seven canaries are at a site whose power is cut: all boxes there are silent, and none elsewhere.
  const triedBoxes = [...group('cut', 6, 6), ...group('other', 1, 0)];
  const untried = [...group('cut', 100, 98), ...group('other', 1300, 13)];
  t.ok(compare(triedBoxes, untried).probability > DOUBT);
  t.ok(
    compare(group('lab', 3, 3), untried).probability < DOUBT,
    'a site of canaries alone: compared with all',
  );
  t.end();
});

void t.test('silent canaries hold the next wave, and halt it from a certain number', async (t) => {
  const fleet = (canaries: number): RolloutBox[] => [
    ...boxesOf(canaries, 0),
    ...boxesOf(60, 1, canaries),
    ...boxesOf(1400, 2, canaries + 60),
  ];
  for (const progress of ['begun', 'switched', 'confirmed'] as const) {
    const run = new Lifetime(fleet(7), { thresholds: THRESHOLDS });
    run.at(0);
    run.say((_, i) => i < 7, { progress }).at(0.1);
    run.say((_, i) => i < 6, { online: false }).say((_, i) => i === 6, { progress: 'confirmed' });
    run.say((_, i) => i >= 67 && i < 95, { online: false });
    t.equal(run.at(1).rollout.state, 'running', `${progress}: no box is silent within the hour`);
    t.equal(run.rollout.reachedMs, null, 'and the wave is held');
    run.at(1.2);
    t.match(run.rollout, {
      state: 'halted',
      reason:
        '6 of 7 boxes that tried it are silent for more than 1 h, and 28 of 1460 that have not tried it: more than chance explains (p < 0.001)',
    });
    t.equal(run.last?.silent.length, 6, 'and they are named');
  }
  const one = new Lifetime(fleet(3), { thresholds: THRESHOLDS });
  one.at(0);
  one.say((_, i) => i < 3, { progress: 'confirmed' }).at(0.1);
  one.say((_, i) => i === 0, { online: false });
  t.equal(one.at(0.3).rollout.reachedMs, null, 'confirmed, but silent for ten minutes after it');
  t.match(one.at(30).rollout, { state: 'running', wave: 0 }, 'one of three does not halt by chance');
  t.match(one.last?.waits, { unheard: ['b-0'], connected: [] });
  t.match(one.at(48.2).rollout, {
    state: 'halted',
    reason: 'canaries: no progress for 48 h: 1 began and are not heard (b-0)',
  });
  one.say((_, i) => i === 0, { isSkipped: true });
  t.match(one.at(49, 'resume').rollout, { state: 'running', reachedMs: 49 * HOUR });
  t.equal(installs(one.at(73)), 60, 'a box that a person skips holds up no other');
  t.equal(one.boxes[0]?.state, 'skipped');
});

void t.test('a wave with silent boxes halts with a reason; skip and resume continue it', async (t) => {
  const run = new Lifetime([...boxesOf(3, 0), ...boxesOf(50, 1, 3), ...boxesOf(100, 2, 53)], {
    thresholds: THRESHOLDS,
    soakMs: [0, 0, 0],
  });
  run.at(0);
  run.say((_, i) => i < 3, { progress: 'confirmed' }).at(1);
  run.at(2);
  t.equal(run.rollout.wave, 1);
  const isMute = (_: RolloutBox, i: number): boolean => i >= 3 && i < 7;
  run.say((one, i) => one.wave === 1 && !isMute(one, i), { progress: 'confirmed' }).at(3);
  t.match(run.at(40).rollout, { state: 'running', wave: 1, reachedMs: null });
  t.equal(run.last?.waits?.connected.length, 4);
  t.match(run.at(51.1).rollout, {
    state: 'halted',
    reason: 'wave 1: no progress for 48 h: 4 connected and not confirmed (b-3, b-4, b-5 and 1 more)',
  });
  run.say(isMute, { isSkipped: true });
  t.equal(installs(run.at(52, 'resume')), 100);
  run.say(({ wave }) => wave === 2, { progress: 'confirmed' }).at(53);
  t.equal(run.at(54).rollout.state, 'done', 'all are confirmed, or left out by a person');
});

void t.test('resume accepts boxes that are silent until then; a later one counts', async (t) => {
  const run = new Lifetime([...boxesOf(7, 0), ...boxesOf(1400, 1, 7)], {
    thresholds: THRESHOLDS,
    soakMs: [0, 0],
  });
  run.at(0);
  run.say((_, i) => i < 7, { progress: 'switched' }).at(0.1);
  run.say((_, i) => i < 5, { online: false }).at(2);
  t.equal(run.rollout.state, 'halted');
  run.at(3, 'resume');
  run.say((_, i) => i === 5 || i === 6, { progress: 'confirmed' }).at(3.5);
  t.match(run.at(4).rollout, { state: 'running', wave: 1 }, 'two others were heard, and it goes on');
  const canaries = run.boxes.filter(({ wave }) => wave === 0).map(({ state }) => state);
  t.strictSame(canaries.slice(0, 5), Array<BoxState>(5).fill('switched'));
  run.say((_, i) => i >= 7, { progress: 'confirmed' }).at(4.1);
  t.equal(run.at(5).rollout.state, 'finishing', 'not done: five were never heard again');
  t.match(run.at(721).rollout.reason, '5 of 1407 boxes are not confirmed: 5 expired');
});

void t.test('the time limit does not count days without a window', async (t) => {
  const window = { days: ['mon', 'tue', 'wed', 'thu'], from: '02:00', to: '05:00', tz: 'UTC' } as const;
  const at = (text: string): number => Date.parse(text);
  t.equal(stalledAt(null, at('2026-11-26T03:00Z'), 48 * HOUR), at('2026-11-28T03:00Z'));
  // Thursday: counted until Friday 05:00, and again from Monday 02:00.
  const due = stalledAt({ ...window, days: [...window.days] }, at('2026-11-26T03:00Z'), 48 * HOUR);
  t.ok(Math.abs(due - at('2026-12-01T00:00Z')) <= HOUR, new Date(due).toISOString());
  t.end();
});

interface Street {
  readonly seed: number;
  /** Ratio of boxes without power by day. */
  readonly dark: number;
  /** Probability that a box is lost in an hour, whatever it runs. */
  readonly attrition: number;
  readonly vanish: number;
  readonly vanishAt: 'begun' | 'switched' | 'confirmed';
}

/**
 * Runs a complete rollout to 607 boxes with a step every half hour; returns its end, and the number of boxes that
 * vanish by it.
 */
function simulateRollout({ seed, dark, attrition, vanish, vanishAt }: Street): {
  state: string;
  wave: number;
  lostCount: number;
  reason: string;
} {
  const random = randomOf(seed);
  const boxes = [...boxesOf(7, 0), ...boxesOf(30, 1, 7), ...boxesOf(150, 2, 37), ...boxesOf(420, 3, 187)].map(
    (one, i) => ({
      ...one,
      id: `site-${i % 6}/${one.id}`,
    }),
  );
  const run = new Lifetime(boxes, { thresholds: THRESHOLDS, soakMs: [24 * HOUR, 4 * HOUR, 12 * HOUR, 0] });
  // A street's mounting points lose power together, each by its own lamp within half an hour.
  const isDark = boxes.map(() => random() < dark);
  const vanishes = boxes.map(() => random() < vanish);
  const lostIds = new Set<number>();
  let lostCount = 0;
  const phases = ['none', 'begun', 'switched', 'confirmed'] as const;
  for (let hours = 0; hours < 24 * 12; hours += 0.5) {
    run.at(hours);
    if (run.rollout.state !== 'running') break;
    const night = hours % 24 < 8 || hours % 24 >= 17;
    for (const [i, one] of run.boxes.entries()) {
      if (lostIds.has(i)) continue;
      if (random() < attrition / 2) lostIds.add(i);
      const online = !lostIds.has(i) && (night || !isDark[i]);
      let progress = one.progress;
      if (online && one.action === 'install' && (hours % 24 < 5 || progress !== 'none')) {
        progress = phases[Math.min(3, phases.indexOf(progress as 'none') + 1)] ?? 'confirmed';
        if (vanishes[i] && progress === vanishAt) {
          lostIds.add(i);
          lostCount += 1;
        }
      }
      const isOn = online && !lostIds.has(i);
      if (one.online !== isOn || one.progress !== progress) run.boxes[i] = { ...one, online: isOn, progress };
    }
  }
  const { state, wave, reason } = run.rollout;
  return { state, wave, lostCount, reason: reason ?? '' };
}

void t.test('a release that cuts boxes off is stopped within the first wave, day and night', async (t) => {
  let worst = 0;
  fc.assert(
    fc.property(
      fc.record({
        seed: fc.nat(),
        dark: fc.constantFrom(0, 0.4),
        attrition: fc.constantFrom(0, 0.0004),
        vanish: fc.double({ min: 0.3, max: 1, noNaN: true }),
        vanishAt: fc.constantFrom('begun' as const, 'switched' as const, 'confirmed' as const),
      }),
      (street) => {
        const { state, wave, lostCount } = simulateRollout(street);
        if (state !== 'halted' && !(state === 'running' && wave <= 1))
          throw new Error(`${state} in wave ${wave}`);
        if (wave > 1) throw new Error(`it went on to wave ${wave}`);
        worst = Math.max(worst, lostCount);
      },
    ),
    { numRuns: FULL ? 300 : ALL ? 25 : 10 },
  );
  t.ok(worst <= 37, `at most ${worst} of 607 were lost`);
});

/** Tests a rule with a higher minimum score than the detector's, as verdicts may suggest. */
import t from 'tap';
import type { ObservedTrack } from '../../agent/contract/observation.ts';
import { makeRule } from '../../agent/rules/registry.ts';
import { observation, track } from '../lib/street.ts';

const SITE = { timeZone: 'Europe/Paris', holidays: [] };

/** Seconds at which a loitering person is reported, given the best score so far. */
function toldAt(scoreMin: number | undefined, bestScoreAt: (s: number) => number): number | undefined {
  const rule = makeRule(
    {
      id: 'stays',
      kind: 'loitering',
      zone: 'z',
      purpose: 'p',
      classes: ['person'],
      afterS: 3,
      ...(scoreMin !== undefined && { scoreMin }),
    },
    SITE,
  );
  for (let i = 0; i < 60; i += 1) {
    const s = i / 5;
    const still: Partial<ObservedTrack> = { zones: [{ zone: 'z', sinceMs: 0 }], bestScore: bestScoreAt(s) };
    if (rule.observe(observation(i * 200, [track(1, still)])).length > 0) return s;
  }
  return undefined;
}

t.test('a person is reported once the rule’s minimum score was reached, and not before', async (t) => {
  const usual = toldAt(undefined, () => 0.4);
  t.ok(usual !== undefined && usual >= 3, `without it at ${usual} s`);
  t.equal(
    toldAt(0.3, () => 0.4),
    usual,
    'sure enough: no later',
  );
  t.equal(
    toldAt(0.5, () => 0.4),
    undefined,
  );
  t.equal(
    toldAt(0.5, (s) => (s < 6 ? 0.4 : 0.6)),
    6,
  );
});

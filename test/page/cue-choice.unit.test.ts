/** Tests which cue a walk test gives to a phone in a pocket. */
import t from 'tap';
import type { WalkView } from '../../agent/contract/page-link.ts';
import { cueBetween } from '../../agent/page/app/cue-choice.ts';

type Code = NonNullable<WalkView['last']>['code'];

const READY: WalkView = {
  rule: 'stays',
  passes: 2,
  phase: 'ready',
  outcomes: [],
  passedS: 0,
  windowS: 33,
  last: null,
};
const WATCHING: WalkView = { ...READY, phase: 'watching' };
const after = (code: Code, change: Partial<WalkView> = {}): WalkView => ({
  ...READY,
  last: { code, seconds: null },
  ...change,
});

t.test('the tone of a pass sounds when the box begins it, and not when the phone asks for it', async (t) => {
  t.equal(cueBetween(READY, READY), undefined, 'the request has not arrived');
  t.equal(cueBetween(READY, WATCHING), 'begin');
  t.equal(cueBetween(null, WATCHING), 'begin');
  t.equal(cueBetween(WATCHING, { ...WATCHING, passedS: 4 }), undefined, 'once');
});

t.test('each end of a pass has its cue', async (t) => {
  t.equal(cueBetween(WATCHING, after('seen', { outcomes: ['seen'] })), 'seen');
  t.equal(cueBetween(READY, after('seen', { outcomes: ['seen'] })), 'seen', 'a pass between two states');
  t.equal(cueBetween(WATCHING, after('missed', { phase: 'done', outcomes: ['missed'] })), 'missed');
  t.equal(cueBetween(WATCHING, after('blind')), 'void');
});

t.test('a pass that cannot begin has the cue of a pass that does not count', async (t) => {
  const missed = after('missed', { outcomes: ['missed'] });
  for (const code of ['still-standing', 'off', 'no-agent'] as const)
    t.equal(cueBetween(missed, { ...missed, last: { code, seconds: null } }), 'void', code);
  const refusal = after('still-standing', { outcomes: ['missed'] });
  t.equal(cueBetween(refusal, refusal), undefined, 'once');
  t.equal(cueBetween(null, after('no-agent', { phase: 'over' })), 'void', 'a box without video');
});

t.test('acts of the technician and a reload have no cue', async (t) => {
  t.equal(cueBetween(READY, after('given-up', { phase: 'over' })), undefined);
  t.equal(cueBetween(after('seen'), { ...after('seen'), phase: 'kept' }), undefined);
  t.equal(cueBetween(undefined, after('missed', { outcomes: ['missed'] })), undefined);
  t.equal(cueBetween(READY, null), undefined);
});

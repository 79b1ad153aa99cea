/** Tests the agent's handling of observations: gaps in the video, conditions of the box, and alert storms. */
import t from 'tap';
import type { Clock } from '../../agent/base/clock.ts';
import type { CameraCondition } from '../../agent/contract/condition.ts';
import type { ObservedTrack } from '../../agent/contract/observation.ts';
import type { RuleGrant, Ruling } from '../../agent/contract/permit.ts';
import type { RuleConfig } from '../../agent/contract/rule-config.ts';
import { permitReplay, permitUnder } from '../../agent/restraint/permit.ts';
import { configOf } from '../lib/agent.ts';
import { authorisationFor, signedAuthorisation } from '../lib/authority.ts';
import { allowing, KeptNotes, makeFlow } from '../lib/kept-notes.ts';
import { observation, track } from '../lib/street.ts';

const NO_BYTES = new Uint8Array();

const RULE: RuleConfig = {
  id: 'stays',
  kind: 'loitering',
  zone: 'square',
  purpose: 'public-order',
  classes: ['person'],
  afterS: 2,
};

/** Makes a flow without snapshots. Its clock follows the observations, and it continues from the notes in `kept`. */
function flow(alertsPerHour: number, notes = new KeptNotes(), boot = 'b', ruling?: Ruling) {
  let nowMs = 0;
  const clock: Clock = { nowMs: () => nowMs, wallMs: () => nowMs, sleep: () => Promise.resolve() };
  const { events } = notes;
  const agentFlow = makeFlow(notes, clock, { rules: [RULE], alertsPerHour }, { boot });
  agentFlow.start(notes);
  agentFlow.permit(ruling ?? allowing([RULE]));
  const see = (
    fromMs: number,
    toMs: number,
    tracks: ObservedTrack[],
    camera: CameraCondition[] = [],
    answers = true,
  ): number[] => {
    const requests: number[] = [];
    for (let atMs = fromMs; atMs < toMs; atMs += 200) {
      nowMs = atMs;
      const { evidence } = agentFlow.observe(observation(atMs, tracks, { camera }));
      requests.push(...evidence.map(({ request }) => request));
      if (!answers) continue;
      for (const { request } of evidence)
        agentFlow.evidence({ message: { kind: 'no-snapshot', request, reason: 'none' }, binary: NO_BYTES });
    }
    return requests;
  };
  const wait = (ms: number): void => {
    nowMs += ms;
  };
  const takeEvents = (): string[] =>
    events.splice(0).map(({ data: { rule, episode, phase } }) => `${rule.kind} ${episode} ${phase}`);
  return { agentFlow, events, see, takeEvents, wait };
}

function standingTrack(id: number, sinceMs: number, left = 0.4): ObservedTrack {
  return track(id, {
    firstMs: sinceMs,
    xyxyNorm: [left, 0.4, left + 0.05, 0.6],
    ground: [left + 0.025, 0.6],
    zones: [{ zone: 'square', sinceMs }],
  });
}

t.test('a condition begins once and ends once, restarts included', async (t) => {
  const notes = new KeptNotes();
  const first = flow(60, notes);
  first.agentFlow.condition('config-refused', true, { reason: 'line 3' });
  first.agentFlow.condition('load-shed', true, { reason: 'heat', fps: 3 });
  t.same(first.takeEvents(), ['config-refused b-e1 start', 'load-shed b-e2 start']);
  const second = flow(60, notes, 'c');
  second.agentFlow.condition('config-refused', true, { reason: 'line 3' });
  t.same(
    second.takeEvents(),
    ['load-shed b-e2 end', 'config-refused b-e1 update'],
    'a condition ends if its source does not repeat it at the start; others continue as updates',
  );
  const third = flow(60, notes, 'd');
  third.agentFlow.condition('config-refused', false, {});
  t.same(third.takeEvents(), ['config-refused b-e1 end'], 'two starts later it ends, as the same incident');
  t.same(flow(60, notes, 'e').takeEvents(), [], 'and no condition is left');
});

t.test('a suspension continues over a restart as one incident', async (t) => {
  const notes = new KeptNotes();
  const suspended: Ruling = { mode: 'suspended', reason: 'order', permit: undefined, refusals: new Map() };
  const first = flow(60, notes, 'b', suspended);
  t.same(first.takeEvents(), ['suspended b-e1 start']);
  const second = flow(60, notes, 'c', suspended);
  t.same(second.takeEvents(), ['suspended b-e1 update'], 'the same one');
  const third = flow(60, notes, 'd');
  t.same(third.takeEvents(), ['suspended b-e1 end'], 'resumed meanwhile');
});

t.test(
  'a rule’s event ends over a restart where it no longer applies, and continues where it does',
  async (t) => {
    const notes = new KeptNotes();
    const permit = permitReplay({ rules: [] });
    const refusal: Ruling = {
      mode: 'active',
      reason: null,
      permit,
      refusals: new Map([[RULE.id, 'zone square is not in the order']]),
    };
    t.same(flow(60, notes, 'b', refusal).takeEvents(), ['rule-unauthorised b-e1 start']);
    t.same(flow(60, notes, 'c', refusal).takeEvents(), ['rule-unauthorised b-e1 update'], 'the same one');
    const third = flow(1, notes, 'd');
    t.same(third.takeEvents(), ['rule-unauthorised b-e1 end'], 'an order that covers it has come');
    third.see(0, 5000, [standingTrack(1, 0, 0.1), standingTrack(2, 0, 0.5)]);
    t.match(third.takeEvents().at(-1), /^alert-limit .* start$/);
    const fourth = flow(60, notes, 'e');
    fourth.see(0, 400, []);
    t.match(fourth.takeEvents(), [/^alert-limit d-e.* end$/], 'its hour is forgotten with that life');
  },
);

t.test('an incident continues over a gap in the video when its object is found again', async (t) => {
  const { see, takeEvents } = flow(60);
  see(0, 5000, [standingTrack(1, 0)]);
  t.same(takeEvents(), ['loitering b-e1 start']);
  see(25_000, 30_000, [standingTrack(7, 25_000)]);
  t.same(takeEvents(), [], 'after 20 s without a picture it is the same incident, under another number');
  see(30_000, 34_000, []);
  t.same(takeEvents(), ['loitering b-e1 end'], 'and it ends as ever');
});

t.test('an unusable picture raises no incident, and active ones are held', async (t) => {
  for (const kind of ['frozen', 'covered', 'too-dark', 'moved', 'cannot-see'] as const) {
    const { see, takeEvents, agentFlow, events } = flow(60);
    see(0, 5000, [standingTrack(1, 0)]);
    t.same(takeEvents(), ['loitering b-e1 start']);
    see(5000, 50_000, [standingTrack(1, 0), standingTrack(2, 5000, 0.7)], [kind]);
    t.same(takeEvents(), [`${kind} b-e2 start`], `${kind}: one incident of its own, and no other`);
    t.equal(agentFlow.blind, true);
    t.equal(agentFlow.report.standing, 1);
    t.same(agentFlow.conditions, [kind], 'for a reader that has missed the event');
    see(50_000, 51_000, [standingTrack(7, 50_000)]);
    t.match(
      events.at(-1)?.data.cause,
      { places: ['square'], durationS: 45 },
      'the unwatched places and the time',
    );
    t.same(takeEvents(), [`${kind} b-e2 end`]);
    t.same(agentFlow.conditions, []);
    see(51_000, 60_000, [standingTrack(7, 50_000)]);
    t.same(takeEvents(), [], 'the active incident continues under another number');
    const counter = `camera_${kind.replaceAll('-', '_')}`;
    t.match(agentFlow.counters, { [counter]: 1, [`${counter}_s`]: 45, blind_s: 45 });
  }
});

t.test('a defocused camera still raises alerts, which say that they are doubtful', async (t) => {
  const { see, takeEvents, events, agentFlow } = flow(60);
  see(0, 5000, [standingTrack(1, 0)], ['defocused']);
  t.equal(agentFlow.blind, false, 'a blurred picture still shows where a person is');
  t.same(
    events.map(({ data }) => data.degraded),
    [undefined, ['defocused']],
    'the alert; not what the box says of itself',
  );
  t.same(takeEvents(), ['defocused b-e1 start', 'loitering b-e2 start']);
  see(5000, 9000, []);
  t.equal(events.at(-1)?.data.degraded, undefined, 'sharp again');
});

t.test('the box reports itself blind without a stream or without vision', async (t) => {
  const { agentFlow, see, events } = flow(60);
  see(0, 5000, []);
  agentFlow.condition('stream-lost', true, { reason: 'pulled' });
  t.match(events.at(-1)?.data.cause, { reason: 'pulled', places: ['square'] });
  see(12_000, 15_000, []);
  agentFlow.visionReturns();
  see(20_000, 21_000, []);
  t.match(agentFlow.counters, { blind_s: 12 }, '7 s and 5 s');
});

t.test('an incident whose object has gone in a gap ends after the time of its rule', async (t) => {
  const { see, takeEvents } = flow(60);
  see(0, 5000, [standingTrack(1, 0)]);
  takeEvents();
  see(25_000, 25_000 + 32_000, []);
  t.same(takeEvents(), [], '2 s of the rule and half a minute on top, from the first picture');
  see(57_000, 57_400, []);
  t.same(takeEvents(), ['loitering b-e1 end']);
});

t.test('too many alerts become one event of the box with their number', async (t) => {
  const { see, takeEvents, events, agentFlow } = flow(2);
  const people = [
    standingTrack(1, 0, 0.1),
    standingTrack(2, 0, 0.3),
    standingTrack(3, 0, 0.5),
    standingTrack(4, 0, 0.7),
  ];
  see(0, 5000, people);
  const [first, second, overflow] = events;
  t.same(
    [first, second, overflow].map((event) => event?.data.severity),
    ['alert', 'alert', 'system'],
  );
  t.match(overflow?.data, {
    rule: { id: 'stays', kind: 'alert-limit', params: { kind: 'loitering', alertsPerHour: 2 } },
    phase: 'start',
    zone: { id: 'square' },
  });
  t.equal(takeEvents().length, 3);
  t.equal(agentFlow.counters['alerts_suppressed'], 2);
  see(5000, 10_000, []);
  t.same(takeEvents(), ['loitering b-e1 end', 'loitering b-e2 end']);
  see(3_605_000, 3_605_400, []);
  t.match(events[0]?.data, { phase: 'end', cause: { suppressed: 2, ended: 'recovered' } });
  t.same(takeEvents(), ['alert-limit b-e3 end']);
});

t.test(
  'a rule runs as far as it is permitted: shadow only counts, without a grant it is blind, events name their basis',
  async (t) => {
    const { see, takeEvents, events, agentFlow } = flow(60);
    const signed = String(
      signedAuthorisation(authorisationFor(configOf({ site: 'site', box: 'box' }, 'replay'))),
    );
    const rule = (grant: RuleGrant | undefined): void => {
      const permit = permitUnder(signed, [{ rule: RULE.id, grant, reason: undefined }]);
      agentFlow.permit({ mode: 'active', reason: null, permit, refusals: new Map() });
    };
    const terms = { legalBasis: 'art. 1', validUntil: '2027-01-01T00:00:00.000Z' };
    rule({ ...terms, shadow: true });
    see(0, 5000, [standingTrack(1, 0)]);
    t.same(takeEvents(), []);
    t.equal(agentFlow.shadowed(RULE.id), 1);
    rule({ ...terms, shadow: false });
    see(5000, 10_000, [standingTrack(1, 0)]);
    t.match(events[0]?.data, { zone: { id: 'square', purpose: 'public-order', ...terms }, mode: 'active' });
    t.same(takeEvents(), ['loitering b-e1 start']);
    rule(undefined);
    t.same(takeEvents(), ['loitering b-e1 end']);
    see(10_000, 20_000, [standingTrack(1, 0)]);
    t.same(takeEvents(), [], 'a rule without permission is not evaluated');
    t.equal(agentFlow.shadowed(RULE.id), 1);
  },
);

t.test('a picture that does not come is counted as missed once', async (t) => {
  const { see, takeEvents, agentFlow, wait } = flow(60);
  const requests = see(0, 5000, [standingTrack(1, 0)], [], false);
  t.equal(requests.length, 1);
  t.same(takeEvents(), [], 'its alert waits for it');
  wait(4000);
  agentFlow.flush();
  t.same(takeEvents(), ['loitering b-e1 start'], 'not indefinitely');
  t.match(agentFlow.counters, { evidence_missed: 1 });
  for (const request of requests)
    agentFlow.evidence({ message: { kind: 'no-snapshot', request, reason: 'late' }, binary: NO_BYTES });
  t.match(agentFlow.counters, { evidence_missed: 1 }, 'said too late');
});

void t.test('a receipt is sent with the reason for a missing picture, also after a kill', async (t) => {
  const notes = new KeptNotes();
  const before = flow(5, notes, 'b1');
  before.see(0, 1000, []);
  const requests = before.agentFlow.installed({ passed: true, session: '0123456789abcdef' });
  t.match(
    requests,
    [{ atMs: 800, focus: [], seal: false }],
    'one picture of the last frame, and none to seal',
  );
  t.strictSame(before.takeEvents(), [], 'it waits for its picture');

  const after = flow(5, notes, 'b2');
  const [start, end] = after.events;
  t.match(start?.data, {
    rule: { kind: 'installed' },
    phase: 'start',
    cause: { passed: true },
    evidence: { absent: 'the agent ended before it was made' },
  });
  t.match(end?.data, { rule: { kind: 'installed' }, phase: 'end' });

  after.events.length = 0;
  after.agentFlow.noEvidence(after.agentFlow.installed({ passed: false }), 'suspended');
  t.match(after.events[0]?.data, { evidence: { absent: 'suspended' } });
});

/** The bridges' forms, kind by kind; the published contract is what they are held against. */
import t from 'tap';
import { Bridges } from '../../agent/bridge/bridges.ts';
import { frigateState } from '../../agent/bridge/frigate.ts';
import { homeAssistantConfigs } from '../../agent/bridge/home-assistant.ts';
import { onvifNotices } from '../../agent/bridge/onvif.ts';
import type { Notice } from '../../agent/contract/bridge.ts';
import type { Phase } from '../../agent/contract/event.ts';
import type { UnnumberedEvent } from '../../agent/contract/event-sink.ts';
import { RULE_SCHEMAS, type RuleConfig } from '../../agent/contract/rule-config.ts';
import { eventOf, subjectOfCondition, subjectOfRule } from '../../agent/incident/event.ts';
import { Contract } from '../../scripts/lib/contract.ts';
import { track } from '../lib/street.ts';

const ROOT = 'vigie/s/b';
const BOX = {
  site: 's',
  box: 'b',
  root: ROOT,
  statusTopic: `${ROOT}/status`,
  healthTopic: `${ROOT}/health`,
  version: '1',
};
const FRAME = { widthPx: 1000, heightPx: 500 };
const contract = new Contract();
let events = 0;

function event(
  kind: string,
  phase: Phase,
  over: { episode?: string; cause?: object; objects?: number[] } = {},
) {
  const place = kind === 'line-crossing' ? { line: 'l' } : { zone: 'z' };
  const isRule = RULE_SCHEMAS.some(({ properties }) => properties.kind.const === kind);
  const rule = { id: `r-${kind}`.slice(0, 32), kind, purpose: 'counting', ...place } as unknown as RuleConfig;
  const { episode = 'e1', cause = {}, objects = [7] } = over;
  const situation = {
    key: 'k',
    objects: objects.map((id) => track(id)),
    cause: cause as Record<string, unknown>,
    momentary: false,
  };
  const transition = { episode, phase, situation, atMs: 5000, standingMs: 2000 };
  events += 1;
  return eventOf(isRule ? subjectOfRule(rule, undefined) : subjectOfCondition(kind), transition, {
    id: `x-${events}`,
    site: 's',
    box: 'b',
    evidence: {},
    clockSynced: true,
    degraded: [],
    mode: 'active',
    wallAtMs: (ms) => Date.UTC(2026, 10, 24) + ms,
  });
}

/** Publishes what the contract allows, as the broker would see it; returns topic and payload. */
function published({ topic, payload, contentType, retain }: Notice): [string, unknown] {
  const packet = {
    cmd: 'publish',
    topic,
    payload,
    qos: 0,
    retain,
    dup: false,
    properties: { contentType },
  } as const;
  const faults = contract.faults(packet);
  if (faults.length > 0) throw new Error(faults.join('; '));
  return [
    topic.replace(`${ROOT}/onvif-ej/`, ''),
    contentType.includes('json') ? JSON.parse(payload) : payload,
  ];
}

void t.test('ONVIF: every kind has its topic, or is left out on purpose', async (t) => {
  const context = { inside: [], counted: 3 };
  const told = (of: UnnumberedEvent, over = {}): unknown[] =>
    onvifNotices(ROOT, of, { ...context, ...over }).map(published);
  const source = (rule: string): object => ({ VideoSource: '1', AnalyticsConfiguration: '1', Rule: rule });
  const UtcTime = '2026-11-24T00:00:05.000Z';

  t.strictSame(told(event('loitering', 'start')), [
    [
      'RuleEngine/LoiteringDetector/ObjectIsLoitering/&1/1/r-loitering',
      {
        UtcTime,
        PropertyOperation: 'Initialized',
        Source: source('r-loitering'),
        Data: { ObjectId: '7', Since: '2026-11-24T00:00:00.000Z' },
      },
    ],
  ]);
  for (const kind of ['illegal-parking', 'vehicle-in-pedestrian-zone']) {
    const rule = `r-${kind}`;
    const topic = `RuleEngine/FieldDetector/ObjectsInside/&1/1/${rule}`;
    const inside = (phase: Phase, ids: number[]) => told(event(kind, phase), { inside: ids })[0];
    const PropertyOperation = 'Changed';
    t.match(inside('start', [7]), [topic, { PropertyOperation, Data: { ObjectId: '7', IsInside: true } }]);
    t.match(
      inside('end', [9]),
      [topic, { Data: { ObjectId: '9', IsInside: true } }],
      'another is still inside',
    );
    t.match(inside('end', []), [topic, { PropertyOperation, Data: { ObjectId: '', IsInside: false } }]);
  }
  t.match(told(event('line-crossing', 'start')), [
    ['RuleEngine/LineDetector/Crossed/&1/1/r-line-crossing', { Data: { ObjectId: '7' } }],
    ['RuleEngine/CountAggregation/Counter/&1/1/r-line-crossing', { Data: { Count: 3 } }],
  ]);
  t.strictSame(told(event('line-crossing', 'end')), [], 'a crossing is told once');
  t.match(told(event('crowd-gathering', 'update', { cause: { count: 12 }, objects: [1, 2] })), [
    [/CountAggregation\/OccupancyCounter/, { PropertyOperation: 'Changed', Data: { Count: 12 } }],
  ]);
  t.match(told(event('crowd-gathering', 'end', { cause: { count: 12 } })), [[/./, { Data: { Count: 0 } }]]);
  t.match(told(event('illegal-dumping', 'start', { objects: [] })), [
    ['RuleEngine/ObjectAbandoned/&1/1/r-illegal-dumping', { Data: { ObjectId: 'e1' } }],
  ]);
  t.match(told(event('wrong-way', 'start')), [
    [/^RuleEngine\/vigie:WrongWay\//, { Data: { ObjectId: '7' } }],
  ]);
  t.match(told(event('graffiti', 'start', { objects: [] })), [[/^RuleEngine\/vigie:SurfacePainted\//, {}]]);
  t.strictSame(told(event('stream-lost', 'start')), [
    [
      'VideoSource/SignalLoss/&1/stream-lost',
      {
        UtcTime,
        PropertyOperation: 'Changed',
        Source: { VideoSource: '1', RuleName: 'stream-lost' },
        Data: { State: true },
      },
    ],
  ]);
  t.match(told(event('stream-lost', 'end')), [[/SignalLoss/, { Data: { State: false } }]]);
  for (const [kind, topic] of [
    ['too-dark', 'VideoSource/ImageTooDark/AnalyticsService'],
    ['defocused', 'VideoSource/ImageTooBlurry/AnalyticsService'],
    ['covered', 'VideoSource/GlobalSceneChange/AnalyticsService'],
    ['moved', 'VideoSource/GlobalSceneChange/AnalyticsService'],
  ] as const) {
    t.match(told(event(kind, 'start')), [[`${topic}/&1/${kind}`, { Data: { State: true } }]]);
    t.match(told(event(kind, 'end')), [[`${topic}/&1/${kind}`, { Data: { State: false } }]]);
  }
  t.strictSame(told(event('detector-down', 'start')), [], 'ONVIF has no word for the box itself');
  for (const { properties } of RULE_SCHEMAS) {
    t.ok(told(event(properties.kind.const, 'start')).length > 0, `${properties.kind.const} is mapped`);
  }
});

void t.test('Home Assistant: an entity a rule, unique ids, own topics', async (t) => {
  const rules = RULE_SCHEMAS.map(({ properties }) => ({
    id: `r-${properties.kind.const}`,
    kind: properties.kind.const,
  }));
  const configs = homeAssistantConfigs(BOX, rules).map(published);
  t.equal(configs.length, RULE_SCHEMAS.length + 3);
  t.equal(
    new Set(configs.map(([, config]) => (config as { unique_id: string }).unique_id)).size,
    configs.length,
  );
  for (const [topic] of configs)
    t.match(topic, /^homeassistant\/(binary_sensor|sensor)\/b\/[a-z-]+\/config$/);
});

void t.test('Frigate: pixels of the frame, and no state without an object', async (t) => {
  const after = frigateState(event('loitering', 'start'), FRAME, undefined);
  t.match(after, { box: [400, 200, 450, 300], area: 5000, ratio: 0.5, region: [0, 0, 1000, 500], id: 'e1' });
  t.equal(after?.start_time, Date.UTC(2026, 10, 24, 0, 0, 3) / 1000, 'when the incident began');
  t.equal(frigateState(event('graffiti', 'start', { objects: [] }), FRAME, undefined), undefined);
});

void t.test('the bridges together: what stands, what is told before and after, what is lost', async (t) => {
  const told: [string, unknown][] = [];
  let frame: typeof FRAME | undefined;
  let away = true;
  const bridges = new Bridges({
    config: {
      bridges: { onvif: false, homeAssistant: true, frigate: true },
      rules: [{ id: 'r-loitering', kind: 'loitering' } as RuleConfig],
    },
    box: BOX,
    status: {
      get frameSize() {
        return frame;
      },
    },
    publisher: {
      notice: (notice) => {
        if (!away) told.push(published(notice));
        return !away;
      },
    },
  });
  bridges.online();
  t.strictSame(
    bridges.counters,
    { bridge_published: 0, bridge_dropped: 5 },
    'nobody there: four configurations and a state',
  );
  away = false;
  bridges.online();
  t.equal(told.length, 5);
  const state = (): unknown =>
    told.filter(([topic]) => topic.endsWith('/home-assistant/r-loitering')).at(-1)?.[1];
  t.equal(state(), 'OFF');

  bridges.accepted(event('loitering', 'start'));
  t.equal(bridges.counters['bridge_dropped'], 6, 'no frame was seen yet: Frigate’s pixels are unknown');
  frame = FRAME;
  bridges.accepted(event('loitering', 'start', { episode: 'e2' }));
  t.equal(state(), 'ON');
  bridges.accepted(event('loitering', 'end'));
  t.equal(state(), 'ON', 'the other still stands');
  bridges.accepted(event('loitering', 'update', { episode: 'e2', objects: [9] }));
  frame = undefined;
  bridges.accepted(event('loitering', 'end', { episode: 'e2' }));
  t.equal(state(), 'OFF');
  bridges.accepted(event('stream-lost', 'start', { objects: [] }));
  t.match(
    told.filter(([topic]) => topic.endsWith('/frigate/events')).map(([, told]) => told),
    [
      { type: 'new', after: { id: 'e2', end_time: null } },
      { type: 'end', after: { id: 'e1', end_time: Number } },
      { type: 'update', before: { end_time: null }, after: { id: 'e2' } },
      { type: 'end', before: { end_time: null }, after: { end_time: Number, current_zones: [] } },
    ],
  );
  const text = JSON.stringify(told);
  t.notMatch(text, /"(sub_label|recognized_license_plate)":"/, 'nobody and no plate is named');
});

/** Tests the messages of the bridges, kind by kind, against the published contract. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Bridges, type BridgesOptions } from '../../agent/bridge/bridges.ts';
import { homeAssistantRetained } from '../../agent/bridge/home-assistant.ts';
import { onvifNotices } from '../../agent/bridge/onvif.ts';
import type { Notice } from '../../agent/contract/bridge.ts';
import type { Phase } from '../../agent/contract/event.ts';
import type { UnnumberedEvent } from '../../agent/contract/event-sink.ts';
import { RULE_SCHEMAS, type RuleConfig } from '../../agent/contract/rule-config.ts';
import { eventOf, subjectOfCondition, subjectOfRule } from '../../agent/incident/event.ts';
import { Contract } from '../../scripts/workshop/docs/contract.ts';
import { redacted, SILENT } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';
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
  const transition = { episode, phase, situation, atMs: 5000, activeMs: 2000 };
  events += 1;
  return eventOf(isRule ? subjectOfRule(rule, undefined) : subjectOfCondition(kind), transition, {
    id: `x-${events}`,
    site: 's',
    box: 'b',
    evidence: {},
    clockSynced: true,
    timeZone: 'Europe/Paris',
    degraded: [],
    mode: 'active',
    wallAtMs: (ms) => Date.UTC(2026, 10, 24) + ms,
  });
}

/** Publishes what the contract allows, as the broker would see it; returns topic and payload. */
function publishNotice({ topic, payload, contentType, retain }: Notice): [string, unknown] {
  const body = typeof payload === 'string' ? payload : Buffer.from(payload.bytes);
  const packet = {
    cmd: 'publish',
    topic,
    payload: body,
    qos: 0,
    retain,
    dup: false,
    properties: { contentType },
  } as const;
  const problems = contract.problems(packet);
  if (problems.length > 0) throw new Error(problems.join('; '));
  return [
    topic.replace(`${ROOT}/onvif-ej/`, ''),
    contentType.includes('json') ? JSON.parse(String(body)) : body,
  ];
}

/** Makes bridges whose notices are collected and checked against the contract. */
function bridgesOf(t: Test, over: Partial<BridgesOptions> = {}) {
  const messages: [string, unknown][] = [];
  const options: BridgesOptions = {
    config: { bridges: { onvif: false, homeAssistant: true }, rules: [] },
    box: BOX,
    publisher: {
      notice: (notice) => {
        messages.push(publishNotice(notice));
        return true;
      },
    },
    stateDir: scratch(t),
    log: SILENT,
    retention: { snapshotsDays: () => 7 },
    ...over,
  };
  return { bridges: new Bridges(options), messages, options };
}

void t.test('a box with its bridges off publishes nothing through them', async (t) => {
  const off = { bridges: { onvif: false, homeAssistant: false }, rules: [ruleOf('loitering')] };
  const { bridges, messages } = bridgesOf(t, { config: off });
  bridges.online();
  bridges.accepted(event('loitering', 'start'), []);
  t.strictSame(messages, []);
});

/** Makes a rule of each kind, named after its kind. */
function ruleOf(kind: RuleConfig['kind']): RuleConfig {
  return { id: `r-${kind}`.slice(0, 32), kind } as RuleConfig;
}

void t.test('every kind has its ONVIF topic, or is left out on purpose', async (t) => {
  const context = { inside: [], counted: 3 };
  const messagesOf = (of: UnnumberedEvent, over = {}): unknown[] =>
    onvifNotices(ROOT, of, { ...context, ...over }).map(publishNotice);
  const source = (rule: string): object => ({ VideoSource: '1', AnalyticsConfiguration: '1', Rule: rule });
  const UtcTime = '2026-11-24T00:00:05.000Z';

  t.strictSame(messagesOf(event('loitering', 'start')), [
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
    const inside = (phase: Phase, ids: number[]) => messagesOf(event(kind, phase), { inside: ids })[0];
    const PropertyOperation = 'Changed';
    t.match(inside('start', [7]), [topic, { PropertyOperation, Data: { ObjectId: '7', IsInside: true } }]);
    t.match(
      inside('end', [9]),
      [topic, { Data: { ObjectId: '9', IsInside: true } }],
      'another is still inside',
    );
    t.match(inside('end', []), [topic, { PropertyOperation, Data: { ObjectId: '', IsInside: false } }]);
  }
  t.match(messagesOf(event('line-crossing', 'start')), [
    ['RuleEngine/LineDetector/Crossed/&1/1/r-line-crossing', { Data: { ObjectId: '7' } }],
    ['RuleEngine/CountAggregation/Counter/&1/1/r-line-crossing', { Data: { Count: 3 } }],
  ]);
  t.strictSame(messagesOf(event('line-crossing', 'end')), [], 'a crossing is one event');
  t.match(messagesOf(event('crowd-gathering', 'update', { cause: { count: 12 }, objects: [1, 2] })), [
    [/CountAggregation\/OccupancyCounter/, { PropertyOperation: 'Changed', Data: { Count: 12 } }],
  ]);
  t.match(messagesOf(event('crowd-gathering', 'end', { cause: { count: 12 } })), [
    [/./, { Data: { Count: 0 } }],
  ]);
  t.match(messagesOf(event('illegal-dumping', 'start', { objects: [] })), [
    ['RuleEngine/ObjectAbandoned/&1/1/r-illegal-dumping', { Data: { ObjectId: 'e1' } }],
  ]);
  t.match(messagesOf(event('wrong-way', 'start')), [
    [/^RuleEngine\/vigie:WrongWay\//, { Data: { ObjectId: '7' } }],
  ]);
  t.match(messagesOf(event('graffiti', 'start', { objects: [] })), [
    [/^RuleEngine\/vigie:SurfacePainted\//, {}],
  ]);
  t.strictSame(messagesOf(event('stream-lost', 'start')), [
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
  for (const [kind, topic] of [
    ['stream-lost', 'VideoSource/SignalLoss'],
    ['too-dark', 'VideoSource/ImageTooDark/AnalyticsService'],
    ['defocused', 'VideoSource/ImageTooBlurry/AnalyticsService'],
    ['covered', 'VideoSource/GlobalSceneChange/AnalyticsService'],
    ['moved', 'VideoSource/GlobalSceneChange/AnalyticsService'],
  ] as const) {
    for (const [phase, State] of [
      ['start', true],
      ['end', false],
    ] as const)
      t.match(messagesOf(event(kind, phase)), [[`${topic}/&1/${kind}`, { Data: { State } }]]);
  }
  t.strictSame(messagesOf(event('detector-down', 'start')), [], 'ONVIF has no word for the box itself');
  for (const { properties } of RULE_SCHEMAS) {
    t.ok(messagesOf(event(properties.kind.const, 'start')).length > 0, `${properties.kind.const} is mapped`);
  }
});

void t.test('Home Assistant entities follow its documentation', async (t) => {
  const rules = RULE_SCHEMAS.map(({ properties }) => ruleOf(properties.kind.const));
  const retained = homeAssistantRetained(BOX, rules, () => 0);
  const all = retained.map(publishNotice);
  const configs = all.filter(([topic]) => topic.startsWith('homeassistant/')) as [
    string,
    Record<string, unknown>,
  ][];
  t.ok(
    retained.every(({ retain }) => retain),
    'all of it is retained',
  );
  const unique = configs.map(([, { unique_id }]) => unique_id);
  t.equal(new Set(unique).size, unique.length, 'unique ids');
  const of = (component: string) => configs.filter(([topic]) => topic.split('/')[1] === component);
  t.equal(of('event').length, rules.length, 'an event of every rule');
  t.equal(of('binary_sensor').length, rules.length - 1, 'a state of every rule whose incidents last');
  t.equal(of('image').length, 1);
  t.equal(of('sensor').length, 3);
  for (const [topic, config] of configs) {
    // https://www.home-assistant.io/integrations/mqtt/#discovery-topic
    t.match(topic, /^homeassistant\/\w+\/[a-zA-Z0-9_-]+\/[a-zA-Z0-9_-]+\/config$/);
    t.match(config, {
      availability: [
        { topic: `${ROOT}/status`, payload_available: 'online', payload_not_available: 'offline' },
      ],
      device: { identifiers: ['vigie_s_b'], name: 'b' },
      origin: { name: 'vigie', sw_version: '1' },
    });
  }
  const configOf = (component: string, kind: RuleConfig['kind']) =>
    of(component).find(([topic]) => topic.endsWith(`/rule-${ruleOf(kind).id}/config`))?.[1];
  t.equal(configOf('binary_sensor', 'line-crossing'), undefined, 'a crossing has no duration, and no state');
  t.match(configOf('event', 'line-crossing'), {
    state_topic: `${ROOT}/home-assistant/r-line-crossing/event`,
    event_types: ['start'],
    device_class: 'motion',
    unique_id: 'vigie_s_b_rule-r-line-crossing_event',
  });
  t.match(configOf('event', 'wrong-way'), {
    event_types: ['start', 'update', 'end'],
    device_class: 'motion',
  });
  t.match(configOf('event', 'graffiti'), {
    event_types: ['start', 'update', 'end'],
    device_class: undefined,
  });
  t.match(of('image')[0]?.[1], {
    image_topic: `${ROOT}/home-assistant/box/image`,
    content_type: 'image/jpeg',
    state_topic: undefined,
  });
});

void t.test(
  'a crossing is one Home Assistant event with its picture before it, and no ON and OFF',
  async (t) => {
    const rules = [ruleOf('line-crossing'), ruleOf('loitering')];
    const notices: Notice[] = [];
    const { bridges, messages } = bridgesOf(t, {
      config: { bridges: { onvif: false, homeAssistant: true }, rules },
      publisher: {
        notice: (notice) => Boolean(notices.push(notice)) && Boolean(messages.push(publishNotice(notice))),
      },
    });
    const picture = redacted(Buffer.from('jpeg'));
    const crossing = event('line-crossing', 'start', { cause: { direction: 'left' } });
    bridges.accepted(crossing, [{ moment: 'snapshot', picture }]);
    bridges.accepted(event('line-crossing', 'end'), []);
    const root = `${ROOT}/home-assistant`;
    t.strictSame(
      messages.map(([topic]) => topic),
      [`${root}/box/image`, `${root}/r-line-crossing/event`],
    );
    t.match(messages[1]?.[1], {
      event_type: 'start',
      rule: 'r-line-crossing',
      kind: 'line-crossing',
      severity: 'alert',
      line: 'l',
      episode: 'e1',
      event_id: crossing.id,
      objects: [{ track: 7, label: 'person' }],
      cause: { direction: 'left' },
    });
    t.match(notices[0], { retain: false, expiryS: 7 * 86_400 }, 'the broker keeps no picture');
    t.equal(notices[1]?.retain, false, 'Home Assistant leaves a retained event out');

    messages.length = 0;
    bridges.accepted(event('loitering', 'start', { episode: 'e2' }), [{ moment: 'before', picture }]);
    bridges.accepted(event('loitering', 'end', { episode: 'e2' }), []);
    bridges.accepted(event('stream-lost', 'start', { objects: [] }), [{ moment: 'snapshot', picture }]);
    t.match(
      messages,
      [
        [`${root}/r-loitering/event`, { event_type: 'start', zone: 'z' }],
        [`${root}/r-loitering`, 'ON'],
        [`${root}/r-loitering/event`, { event_type: 'end' }],
        [`${root}/r-loitering`, 'OFF'],
      ],
      'no other picture than that of the alert itself',
    );
    t.equal(messages.length, 4);
  },
);

void t.test('Home Assistant entities are removed with their rule or the bridge', async (t) => {
  const config = (homeAssistant: boolean, ...kinds: RuleConfig['kind'][]): BridgesOptions['config'] => ({
    bridges: { onvif: false, homeAssistant },
    rules: kinds.map(ruleOf),
  });
  const stateDir = scratch(t);
  const removed = (messages: [string, unknown][]): string[] =>
    messages.filter(([, payload]) => payload === '').map(([topic]) => topic);
  const of = (rule: string, ...components: string[]): string[] => [
    ...components.map((component) => `homeassistant/${component}/b/rule-${rule}/config`),
    `${ROOT}/home-assistant/${rule}`,
  ];
  const first = bridgesOf(t, { stateDir, config: config(true, 'loitering', 'graffiti') });
  first.bridges.online();
  t.strictSame(removed(first.messages), [], 'nothing was there before');

  const offline = bridgesOf(t, {
    stateDir,
    config: config(true, 'graffiti'),
    publisher: { notice: () => false },
  });
  offline.bridges.online();
  const second = bridgesOf(t, { stateDir, config: config(true, 'graffiti') });
  second.bridges.online();
  const removedTopics = of('r-loitering', 'event', 'binary_sensor').sort();
  t.strictSame(removed(second.messages).sort(), removedTopics, 'also after an attempt that did not go out');
  second.messages.length = 0;
  second.bridges.online();
  t.strictSame(removed(second.messages).sort(), removedTopics, 'and once more on a further connection');
  const third = bridgesOf(t, { stateDir, config: config(true, 'graffiti') });
  third.bridges.online();
  t.strictSame(removed(third.messages), [], 'then it is done');

  const off = bridgesOf(t, { stateDir, config: config(false, 'graffiti') });
  off.bridges.online();
  t.strictSame(
    removed(off.messages),
    off.messages.map(([topic]) => topic),
    'switched off it sends no more',
  );
  t.equal(off.messages.length, 7, 'two entities and a state of the rule, the picture, three sensors');

  const file = join(stateDir, 'home-assistant.json');
  const foreign = ['homeassistant/sensor/other/x/config', 'vigie/s/b/status', `${ROOT}/home-assistant/#`];
  writeFileSync(file, JSON.stringify({ version: 1, topics: foreign }));
  const careful = bridgesOf(t, { stateDir, config: config(true) });
  careful.bridges.online();
  t.strictSame(removed(careful.messages), [], 'no foreign topics, whatever the file says');
  writeFileSync(file, 'damaged');
  const damaged = bridgesOf(t, { stateDir, config: config(true) });
  damaged.bridges.online();
  t.equal(damaged.messages.length, 4, 'a file that cannot be read keeps nothing from going on');
  t.match(JSON.parse(readFileSync(file, 'utf8')), { version: 1, topics: { length: 4 } });
});

void t.test('both bridges together keep the state of active incidents and count lost notices', async (t) => {
  let isOffline = true;
  const { bridges, messages } = bridgesOf(t, {
    config: {
      bridges: { onvif: false, homeAssistant: true },
      rules: [ruleOf('loitering')],
    },
    publisher: {
      notice: (notice) => {
        if (!isOffline) messages.push(publishNotice(notice));
        return !isOffline;
      },
    },
  });
  bridges.online();
  t.strictSame(
    bridges.counters,
    { bridge_published: 0, bridge_dropped: 7, bridge_forgotten: 0 },
    'no one present: six configurations and a state',
  );
  isOffline = false;
  bridges.online();
  t.equal(messages.length, 7);
  const state = (): unknown =>
    messages.filter(([topic]) => topic.endsWith('/home-assistant/r-loitering')).at(-1)?.[1];
  t.equal(state(), 'OFF');

  bridges.accepted(event('loitering', 'start'), []);
  bridges.accepted(event('loitering', 'start', { episode: 'e2' }), []);
  t.equal(state(), 'ON');
  bridges.accepted(event('loitering', 'end'), []);
  t.equal(state(), 'ON', 'the other incident is still active');
  bridges.accepted(event('loitering', 'update', { episode: 'e2', objects: [9] }), []);
  bridges.accepted(event('loitering', 'end', { episode: 'e2' }), []);
  t.equal(state(), 'OFF');
  bridges.accepted(event('stream-lost', 'start', { objects: [] }), []);
  t.equal(bridges.counters['bridge_dropped'], 7, 'nothing more was lost');
});

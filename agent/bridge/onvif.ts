/**
 * Event in the format of ONVIF's event broker: `<prefix>/onvif-ej/<topic>/&<source values>` with {UtcTime,
 * PropertyOperation?, Source, Data}.
 * Topics and data items come from the ONVIF Analytics Service Specification (rule engine, tampering) and ONVIF Core,
 * "Topic Structure" and "JSON Event Payload". If ONVIF defines no name, the topic has the alias `vigie:`, which Core
 * requires of extensions.
 */
import { jsonNotice, type Notice } from '../contract/bridge.ts';
import { type ConditionKind, isConditionKind } from '../contract/condition.ts';
import type { Phase } from '../contract/event.ts';
import type { UnnumberedEvent } from '../contract/event-sink.ts';
import { isRuleKind, type RuleKind } from '../contract/rule-config.ts';

/** One box, one camera, one analytics configuration. */
const VIDEO_SOURCE = '1';
const ANALYTICS_CONFIGURATION = '1';
/** Maximum number of objects in an event. */
const IDS_MAX = 64;

/** Context of an event that it does not contain itself. */
export interface OnvifContext {
  /** Track numbers of the rule's incidents that are active after this event. */
  readonly inside: readonly number[];
  /** Incidents of the rule since the agent started, including this one. */
  readonly counted: number;
}

interface OnvifNotice {
  readonly topic: string;
  readonly data: Readonly<Record<string, string | number | boolean>>;
  /**
   * `state`: a permanent property of the rule that changes its value. `life`: a property that begins and ends with the
   * incident. `once`: a single occurrence.
   */
  readonly as: 'state' | 'life' | 'once';
}

const PROPERTY_OPERATIONS: Readonly<Record<Phase, string>> = {
  start: 'Initialized',
  update: 'Changed',
  end: 'Deleted',
};

type Tell = (event: UnnumberedEvent, context: OnvifContext) => OnvifNotice[];

const RULES: Readonly<Record<RuleKind, Tell>> = {
  'vehicle-in-pedestrian-zone': objectsInside,
  'illegal-parking': objectsInside,
  loitering: ({ data }) => [
    onvifNotice('life', 'RuleEngine/LoiteringDetector/ObjectIsLoitering', {
      ObjectId: objectIds(data),
      Since: data.objects[0]?.since ?? '',
    }),
  ],
  'line-crossing': ({ data }, { counted }) => [
    onvifNotice('once', 'RuleEngine/LineDetector/Crossed', { ObjectId: objectIds(data) }),
    onvifNotice('once', 'RuleEngine/CountAggregation/Counter', { Count: counted }),
  ],
  'crowd-gathering': ({ data }) => [
    onvifNotice('state', 'RuleEngine/CountAggregation/OccupancyCounter', {
      Count: data.phase === 'end' ? 0 : Number(data.cause['count'] ?? data.objects.length),
    }),
  ],
  // The object itself has no track; its episode is its only number.
  'illegal-dumping': ({ data }) => [
    onvifNotice('once', 'RuleEngine/ObjectAbandoned', { ObjectId: data.episode }),
  ],
  'wrong-way': ({ data }) => [
    onvifNotice('life', 'RuleEngine/vigie:WrongWay', { ObjectId: objectIds(data) }),
  ],
  graffiti: ({ data }) => [
    onvifNotice('once', 'RuleEngine/vigie:SurfacePainted', { ObjectId: data.episode }),
  ],
};

/** Topics of ONVIF's tampering detection. Null if ONVIF has no name for the condition, which is then not published. */
const CONDITION_TOPICS: Readonly<Record<ConditionKind, string | null>> = {
  'alert-limit': null,
  'rule-unauthorised': null,
  suspended: null,
  unauthorised: null,
  'stream-lost': 'VideoSource/SignalLoss',
  frozen: null,
  covered: 'VideoSource/GlobalSceneChange/AnalyticsService',
  'too-dark': 'VideoSource/ImageTooDark/AnalyticsService',
  moved: 'VideoSource/GlobalSceneChange/AnalyticsService',
  'cannot-see': 'VideoSource/ImageTooBlurry/AnalyticsService',
  defocused: 'VideoSource/ImageTooBlurry/AnalyticsService',
  'detector-down': null,
  'detector-fallback': null,
  preview: null,
  'config-refused': null,
  'vision-failed': null,
  'decoder-crashloop': null,
  'load-shed': null,
  'storage-readonly': null,
  'journal-down': null,
  'identity-conflict': null,
  'certificate-expiring': null,
  'authorisation-expiring': null,
  'high-false-alarm-rate': null,
  installed: null,
  'config-changed': null,
  'mask-removed': null,
  'update-failed': null,
  'certificate-refused': null,
};

/**
 * Returns the ONVIF notices of an event. `root` is the topic prefix, which names the producer: `vigie/<site>/<box>`.
 */
export function onvifNotices(root: string, event: UnnumberedEvent, context: OnvifContext): Notice[] {
  const { rule, phase, severity } = event.data;
  const condition = severity === 'system';
  const all = condition ? conditionTold(rule.kind, phase) : ruleTold(event, context);
  const source = sourceOf(condition, condition ? rule.kind : rule.id);
  return all
    .filter(({ as }) => as !== 'once' || phase === 'start')
    .map(({ topic, data, as }) =>
      jsonNotice(`${root}/onvif-ej/${topic}/&${Object.values(source).join('/')}`, {
        UtcTime: event.time,
        ...(as !== 'once' && { PropertyOperation: as === 'state' ? 'Changed' : PROPERTY_OPERATIONS[phase] }),
        Source: source,
        Data: data,
      }),
    );
}

function ruleTold(event: UnnumberedEvent, context: OnvifContext): OnvifNotice[] {
  const { kind } = event.data.rule;
  return isRuleKind(kind) ? RULES[kind](event, context) : [];
}

function conditionTold(kind: string, phase: Phase): OnvifNotice[] {
  const topic = isConditionKind(kind) ? CONDITION_TOPICS[kind] : null;
  return topic === null ? [] : [onvifNotice('state', topic, { State: phase !== 'end' })];
}

/** Returns the state of the zone, which is true as long as at least one object is inside. */
function objectsInside(_event: UnnumberedEvent, { inside }: OnvifContext): OnvifNotice[] {
  const ids = inside.slice(0, IDS_MAX).join(' ');
  return [
    onvifNotice('state', 'RuleEngine/FieldDetector/ObjectsInside', {
      ObjectId: ids,
      IsInside: inside.length > 0,
    }),
  ];
}

function sourceOf(condition: boolean, rule: string): Record<string, string> {
  return condition
    ? { VideoSource: VIDEO_SOURCE, RuleName: rule }
    : { VideoSource: VIDEO_SOURCE, AnalyticsConfiguration: ANALYTICS_CONFIGURATION, Rule: rule };
}

/** Returns a tt:StringList: items separated by spaces. */
function objectIds({ objects }: UnnumberedEvent['data']): string {
  return objects.map(({ track }) => String(track)).join(' ');
}

function onvifNotice(as: OnvifNotice['as'], topic: string, data: OnvifNotice['data']): OnvifNotice {
  return { topic, data, as };
}

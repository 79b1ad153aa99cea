/**
 * MQTT discovery of Home Assistant. Each rule has an `event` for its events and a `binary_sensor` that is on while it
 * has an active incident. The box has an `image` with the newest redacted still, and `sensor`s that read the health
 * report.
 * Configurations are retained under Home Assistant's own prefix; everything else is below the box's topics.
 *
 * A kind without duration has no state. By Home Assistant's own definition ("MQTT Event", "MQTT binary sensor") it is
 * an event. It has no `binary_sensor`, because ON and OFF would arrive together and remain invisible.
 */
import type { Static } from '@sinclair/typebox';
import { type HomeAssistantEvent, jsonNotice, type Notice } from '../contract/bridge.ts';
import type { Phase } from '../contract/event.ts';
import type { UnnumberedEvent } from '../contract/event-sink.ts';
import type { RedactedJpeg } from '../contract/redacted-jpeg.ts';
import type { RuleConfig, RuleKind } from '../contract/rule-config.ts';

/** Home Assistant's default discovery prefix. */
const PREFIX = 'homeassistant';

export interface HomeAssistantBox {
  readonly site: string;
  readonly box: string;
  readonly root: string;
  readonly statusTopic: string;
  readonly healthTopic: string;
  readonly version: string;
}

type Rule = Pick<RuleConfig, 'id' | 'kind'>;

/** Representation of a rule kind, with device classes that Home Assistant defines for `binary_sensor` and `event`. */
interface Representation {
  /** Absent: it begins and ends at the same time, and has no state. */
  readonly state?: 'motion' | 'occupancy' | 'problem';
  readonly event?: 'motion';
}

const KINDS: Readonly<Record<RuleKind, Representation>> = {
  'vehicle-in-pedestrian-zone': { state: 'occupancy' },
  'illegal-parking': { state: 'occupancy' },
  'crowd-gathering': { state: 'occupancy' },
  loitering: { state: 'occupancy' },
  'line-crossing': { event: 'motion' },
  'wrong-way': { state: 'motion', event: 'motion' },
  'illegal-dumping': { state: 'problem' },
  graffiti: { state: 'problem' },
};

const LASTING: readonly Phase[] = ['start', 'update', 'end'];
/** The end adds no information to the start. */
const MOMENTARY: readonly Phase[] = ['start'];

/** Values of the health report that Home Assistant shows. */
const HEALTH_SENSORS = [
  { entity: 'health-camera', name: 'Camera', value_template: '{{ value_json.camera.state }}' },
  {
    entity: 'health-backlog',
    name: 'Messages waiting',
    value_template: '{{ value_json.outbox.lanes.alert.rows + value_json.outbox.lanes.bulk.rows }}',
  },
  {
    entity: 'health-temperature',
    name: 'Temperature',
    value_template: '{{ value_json.temperatureC }}',
    device_class: 'temperature',
    unit_of_measurement: '°C',
  },
] as const;

/** Returns all retained notices for these rules. `openCount` returns the number of active incidents of a rule. */
export function homeAssistantRetained(
  box: HomeAssistantBox,
  rules: readonly Rule[],
  openCount: (rule: string) => number,
): Notice[] {
  return [
    ...rules.flatMap((rule) => ruleConfigs(box, rule)),
    config(box, 'image', 'snapshot', {
      name: 'Newest alert',
      image_topic: imageTopic(box.root),
      content_type: 'image/jpeg',
    }),
    ...HEALTH_SENSORS.map(({ entity, ...sensor }) =>
      config(box, 'sensor', entity, {
        ...sensor,
        state_topic: box.healthTopic,
        entity_category: 'diagnostic',
      }),
    ),
    ...rules.flatMap(({ id, kind }) => homeAssistantState(box.root, { id, kind }, openCount(id))),
  ];
}

/** Reports whether a topic may be one that this box has retained for Home Assistant. */
export function isRetainedTopic({ box, root }: HomeAssistantBox, topic: string): boolean {
  const [prefix, , name, , last, ...rest] = topic.split('/');
  if (prefix === PREFIX) return name === box && last === 'config' && rest.length === 0;
  return topic.startsWith(`${stateTopic(root, '')}`) && !/[+#]/.test(topic);
}

/** Returns whether the rule has active incidents; nothing for a kind without duration. */
export function homeAssistantState(root: string, { id, kind }: Rule, openCount: number): Notice[] {
  if (KINDS[kind].state === undefined) return [];
  const payload = openCount > 0 ? 'ON' : 'OFF';
  return [{ topic: stateTopic(root, id), payload, contentType: 'text/plain', retain: true }];
}

/**
 * Returns an event of the rule; nothing for the end of a kind without duration. Not retained: Home Assistant ignores a
 * retained one, because it has happened before.
 */
export function homeAssistantEvent(root: string, { id: rule, kind }: Rule, event: UnnumberedEvent): Notice[] {
  const { phase, severity, episode, zone, line, objects, cause, degraded } = event.data;
  if (!phasesOf(kind).includes(phase)) return [];
  const message: Static<typeof HomeAssistantEvent> = {
    event_type: phase,
    rule,
    kind,
    severity,
    ...(zone && { zone: zone.id }),
    ...(line && { line: line.id }),
    episode,
    event_id: event.id,
    time: event.time,
    objects,
    cause,
    ...(degraded && { degraded }),
  };
  return [jsonNotice(eventTopic(root, rule), message)];
}

/**
 * Returns the still of the newest alert, on one topic, as the `image` entity requires. Not retained: a picture left at
 * the broker would outlive the authorisation under which it was taken.
 */
export function homeAssistantImage(root: string, picture: RedactedJpeg, expiryS: number): Notice {
  return { topic: imageTopic(root), payload: picture, contentType: 'image/jpeg', retain: false, expiryS };
}

function ruleConfigs(box: HomeAssistantBox, { id, kind }: Rule): Notice[] {
  const { state, event } = KINDS[kind];
  return [
    config(box, 'event', ruleEntity(id), {
      name: id,
      state_topic: eventTopic(box.root, id),
      event_types: phasesOf(kind),
      ...(event && { device_class: event }),
    }),
    ...(state === undefined
      ? []
      : [
          config(box, 'binary_sensor', ruleEntity(id), {
            name: id,
            state_topic: stateTopic(box.root, id),
            payload_on: 'ON',
            payload_off: 'OFF',
            device_class: state,
          }),
        ]),
  ];
}

function phasesOf(kind: RuleKind): readonly Phase[] {
  return KINDS[kind].state === undefined ? MOMENTARY : LASTING;
}

function ruleEntity(rule: string): string {
  return `rule-${rule}`;
}

function stateTopic(root: string, rule: string): string {
  return `${root}/home-assistant/${rule}`;
}

function eventTopic(root: string, rule: string): string {
  return `${stateTopic(root, rule)}/event`;
}

function imageTopic(root: string): string {
  return `${root}/home-assistant/box/image`;
}

function configTopic({ box }: HomeAssistantBox, component: string, entity: string): string {
  return `${PREFIX}/${component}/${box}/${entity}/config`;
}

function config(box: HomeAssistantBox, component: string, entity: string, own: object): Notice {
  const id = `vigie_${box.site}_${box.box}`;
  const { version } = box;
  // Unique among all entities of one kind. The entities of a rule's event and of its state differ by their kind.
  const unique = component === 'event' ? `${id}_${entity}_event` : `${id}_${entity}`;
  return jsonNotice(
    configTopic(box, component, entity),
    {
      ...own,
      unique_id: unique,
      availability: [
        {
          topic: box.statusTopic,
          // Here `stopped` is equivalent to `offline`.
          value_template: "{{ 'online' if value_json.state == 'online' else 'offline' }}",
          payload_available: 'online',
          payload_not_available: 'offline',
        },
      ],
      device: {
        identifiers: [id],
        name: box.box,
        manufacturer: 'Vigie',
        model: 'camera box',
        sw_version: version,
        suggested_area: box.site,
      },
      origin: { name: 'vigie', sw_version: version },
    },
    true,
  );
}

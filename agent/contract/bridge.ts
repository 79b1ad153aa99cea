/**
 * Messages that the bridges publish beside the main topics, in the formats of ONVIF and Home Assistant.
 * They are derived from accepted events and sent with QoS 0. Only the main topics are guaranteed.
 */
import { type TSchema, Type } from '@sinclair/typebox';
import { EventData, Phase, VigieEvent } from './event.ts';
import type { RedactedJpeg } from './redacted-jpeg.ts';
import { Time } from './time.ts';

const strict = { additionalProperties: false } as const;
const JSON_TYPE = 'application/json';

/** Message of a bridge, ready to publish. */
export interface Notice {
  readonly topic: string;
  /** Text or a picture; a picture is always redacted. */
  readonly payload: string | RedactedJpeg;
  readonly contentType: string;
  readonly retain: boolean;
  /** Lifetime in seconds; after it, no client may receive the message. */
  readonly expiryS?: number;
}

export function jsonNotice(topic: string, payload: object, retain = false): Notice {
  return { topic, payload: JSON.stringify(payload), contentType: JSON_TYPE, retain };
}

/** Removes the retained message of a topic (MQTT 5.0, 3.3.1.3: retained, with an empty payload). */
export function removalNotice(topic: string): Notice {
  return { topic, payload: '', contentType: 'text/plain', retain: true };
}

const Item = Type.Union([Type.String({ maxLength: 1024 }), Type.Number(), Type.Boolean()]);
const Items = Type.Record(Type.String({ pattern: '^[A-Z][A-Za-z]{0,31}$' }), Item);

/** ONVIF Core, "JSON Event Payload". `PropertyOperation` is used as in the XML form, for events that are properties. */
export const OnvifEvent = Type.Object(
  {
    UtcTime: Time,
    PropertyOperation: Type.Optional(
      Type.Union([Type.Literal('Initialized'), Type.Literal('Changed'), Type.Literal('Deleted')]),
    ),
    Source: Items,
    Data: Items,
  },
  strict,
);

const Text = Type.String({ minLength: 1, maxLength: 512 });

/** Fields in the configuration of every entity announced to Home Assistant by MQTT discovery. */
const ENTITY = {
  name: Text,
  unique_id: Type.String({ pattern: '^vigie_[a-z0-9_-]{1,120}$' }),
  availability: Type.Array(
    Type.Object(
      { topic: Text, value_template: Text, payload_available: Text, payload_not_available: Text },
      strict,
    ),
    { minItems: 1, maxItems: 1 },
  ),
  device: Type.Object(
    {
      identifiers: Type.Array(Text, { minItems: 1, maxItems: 1 }),
      name: Text,
      manufacturer: Text,
      model: Text,
      sw_version: Text,
      suggested_area: Text,
    },
    strict,
  ),
  origin: Type.Object({ name: Text, sw_version: Text }, strict),
};

/** MQTT discovery message of Home Assistant for a `binary_sensor`, an `event`, an `image` or a `sensor`. */
export const HomeAssistantConfig = Type.Union([
  Type.Object(
    {
      ...ENTITY,
      state_topic: Text,
      payload_on: Type.Literal('ON'),
      payload_off: Type.Literal('OFF'),
      device_class: Type.Union(['motion', 'occupancy', 'problem'].map((name) => Type.Literal(name))),
    },
    strict,
  ),
  Type.Object(
    {
      ...ENTITY,
      state_topic: Text,
      event_types: Type.Array(Phase, { minItems: 1, maxItems: 3, uniqueItems: true }),
      device_class: Type.Optional(Type.Literal('motion')),
    },
    strict,
  ),
  Type.Object({ ...ENTITY, image_topic: Text, content_type: Type.Literal('image/jpeg') }, strict),
  Type.Object(
    {
      ...ENTITY,
      state_topic: Text,
      value_template: Text,
      device_class: Type.Optional(Text),
      unit_of_measurement: Type.Optional(Text),
      entity_category: Type.Literal('diagnostic'),
    },
    strict,
  ),
]);

const Place = Type.String({ pattern: '^[a-z0-9-]{1,32}$' });

/** Payload of a Home Assistant `event`. All fields besides `event_type` become attributes of the entity. */
export const HomeAssistantEvent = Type.Object(
  {
    event_type: Phase,
    rule: Place,
    kind: EventData.properties.rule.properties.kind,
    severity: EventData.properties.severity,
    zone: Type.Optional(Place),
    line: Type.Optional(Place),
    episode: EventData.properties.episode,
    event_id: VigieEvent.properties.id,
    time: VigieEvent.properties.time,
    objects: EventData.properties.objects,
    cause: EventData.properties.cause,
    degraded: EventData.properties.degraded,
  },
  strict,
);

const root = 'vigie/{site}/{box}';
const notice = { direction: 'from-box', qos: 0, retained: false, numbered: false } as const;

/** Messages of the bridges; part of the list in messages.ts. */
export const BRIDGE_MESSAGES = [
  {
    ...notice,
    name: 'OnvifEvent',
    summary: 'Bridge `onvif`: the event as ONVIF’s event broker publishes it.',
    topic: `${root}/onvif-ej/{onvifTopic}`,
    levels: ['onvifTopic'],
    contentType: JSON_TYPE,
    schema: OnvifEvent as TSchema,
  },
  {
    ...notice,
    name: 'HomeAssistantConfig',
    summary:
      'Bridge `homeAssistant`: MQTT discovery, the entities of each rule, the newest still and some of the health.',
    topic: 'homeassistant/{component}/{box}/{entity}/config',
    contentType: JSON_TYPE,
    schema: HomeAssistantConfig as TSchema,
    retained: true,
    removable: true,
  },
  {
    ...notice,
    name: 'HomeAssistantState',
    summary: 'Bridge `homeAssistant`: whether an incident of the rule is open.',
    topic: `${root}/home-assistant/{rule}`,
    contentType: 'text/plain',
    schema: Type.Union([Type.Literal('ON'), Type.Literal('OFF')]) as TSchema,
    retained: true,
    removable: true,
  },
  {
    ...notice,
    name: 'HomeAssistantEvent',
    summary: 'Bridge `homeAssistant`: the event of the rule, with its attributes.',
    topic: `${root}/home-assistant/{rule}/event`,
    contentType: JSON_TYPE,
    schema: HomeAssistantEvent as TSchema,
  },
  {
    ...notice,
    name: 'HomeAssistantImage',
    summary: 'Bridge `homeAssistant`: the redacted still of the newest alert that has one.',
    topic: `${root}/home-assistant/box/image`,
    contentType: 'image/jpeg',
    expires: 'retention',
  },
] as const;

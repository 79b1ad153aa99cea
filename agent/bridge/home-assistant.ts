/**
 * MQTT discovery of Home Assistant: one `binary_sensor` a rule, on while an incident of it stands, and
 * `sensor`s that read the health report. Configurations are retained under Home Assistant's own prefix,
 * states under the box's.
 */
import { jsonNotice, type Notice } from '../contract/bridge.ts';
import type { RuleConfig } from '../contract/rule-config.ts';

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

const DEVICE_CLASSES: Readonly<Record<RuleConfig['kind'], string>> = {
  'vehicle-in-pedestrian-zone': 'occupancy',
  'illegal-parking': 'occupancy',
  'crowd-gathering': 'occupancy',
  loitering: 'occupancy',
  'line-crossing': 'motion',
  'wrong-way': 'motion',
  'illegal-dumping': 'problem',
  graffiti: 'problem',
};

/** What Home Assistant shows of the health report. */
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

export function homeAssistantConfigs(
  box: HomeAssistantBox,
  rules: readonly Pick<RuleConfig, 'id' | 'kind'>[],
): Notice[] {
  return [
    ...rules.map(({ id, kind }) =>
      config(box, 'binary_sensor', `rule-${id}`, {
        name: id,
        state_topic: stateTopic(box.root, id),
        payload_on: 'ON',
        payload_off: 'OFF',
        device_class: DEVICE_CLASSES[kind],
      }),
    ),
    ...HEALTH_SENSORS.map(({ entity, ...sensor }) =>
      config(box, 'sensor', entity, {
        ...sensor,
        state_topic: box.healthTopic,
        entity_category: 'diagnostic',
      }),
    ),
  ];
}

/** Whether incidents of the rule stand. */
export function homeAssistantState(root: string, rule: string, standing: number): Notice {
  return {
    topic: stateTopic(root, rule),
    payload: standing > 0 ? 'ON' : 'OFF',
    contentType: 'text/plain',
    retain: true,
  };
}

function stateTopic(root: string, rule: string): string {
  return `${root}/home-assistant/${rule}`;
}

function config(box: HomeAssistantBox, component: string, entity: string, own: object): Notice {
  const id = `vigie_${box.site}_${box.box}`;
  const { version } = box;
  return jsonNotice(
    `${PREFIX}/${component}/${box.box}/${entity}/config`,
    {
      ...own,
      unique_id: `${id}_${entity}`,
      availability: [
        {
          topic: box.statusTopic,
          // `stopped` is as good as `offline` here.
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

/** Example webhook messages for openapi.yaml and the guide. Tests validate them against their schemas. */
import type { Camera } from './camera.ts';
import type { WebhookIncident, WebhookMessage, WebhookType } from './webhook.ts';

const incident: WebhookIncident = {
  no: 7,
  rev: 4711,
  revision: 0,
  site: 'lyon',
  box: 'b-12',
  episode: '5f3a9c1e-e17',
  severity: 'alert',
  priority: 2,
  kind: 'illegal-dumping',
  rule: 'bins',
  place: 'zone/bins',
  startedAt: '2026-05-04T09:59:58.400Z',
  endedAt: null,
  received: '2026-05-04T10:00:00.020Z',
  clockDoubt: false,
  objects: [{ label: 'person', track: 12 }],
  cause: { unattendedS: 30.2, areaNorm: 0.004, durationS: 0 },
  events: 1,
  still: '5f3a9c1e-42',
  state: 'new',
  claimedUntil: null,
  dispatchedAt: null,
  patrol: null,
  patrolAnswer: null,
  patrolAnswerAt: null,
  arrivedAt: null,
  suppression: null,
  isSuppressed: false,
  verdict: null,
  verdictAt: null,
  closedAt: null,
  closedReason: null,
  reopens: null,
};

const closed: WebhookIncident = {
  ...incident,
  rev: 4720,
  revision: 2,
  endedAt: '2026-05-04T10:06:11.000Z',
  events: 2,
  state: 'closed',
  verdict: 'confirmed',
  verdictAt: '2026-05-04T10:07:30.512Z',
  closedAt: '2026-05-04T10:07:30.512Z',
};

const camera: Camera = {
  site: 'lyon',
  box: 'b-12',
  condition: 'blind',
  reasons: ['stream-lost'],
  state: 'online',
  mode: 'active',
  lastReport: '2026-05-04T10:00:00.020Z',
  lastAlert: '2026-05-04T09:59:58.400Z',
  blindS: 40,
  certificateEnds: '2026-09-01T00:00:00.000Z',
  orderEnds: '2026-12-31T22:59:59.000Z',
  version: '0.1.0',
};

const timestamp = '2026-05-04T10:00:00.123Z';

export const WEBHOOK_EXAMPLES: Readonly<Record<WebhookType, WebhookMessage>> = {
  'incident.received': { type: 'incident.received', timestamp, data: incident },
  'incident.changed': {
    type: 'incident.changed',
    timestamp,
    data: { ...incident, rev: 4712, revision: 1, state: 'claimed', claimedUntil: '2026-05-04T10:02:05.000Z' },
  },
  'incident.closed': { type: 'incident.closed', timestamp: '2026-05-04T10:07:30.600Z', data: closed },
  'camera.changed': { type: 'camera.changed', timestamp, data: camera },
  'camera.removed': { type: 'camera.removed', timestamp, data: { site: 'lyon', box: 'b-12' } },
};

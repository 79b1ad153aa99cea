/**
 * Defines the signed webhook messages for other programs, in the form of Standard Webhooks: {type, timestamp, data}.
 */
import { type Static, type TSchema, Type } from '@sinclair/typebox';
import { Camera, RemovedCamera } from './camera.ts';
import { Incident } from './incident.ts';
import { strict, Time } from './schema.ts';

export const WEBHOOK_TYPES = [
  'incident.received',
  'incident.changed',
  'incident.closed',
  'camera.changed',
  'camera.removed',
] as const;
export type WebhookType = (typeof WEBHOOK_TYPES)[number];

/** An incident without the names of the room's staff and its notes, which other organisations do not need. */
export const WebhookIncident = Type.Omit(Incident, ['claimedBy', 'dispatchedBy', 'lastNote'], {
  ...strict,
  $id: 'WebhookIncident',
});
export type WebhookIncident = Static<typeof WebhookIncident>;

const message = <T extends WebhookType, D extends TSchema>(type: T, data: D) =>
  Type.Object(
    {
      type: Type.Literal(type),
      timestamp: { ...Time, description: 'time at which the message was created' },
      data,
    },
    strict,
  );

export const WEBHOOK_MESSAGES = {
  'incident.received': message('incident.received', WebhookIncident),
  'incident.changed': message('incident.changed', WebhookIncident),
  'incident.closed': message('incident.closed', WebhookIncident),
  'camera.changed': message('camera.changed', Camera),
  'camera.removed': message('camera.removed', RemovedCamera),
} as const satisfies Readonly<Record<WebhookType, TSchema>>;
export type WebhookMessage = { [T in WebhookType]: Static<(typeof WEBHOOK_MESSAGES)[T]> }[WebhookType];

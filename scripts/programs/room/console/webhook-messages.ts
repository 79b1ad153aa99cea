/** What a webhook is to be told of some changes, and in which order. Pure. */
import { Value } from '@sinclair/typebox/value';
import type { Camera, GoneCamera } from '../contract/camera.ts';
import type { Incident } from '../contract/incident.ts';
import type { WebhookType } from '../contract/webhook.ts';
import { WebhookIncident, type WebhookMessage } from '../contract/webhook.ts';

/** Each incident and camera once, as it is now. */
export interface Changes {
  /** All changes through this one are in it. */
  readonly rev: number;
  readonly incidents: readonly Incident[];
  readonly cameras: readonly Camera[];
  readonly gone: readonly GoneCamera[];
}

/** How far a webhook has been told: all changes through `rev`, all incidents through the number `incident`. */
export interface Place {
  readonly rev: number;
  readonly incident: number;
}

export interface CameraRev {
  readonly site: string;
  readonly box: string;
  readonly rev: number;
}

export interface Message {
  /** The same whenever the message comes again. */
  readonly id: string;
  readonly body: WebhookMessage;
}

/** What has changed by one change; the place is what holds when all its messages are told. */
export interface Step {
  readonly messages: readonly Message[];
  /** Of an incident. */
  readonly no: number | undefined;
  readonly place: Place;
}

export interface Told {
  readonly place: Place;
  /** Incidents beyond `place` of which it has been told all the same, while an older one was not. */
  readonly told: ReadonlySet<number>;
  /** The lowest new incident whose last change comes after these changes; undefined: there is none. */
  readonly later: number | undefined;
}

/**
 * In the order of changes. An incident of which the webhook was never told is received first, whatever has become of it
 * since. Types that nobody asked for give steps without messages.
 */
export function stepsOf(
  { rev: end, incidents, cameras, gone }: Changes,
  revs: readonly CameraRev[],
  { place, told, later = Number.POSITIVE_INFINITY }: Told,
  types: readonly WebhookType[],
  timestamp: string,
): Step[] {
  const revOf = new Map(revs.map(({ site, box, rev }) => [`${site}/${box}`, rev]));
  const isNew = (no: number): boolean => no > place.incident && !told.has(no);
  const changed = [
    ...incidents.map((incident) => ({
      rev: incident.rev,
      no: incident.no,
      messages: messagesOf(incident, isNew(incident.no), timestamp),
    })),
    ...[...cameras.map(cameraChanged), ...gone.map(cameraGone)].map((body) => {
      const { site, box } = body.data;
      // It has changed once more while this was read.
      const rev = revOf.get(`${site}/${box}`) ?? end;
      return {
        rev,
        no: undefined,
        messages: [{ id: `camera-${site}-${box}-${rev}`, body: { ...body, timestamp } }],
      };
    }),
  ].sort((a, b) => a.rev - b.rev);
  let [open, most] = [later, Math.max(place.incident, ...told)];
  for (const { no } of changed) most = Math.max(most, no ?? 0);
  // From the last one back: which new incident is still to be told.
  const steps: Step[] = [];
  let after = Number.POSITIVE_INFINITY;
  for (const { rev, no, messages } of changed.reverse()) {
    // Two of one number are settled together.
    const settled = after > rev ? rev : rev - 1;
    steps.push({
      messages: messages.filter(({ body }) => types.includes(body.type)),
      no,
      place: {
        rev: Math.max(settled, place.rev),
        incident: Math.max(place.incident, Math.min(open - 1, most)),
      },
    });
    if (no !== undefined && isNew(no)) open = Math.min(open, no);
    after = rev;
  }
  steps.reverse();
  const incident = Math.max(place.incident, Math.min(later - 1, most));
  return [...steps, { messages: [], no: undefined, place: { rev: end, incident } }];
}

const cameraChanged = (data: Camera) => ({ type: 'camera.changed' as const, data });
const cameraGone = (data: GoneCamera) => ({ type: 'camera.gone' as const, data });

function messagesOf(incident: Incident, isNew: boolean, timestamp: string): Message[] {
  const message = (type: Exclude<WebhookType, 'camera.changed' | 'camera.gone'>): Message => ({
    id: `incident-${incident.no}-${incident.rev}-${type.slice('incident.'.length)}`,
    body: {
      type,
      timestamp,
      data: Value.Clean(WebhookIncident, structuredClone(incident)) as WebhookIncident,
    },
  });
  const isClosed = incident.state === 'closed';
  if (!isNew) return [message(isClosed ? 'incident.closed' : 'incident.changed')];
  return isClosed
    ? [message('incident.received'), message('incident.closed')]
    : [message('incident.received')];
}

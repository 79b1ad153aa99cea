/** Computes the messages of a webhook for a set of changes, and their order. Pure. */
import { Value } from '@sinclair/typebox/value';
import type { Camera, RemovedCamera } from '../contract/camera.ts';
import type { Incident } from '../contract/incident.ts';
import type { WebhookType } from '../contract/webhook.ts';
import { WebhookIncident, type WebhookMessage } from '../contract/webhook.ts';

/** Changed incidents and cameras, each once and in their current state. */
export interface Changes {
  /** All changes up to this one are included. */
  readonly rev: number;
  readonly incidents: readonly Incident[];
  readonly cameras: readonly Camera[];
  readonly removedCameras: readonly RemovedCamera[];
}

/** Progress of a webhook: all changes up to `rev` and all incidents up to number `incident` are delivered. */
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
  /** Stays the same when the message is repeated. */
  readonly id: string;
  readonly body: WebhookMessage;
}

/** Messages of one change; `place` applies once all of them are delivered. */
export interface Step {
  readonly messages: readonly Message[];
  /** Number of the incident, if it is one. */
  readonly no: number | undefined;
  readonly place: Place;
}

export interface DeliveryState {
  readonly place: Place;
  /** Incidents beyond `place` that are already delivered, while an older one is not. */
  readonly deliveredNos: ReadonlySet<number>;
  /** Lowest new incident whose last change is later than these changes; undefined if there is none. */
  readonly later: number | undefined;
}

/**
 * Returns the steps in the order of changes.
 *
 * An incident that is new to the webhook is sent as received first, whatever its state. Changes of types that the
 * webhook does not request give steps without messages.
 */
export function stepsOf(
  { rev: end, incidents, cameras, removedCameras }: Changes,
  revs: readonly CameraRev[],
  { place, deliveredNos, later = Number.POSITIVE_INFINITY }: DeliveryState,
  types: readonly WebhookType[],
  timestamp: string,
): Step[] {
  const revOf = new Map(revs.map(({ site, box, rev }) => [`${site}/${box}`, rev]));
  const isNew = (no: number): boolean => no > place.incident && !deliveredNos.has(no);
  const changeList = [
    ...incidents.map((incident) => ({
      rev: incident.rev,
      no: incident.no,
      messages: messagesOf(incident, isNew(incident.no), timestamp),
    })),
    ...[...cameras.map(cameraChanged), ...removedCameras.map(cameraRemoved)].map((body) => {
      const { site, box } = body.data;
      // The camera changed again during the read.
      const rev = revOf.get(`${site}/${box}`) ?? end;
      return {
        rev,
        no: undefined,
        messages: [{ id: `camera-${site}-${box}-${rev}`, body: { ...body, timestamp } }],
      };
    }),
  ].sort((a, b) => a.rev - b.rev);
  let [open, highestNo] = [later, Math.max(place.incident, ...deliveredNos)];
  for (const { no } of changeList) highestNo = Math.max(highestNo, no ?? 0);
  // Walks backwards to know which new incidents are still undelivered.
  const steps: Step[] = [];
  let after = Number.POSITIVE_INFINITY;
  for (const { rev, no, messages } of changeList.reverse()) {
    // Changes with the same number complete together.
    const settled = after > rev ? rev : rev - 1;
    steps.push({
      messages: messages.filter(({ body }) => types.includes(body.type)),
      no,
      place: {
        rev: Math.max(settled, place.rev),
        incident: Math.max(place.incident, Math.min(open - 1, highestNo)),
      },
    });
    if (no !== undefined && isNew(no)) open = Math.min(open, no);
    after = rev;
  }
  steps.reverse();
  const incident = Math.max(place.incident, Math.min(later - 1, highestNo));
  return [...steps, { messages: [], no: undefined, place: { rev: end, incident } }];
}

const cameraChanged = (data: Camera) => ({ type: 'camera.changed' as const, data });
const cameraRemoved = (data: RemovedCamera) => ({ type: 'camera.removed' as const, data });

function messagesOf(incident: Incident, isNew: boolean, timestamp: string): Message[] {
  const message = (type: Exclude<WebhookType, 'camera.changed' | 'camera.removed'>): Message => ({
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

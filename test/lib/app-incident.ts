/** Incidents as the console's API returns them, for the unit tests of its app. */
import type { Incident } from '../../scripts/products/room/contract/incident.ts';

export const NOW_MS = Date.parse('2026-06-01T12:00:00.000Z');

export const secondsAgo = (s: number): string => new Date(NOW_MS - s * 1000).toISOString();

/** A new alert of 20 s ago: a car on a tram track. */
export function incidentOf(no: number, overrides: Partial<Incident> = {}): Incident {
  return {
    no,
    rev: no,
    revision: 0,
    site: 'centre',
    box: `cam-${no % 7}`,
    episode: `e-${no}`,
    severity: 'alert',
    priority: 2,
    kind: 'illegal-parking',
    rule: 'tram-track',
    place: 'zone/tram-stop',
    startedAt: secondsAgo(20),
    endedAt: null,
    received: secondsAgo(20),
    clockDoubt: false,
    objects: [{ label: 'car', track: 94371 }],
    cause: { stationaryS: 62.4, presence: 'seen' },
    events: 1,
    still: 'a.jpg',
    lastNote: null,
    state: 'new',
    claimedBy: null,
    claimedUntil: null,
    dispatchedBy: null,
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
    ...overrides,
  };
}

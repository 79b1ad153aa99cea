/** Examples for asyncapi.yaml, of each main topic; a test validates them against the published schema. */
import type { Ack } from '../../../agent/contract/ack.ts';
import { EVENT_SCHEMA_URI, GAP_SCHEMA_URI, type VigieEvent } from '../../../agent/contract/event.ts';
import type { StatusReport } from '../../../agent/contract/health.ts';
import { type GapEvent, sequenceText } from '../../../agent/contract/outbox.ts';
import type { Verdict } from '../../../agent/contract/verdict.ts';

const source = 'urn:vigie:marseille-1:canebiere-017';

const event: VigieEvent = {
  specversion: '1.0',
  id: '5f3a9c1e-42',
  source,
  type: 'vigie.illegal-parking.v1',
  subject: 'zone/forecourt',
  time: '2026-11-24T14:01:00.000Z',
  datacontenttype: 'application/json',
  dataschema: EVENT_SCHEMA_URI,
  sequence: sequenceText(18_234),
  data: {
    episode: '5f3a9c1e-e17',
    phase: 'start',
    severity: 'alert',
    rule: {
      id: 'parked-on-forecourt',
      kind: 'illegal-parking',
      params: { classes: ['car', 'truck', 'bus', 'motorcycle'], afterS: 60, moveTolerance: 0.25 },
    },
    zone: { id: 'forecourt', purpose: 'pedestrian-safety' },
    objects: [
      {
        track: 12,
        label: 'car',
        score: 0.81,
        xyxyNorm: [0.42, 0.61, 0.58, 0.79],
        since: '2026-11-24T13:59:57.200Z',
      },
    ],
    cause: { stationaryS: 60.2, presence: 'seen', durationS: 0 },
    evidence: {
      snapshot: {
        sha256: '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
        bytes: 58_211,
        time: '2026-11-24T14:01:00.000Z',
        redaction: { figures: 3, cleanPlate: { ratio: 0.06, maxAgeS: 41.3 }, mosaicShare: 0, masks: 1 },
      },
    },
    clock: { synced: true, timeZone: 'Europe/Paris' },
    mode: 'active',
  },
};

const { zone, clock, mode, episode, severity, rule } = event.data;

/** End of the same incident, after the agent was started again in between. */
const end: VigieEvent = {
  specversion: '1.0',
  id: 'c07be215-3',
  source,
  type: event.type,
  subject: event.subject,
  time: '2026-11-24T14:09:30.400Z',
  datacontenttype: 'application/json',
  dataschema: EVENT_SCHEMA_URI,
  sequence: sequenceText(18_301),
  data: {
    episode,
    phase: 'end',
    severity,
    rule,
    ...(zone && { zone }),
    objects: [],
    cause: { durationS: 510.4 },
    evidence: {},
    clock,
    mode,
  },
};

const gap: GapEvent = {
  specversion: '1.0',
  id: 'gap-7d01b6c4-bulk-1201-1480',
  source,
  type: 'vigie.outbox-gap.v1',
  subject: 'outbox/bulk',
  time: '2026-11-24T18:30:12.000Z',
  datacontenttype: 'application/json',
  dataschema: GAP_SCHEMA_URI,
  sequence: sequenceText(1480),
  data: {
    lane: 'bulk',
    from: 1201,
    to: 1480,
    reasons: ['overflow'],
    dropped: { notice: 280 },
    since: '2026-11-22T04:10:00.000Z',
    until: '2026-11-24T18:30:11.000Z',
  },
};

const status: StatusReport = { state: 'online', boot: '5f3a9c1e', time: '2026-11-24T06:00:03.120Z' };
const ack: Ack = { alert: 18_234, bulk: 90_121, epoch: '7d01b6c4' };
const verdict: Verdict = { episode, verdict: 'confirmed', time: '2026-11-24T14:03:20.000Z' };

/** Examples by the name of the message. */
export const EXAMPLES: Readonly<Record<string, readonly object[]>> = {
  VigieEvent: [event, end],
  GapEvent: [gap],
  StatusReport: [status],
  Ack: [ack],
  Verdict: [verdict],
};

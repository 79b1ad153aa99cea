/** What a box says of itself: the retained status, and the retained health report. */
import { type Static, Type } from '@sinclair/typebox';
import { AccuracyReport } from './accuracy.ts';
import { Mode, RestraintReport } from './mode.ts';
import { LANES, type Lane, RANKS, type Rank } from './outbox.ts';
import { SiteClock } from './site-clock.ts';
import { Time } from './time.ts';
import { TrackLogReport } from './track-log.ts';

const strict = { additionalProperties: false } as const;
const Count = Type.Integer({ minimum: 0 });
const Bytes = Type.Integer({ minimum: 0, description: 'bytes' });
const Text = Type.String({ maxLength: 500 });
const Name = Type.String({ pattern: '^[a-z0-9-]{1,32}$' });
const nullable = <T extends Parameters<typeof Type.Union>[0][number]>(type: T) =>
  Type.Union([type, Type.Null()]);

function each<K extends string, V extends ReturnType<typeof Type.Integer>>(keys: readonly K[], value: V) {
  return Type.Object(Object.fromEntries(keys.map((key) => [key, value])) as Record<K, V>, strict);
}

/** `vigie/<site>/<box>/status`; `offline` is the Last Will, whose time is that of the connection it belongs to. */
export const StatusReport = Type.Object(
  {
    state: Type.Union([Type.Literal('online'), Type.Literal('stopped'), Type.Literal('offline')]),
    boot: Type.String({ maxLength: 64 }),
    time: Time,
  },
  strict,
);
export type StatusReport = Static<typeof StatusReport>;

/** Why the box is not connected, or connected to no use. */
export const DELIVERY_FAULTS = [
  'unreachable',
  'certificate',
  'denied',
  'identity-conflict',
  'protocol',
  'configuration',
] as const;
export type DeliveryFaultCode = (typeof DELIVERY_FAULTS)[number];

export const DeliveryFault = Type.Object(
  {
    code: Type.Union(DELIVERY_FAULTS.map((code) => Type.Literal(code))),
    /** One line for a person: what, where, what would be right. */
    message: Text,
  },
  strict,
);
export type DeliveryFault = Static<typeof DeliveryFault>;

/**
 * Seconds after which a missing acknowledgement is a matter for a person: an archive acknowledges within a second, and
 * one that is restarted is back within a minute.
 */
export const UNACKNOWLEDGED_S_MAX = 60;

/** Counters are since the start of the process. */
export const DeliveryState = Type.Object(
  {
    phase: Type.Union(
      (['stopped', 'connecting', 'online', 'waiting'] as const).map((phase) => Type.Literal(phase)),
    ),
    /** When the phase began. */
    since: Time,
    fault: nullable(DeliveryFault),
    /** Sessions that were open at least once, less one. */
    reconnects: Count,
    published: Count,
    /** Rows let go after an acknowledgement. */
    acknowledged: Count,
    unacknowledgedS: {
      ...Count,
      description:
        'seconds of connection for which the archive has acknowledged nothing of what the broker has taken; 0 with `ack: broker`',
    },
    /** Times that a lane was sent again because nothing had moved for 3 s. */
    resends: Count,
    /** Publishes that the broker refused. */
    refused: Count,
    /** Acknowledgements from the room that were malformed or named numbers never given out. */
    badAcks: Count,
    /** Messages to the box that came faster than they are read, and were left unread. */
    limited: Count,
    /** Messages that went out without being kept by the broker, since it keeps none. */
    unretained: Count,
  },
  strict,
);
export type DeliveryState = Static<typeof DeliveryState>;

export const LaneReport = Type.Object(
  {
    rows: Count,
    bytes: Bytes,
    lastSeq: Count,
    appended: Count,
    released: Count,
    dropped: each(RANKS satisfies readonly Rank[], Count),
    expired: Count,
    tooLarge: each(RANKS satisfies readonly Rank[], Count),
  },
  strict,
);

const OutboxReport = Type.Object(
  {
    store: Type.Union([Type.Literal('disk'), Type.Literal('memory')]),
    damaged: Count,
    lanes: Type.Object(
      Object.fromEntries(LANES.map((lane) => [lane, LaneReport])) as Record<Lane, typeof LaneReport>,
      strict,
    ),
  },
  strict,
);

const ProcessReport = Type.Object(
  {
    pid: Count,
    rssMiB: Type.Number({ minimum: 0 }),
    /** Open file descriptors; null where the other user's cannot be counted. */
    fds: nullable(Count),
  },
  strict,
);
export type ProcessReport = Static<typeof ProcessReport>;

export const CameraReport = Type.Object(
  {
    state: Type.Union((['off', 'opening', 'streaming', 'lost'] as const).map((state) => Type.Literal(state))),
    /** Why it is lost. */
    reason: nullable(Text),
    decoder: nullable(Text),
    widthPx: nullable(Count),
    heightPx: nullable(Count),
    fps: nullable(Type.Number({ minimum: 0 })),
    asOrdered: nullable(
      Type.Boolean({
        description:
          'vision is connected to what the configuration, and with it the order, names; null while there is no picture',
      }),
    ),
  },
  strict,
);
export type CameraReport = Static<typeof CameraReport>;

export const DetectorReport = Type.Object(
  {
    model: Text,
    sha256: Text,
    provider: Text,
    /** Why the wanted provider was not taken. */
    fallback: nullable(Text),
  },
  strict,
);
export type DetectorReport = Static<typeof DetectorReport>;

/** When the certificates of the broker's connection end. */
export const CertificateReport = Type.Object(
  {
    notAfter: { ...Time, description: 'of the box’s own' },
    caNotAfter: nullable({ ...Time, description: 'of the authority’s that is the next to end' }),
  },
  strict,
);
export type CertificateReport = Static<typeof CertificateReport>;

export const FramesReport = Type.Object(
  {
    read: { ...Count, description: 'decoded, of all streams of the camera' },
    analysed: Count,
    dropped: Count,
    watched: { ...Count, description: 'compressed pictures that were received and never decoded' },
  },
  strict,
);
export type FramesReport = Static<typeof FramesReport>;

/** Key frames alone on a quiet street, while a second stream may wake; since the start of the vision process. */
export const QuietReport = Type.Object(
  {
    resting: Type.Boolean({ description: 'of the main stream key frames alone are decoded now' }),
    reason: nullable({ ...Text, description: 'why that is not possible; null where it is' }),
    rests: Count,
    idleWakings: { ...Count, description: 'rests that ended although nothing then moved in the main stream' },
    startsCompared: { ...Count, description: 'of the last beginnings of motion in the main stream' },
    startsShown: { ...Count, description: 'those that the second stream showed as well' },
  },
  strict,
);
export type QuietReport = Static<typeof QuietReport>;

export const IncidentsReport = Type.Object({ standing: Count, episodes: Count, events: Count }, strict);
export type IncidentsReport = Static<typeof IncidentsReport>;

/** `vigie/<site>/<box>/health`, retained, every 30 s. Counters are since the start of the process. */
export const HealthReport = Type.Object(
  {
    time: Time,
    site: Name,
    box: Name,
    boot: Type.String({ maxLength: 64 }),
    uptimeS: Count,
    mode: Mode,
    restraint: RestraintReport,
    versions: Type.Record(Type.String(), Text, { description: 'vigie, node and what else runs' }),
    clock: SiteClock,
    frames: FramesReport,
    /** Absent where no second stream may be watched. */
    quiet: Type.Optional(QuietReport),
    camera: CameraReport,
    detector: nullable(DetectorReport),
    incidents: IncidentsReport,
    tracks: TrackLogReport,
    /** What stands, for whoever has missed its events. */
    conditions: Type.Array(Name, {
      maxItems: 64,
      description: 'kinds of system events that have begun and not ended',
    }),
    outbox: OutboxReport,
    /** Null where no broker is configured. */
    mqtt: nullable(DeliveryState),
    /** Null where there is none, or none that can be read. */
    certificate: nullable(CertificateReport),
    /** Null while its record cannot be read. */
    accuracy: nullable(AccuracyReport),
    processes: Type.Object({ agent: ProcessReport, vision: nullable(ProcessReport) }, strict),
    /** Hottest sensor of the board, °C; null where the board shows none. */
    temperatureC: nullable(Type.Number()),
    counters: Type.Record(Type.String({ pattern: '^[a-z][a-z0-9_]*$' }), Type.Number(), {
      description: 'every other counter of the agent, by name',
    }),
  },
  strict,
);
export type HealthReport = Static<typeof HealthReport>;

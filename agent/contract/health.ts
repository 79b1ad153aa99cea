/** Retained status and health report of a box. */
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

/** `vigie/<site>/<box>/status`. `offline` is the Last Will; its time is that of the connection it belongs to. */
export const StatusReport = Type.Object(
  {
    state: Type.Union([Type.Literal('online'), Type.Literal('stopped'), Type.Literal('offline')], {
      description:
        'online; stopped, because its agent was ended on purpose; offline, because its connection broke',
    }),
    boot: Type.String({ maxLength: 64, description: 'start of the agent, as in the user property `boot`' }),
    time: {
      ...Time,
      description: 'by the box’s clock; with offline, the time at which the broken connection began',
    },
  },
  strict,
);
export type StatusReport = Static<typeof StatusReport>;

/** Reasons why the box is not connected, or cannot use its connection. */
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
    /** One line for a person: the fault, its place and the accepted value. */
    message: Text,
  },
  strict,
);
export type DeliveryFault = Static<typeof DeliveryFault>;

/**
 * Seconds after which a missing acknowledgement needs a person. An archive acknowledges within a second, and a
 * restarted one is back within a minute.
 */
export const UNACKNOWLEDGED_S_MAX = 60;

/** Counters since the start of the process. */
export const DeliveryState = Type.Object(
  {
    phase: Type.Union(
      (['stopped', 'connecting', 'online', 'waiting'] as const).map((phase) => Type.Literal(phase)),
    ),
    /** Start of the phase. */
    since: Time,
    fault: nullable(DeliveryFault),
    /** Number of sessions opened since the first one. */
    reconnects: Count,
    published: Count,
    /** Rows released after an acknowledgement. */
    acknowledged: Count,
    unacknowledgedS: {
      ...Count,
      description:
        'seconds of connection without an archive acknowledgement of the messages that the broker has accepted; 0 with `ack: broker`',
    },
    /** Number of times a lane was sent again after 3 s without progress. */
    resends: Count,
    /** Publishes refused by the broker. */
    refused: Count,
    /** Acknowledgements from the room that were malformed or named numbers never issued. */
    badAcks: Count,
    /** Messages to the box left unread because they arrived too fast. */
    limited: Count,
    /** Messages that the broker did not retain, because it retains none. */
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
    /** Open file descriptors; null if those of the other user cannot be counted. */
    fds: nullable(Count),
  },
  strict,
);
export type ProcessReport = Static<typeof ProcessReport>;

export const CameraReport = Type.Object(
  {
    state: Type.Union((['off', 'opening', 'streaming', 'lost'] as const).map((state) => Type.Literal(state))),
    /** Reason why it is lost. */
    reason: nullable(Text),
    decoder: nullable(Text),
    widthPx: nullable(Count),
    heightPx: nullable(Count),
    fps: nullable(Type.Number({ minimum: 0 })),
    asOrdered: nullable(
      Type.Boolean({
        description:
          'vision is connected to the address in the configuration, and so in the authorisation; null while there is no picture',
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
    /** Reason why the configured provider is not used. */
    fallback: nullable(Text),
  },
  strict,
);
export type DetectorReport = Static<typeof DetectorReport>;

/** Expiry of the certificates of the broker connection. */
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

/**
 * Decoding of key frames alone on a quiet street, while a second stream can wake the main one. Counted since the start
 * of the vision process.
 */
export const QuietReport = Type.Object(
  {
    resting: Type.Boolean({ description: 'of the main stream key frames alone are decoded now' }),
    reason: nullable({ ...Text, description: 'why that is not possible; null where it is' }),
    rests: Count,
    idleWakings: { ...Count, description: 'rests that ended although nothing then moved in the main stream' },
    startsCompared: { ...Count, description: 'of the last beginnings of motion in the main stream' },
    startsShown: { ...Count, description: 'number of those that the second stream showed too' },
  },
  strict,
);
export type QuietReport = Static<typeof QuietReport>;

export const IncidentsReport = Type.Object({ standing: Count, episodes: Count, events: Count }, strict);
export type IncidentsReport = Static<typeof IncidentsReport>;

/** `vigie/<site>/<box>/health`, retained, every 30 s. Counters since the start of the process. */
export const HealthReport = Type.Object(
  {
    time: Time,
    site: Name,
    box: Name,
    boot: Type.String({ maxLength: 64 }),
    uptimeS: Count,
    mode: Mode,
    restraint: RestraintReport,
    versions: Type.Record(Type.String(), Text, { description: 'vigie, node and other components' }),
    clock: SiteClock,
    frames: FramesReport,
    /** Absent if no second stream may be watched. */
    quiet: Type.Optional(QuietReport),
    camera: CameraReport,
    detector: nullable(DetectorReport),
    incidents: IncidentsReport,
    tracks: TrackLogReport,
    /** Active conditions, for readers that missed the events. */
    conditions: Type.Array(Name, {
      maxItems: 64,
      description: 'kinds of system events that have begun and not ended',
    }),
    outbox: OutboxReport,
    /** Null if no broker is configured. */
    mqtt: nullable(DeliveryState),
    /** Null if there is no readable certificate. */
    certificate: nullable(CertificateReport),
    /** Null while its record cannot be read. */
    accuracy: nullable(AccuracyReport),
    processes: Type.Object({ agent: ProcessReport, vision: nullable(ProcessReport) }, strict),
    /** Hottest sensor of the board, in °C; null if the board has none. */
    temperatureC: nullable(Type.Number()),
    counters: Type.Record(Type.String({ pattern: '^[a-z][a-z0-9_]*$' }), Type.Number(), {
      description: 'every other counter of the agent, by name',
    }),
  },
  strict,
);
export type HealthReport = Static<typeof HealthReport>;

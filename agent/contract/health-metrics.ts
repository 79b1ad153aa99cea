/**
 * Table of the metrics derived from a health report, for the box's own page, the room's exporter, or both.
 *
 * INVARIANTS: labels take their values from fixed lists. None comes from a camera's address, a free-text reason, a zone
 * or an event.
 */
import { counter, type Family, gauge, type Labels, one, type Sample } from '../base/exposition.ts';
import { isConditionKind } from './condition.ts';
import { DELIVERY_FAULTS, type DeliveryState, type HealthReport } from './health.ts';
import { MODES, type RestraintReport } from './mode.ts';
import { LANES } from './outbox.ts';

/** Part of a health report that the room keeps. With 1,500 boxes the rest would be most of its memory. */
export type MeasuredHealth = Omit<HealthReport, 'counters' | 'restraint' | 'detector' | 'accuracy'> & {
  readonly restraint: Pick<RestraintReport, 'installation' | 'validUntil'>;
  /** Null while no detector is loaded. */
  readonly detector: object | null;
};

interface Form {
  /** Name after `vigie_` on the box's page; null if not shown there. A counter gets the suffix `_total`. */
  readonly box: string | null;
  readonly help: string;
  readonly type: 'counter' | 'gauge';
}

/** Reads a value, several labelled values, or undefined if the box has none. */
type Figure<H> = (health: H) => number | readonly Sample[] | undefined;

/** One of several exclusive states, as a label; '' if none applies, undefined if the subject does not exist. */
interface StateOf<H> {
  readonly label: string;
  readonly all: readonly string[];
  readonly now: (health: H) => string | undefined;
}

type Read<H> = Figure<H> | StateOf<H>;

/**
 * `room`: name after `vigie_` in the room's exporter, usually the box's name after `box_`. Null if not exported; `read`
 * then gets the complete report. A name ends in its unit.
 */
type HealthMetric = Form &
  (
    | { readonly room: string; readonly read: Read<MeasuredHealth> }
    | { readonly room: null; readonly read: Read<HealthReport> }
  );

const MIB = 1_048_576;
type LaneReport = HealthReport['outbox']['lanes']['alert'];

const byLane =
  (of: (lane: LaneReport) => number) =>
  ({ outbox }: Pick<HealthReport, 'outbox'>): Sample[] =>
    LANES.map((lane) => one(of(outbox.lanes[lane]), { lane }));

const byRank =
  (of: 'dropped' | 'tooLarge') =>
  ({ outbox }: Pick<HealthReport, 'outbox'>): Sample[] =>
    LANES.flatMap((lane) =>
      Object.entries(outbox.lanes[lane][of]).map(([rank, count]) => one(count, { lane, rank })),
    );

/** Reads from the broker connection; no value if none is configured. */
const delivered =
  (of: (mqtt: DeliveryState) => number) =>
  ({ mqtt }: Pick<HealthReport, 'mqtt'>): number | undefined =>
    mqtt === null ? undefined : of(mqtt);

/** Reads from the verdict statistics; no value while their record cannot be read. */
const ofAccuracy =
  (of: (accuracy: NonNullable<HealthReport['accuracy']>) => number | readonly Sample[]) =>
  ({ accuracy }: HealthReport): number | readonly Sample[] | undefined =>
    accuracy === null ? undefined : of(accuracy);

/** Fixed names, because a hostile box may report others to the room. */
const PROCESSES = ['agent', 'vision'] as const satisfies readonly (keyof HealthReport['processes'])[];

const byProcess =
  (of: (process: HealthReport['processes']['agent']) => number | null) =>
  ({ processes }: Pick<HealthReport, 'processes'>): Sample[] =>
    PROCESSES.flatMap((process) => {
      const report = processes[process];
      const value = report === null ? null : of(report);
      return value === null ? [] : [one(value, { process })];
    });

type Type = Form['type'];

const ofBox = (type: Type, box: string, help: string, read: Read<HealthReport>): HealthMetric => ({
  box,
  room: null,
  type,
  help,
  read,
});

const ofRoom = (type: Type, room: string, help: string, read: Read<MeasuredHealth>): HealthMetric => ({
  box: null,
  room,
  type,
  help,
  read,
});

const shared = (
  type: Type,
  box: string,
  help: string,
  read: Read<MeasuredHealth>,
  room = `box_${box}`,
): HealthMetric => ({ box, room, type, help, read });

export const HEALTH_METRICS: readonly HealthMetric[] = [
  shared('gauge', 'uptime_seconds', 'Since the start of the agent', ({ uptimeS }) => uptimeS),
  // In the room, the separate mode message arrives immediately and may be newer.
  ofBox('gauge', 'mode', 'Mode of the box', { label: 'mode', all: MODES, now: ({ mode }) => mode }),
  shared('gauge', 'clock_synced', 'The clock is set by the network', ({ clock }) => Number(clock.synced)),
  shared(
    'gauge',
    'process_resident_memory_bytes',
    'Resident memory of each process',
    byProcess(({ rssMiB }) => Math.round(rssMiB * MIB)),
    'box_resident_memory_bytes',
  ),
  ofBox(
    'gauge',
    'process_open_fds',
    'Open file descriptors of each process',
    byProcess(({ fds }) => fds),
  ),
  shared(
    'gauge',
    'certificate_expiry_timestamp_seconds',
    'End of the certificates of the broker’s connection',
    ({ certificate }) => [
      ...timestamp(certificate?.notAfter, { certificate: 'box' }),
      ...timestamp(certificate?.caNotAfter, { certificate: 'ca' }),
    ],
  ),
  // An installation authorisation always ends within the day.
  shared(
    'gauge',
    'order_expiry_timestamp_seconds',
    'End of the current authorisation of the box',
    ({ restraint: { installation, validUntil } }) =>
      installation === true ? undefined : timestamp(validUntil),
  ),
  shared(
    'gauge',
    'temperature_celsius',
    'Hottest sensor of the board',
    ({ temperatureC }) => temperatureC ?? undefined,
  ),
  shared('counter', 'frames_read', 'Frames read from the camera', ({ frames }) => frames.read),
  shared('counter', 'frames_analysed', 'Frames analysed', ({ frames }) => frames.analysed),
  shared(
    'counter',
    'frames_dropped',
    'Frames that came while one was analysed',
    ({ frames }) => frames.dropped,
  ),
  shared(
    'counter',
    'packets_watched',
    'Compressed pictures that were never decoded',
    ({ frames }) => frames.watched,
  ),
  shared('gauge', 'camera_state', 'State of the camera', {
    label: 'state',
    all: ['off', 'opening', 'streaming', 'lost'] satisfies readonly HealthReport['camera']['state'][],
    now: ({ camera }) => camera.state,
  }),
  shared('gauge', 'detector_up', 'The detector is loaded', ({ detector }) => Number(detector !== null)),
  shared(
    'gauge',
    'incidents_active',
    'Incidents that have begun and not ended',
    ({ incidents }) => incidents.standing,
  ),
  shared('counter', 'incidents', 'Incidents that have begun', ({ incidents }) => incidents.episodes),
  ofBox('counter', 'events', 'Events accepted', ({ incidents }) => incidents.events),
  ofRoom('gauge', 'box_condition', 'Active conditions of the box and its camera', ({ conditions }) =>
    conditionSamples(conditions),
  ),
  shared('gauge', 'outbox_on_disk', 'The outbox is on disk, not in memory', ({ outbox }) =>
    Number(outbox.store === 'disk'),
  ),
  ofBox(
    'counter',
    'outbox_damaged',
    'Damaged files of the outbox that were moved aside',
    ({ outbox }) => outbox.damaged,
  ),
  shared(
    'gauge',
    'outbox_rows',
    'Messages that wait',
    byLane(({ rows }) => rows),
  ),
  shared(
    'gauge',
    'outbox_bytes',
    'Their size',
    byLane(({ bytes }) => bytes),
  ),
  ofBox(
    'counter',
    'outbox_appended',
    'Messages accepted',
    byLane(({ appended }) => appended),
  ),
  shared(
    'counter',
    'outbox_released',
    'Messages delivered: let go after an acknowledgement',
    byLane(({ released }) => released),
  ),
  ofRoom(
    'counter',
    'box_outbox_lost',
    'Messages that were not delivered: the outbox was full, they were too old, or too large for the broker',
    byLane(({ dropped, expired, tooLarge }) => sum(dropped) + expired + sum(tooLarge)),
  ),
  ofBox(
    'counter',
    'outbox_expired',
    'Messages that became too old',
    byLane(({ expired }) => expired),
  ),
  ofBox('counter', 'outbox_dropped', 'Messages dropped since the outbox was full', byRank('dropped')),
  ofBox(
    'counter',
    'outbox_too_large',
    'Messages dropped since the broker takes none so large',
    byRank('tooLarge'),
  ),
  ofBox('gauge', 'mqtt_phase', 'State of the connection', {
    label: 'phase',
    all: ['stopped', 'connecting', 'online', 'waiting'] satisfies readonly DeliveryState['phase'][],
    now: ({ mqtt }) => mqtt?.phase,
  }),
  shared(
    'gauge',
    'mqtt_fault',
    'Problem with the connection to the broker, by the newest report',
    {
      label: 'fault',
      all: DELIVERY_FAULTS,
      now: ({ mqtt }) => (mqtt === null ? undefined : (mqtt.fault?.code ?? '')),
    },
    'box_delivery_fault',
  ),
  shared(
    'counter',
    'mqtt_reconnects',
    'The connection to the broker was lost and came back',
    delivered(({ reconnects }) => reconnects),
    'box_reconnects',
  ),
  ofBox(
    'counter',
    'mqtt_published',
    'Messages sent',
    delivered(({ published }) => published),
  ),
  ofBox(
    'counter',
    'mqtt_acknowledged',
    'Messages acknowledged',
    delivered(({ acknowledged }) => acknowledged),
  ),
  ofBox(
    'gauge',
    'mqtt_unacknowledged_seconds',
    'Time for which no archive has acknowledged the waiting events',
    delivered(({ unacknowledgedS }) => unacknowledgedS),
  ),
  ofBox(
    'counter',
    'mqtt_resends',
    'Times that a lane was sent again',
    delivered(({ resends }) => resends),
  ),
  ofBox(
    'counter',
    'mqtt_refused',
    'Messages that the broker refused',
    delivered(({ refused }) => refused),
  ),
  ofBox(
    'counter',
    'mqtt_bad_acks',
    'Acknowledgements that name nothing sent',
    delivered(({ badAcks }) => badAcks),
  ),
  ofBox(
    'counter',
    'mqtt_limited',
    'Messages to the box that came too fast and were left unread',
    delivered(({ limited }) => limited),
  ),
  ofBox(
    'counter',
    'mqtt_unretained',
    'Messages that the broker should have kept and does not',
    delivered(({ unretained }) => unretained),
  ),
  ofBox(
    'counter',
    'accuracy_verdicts',
    'Verdicts of the room',
    ofAccuracy(({ verdicts }) => Object.entries(verdicts).map(([result, n]) => one(n, { result }))),
  ),
  ofBox(
    'counter',
    'accuracy_unrecorded',
    'Alerts and verdicts that the disk refused',
    ofAccuracy(({ unrecorded }) => unrecorded),
  ),
  ofBox(
    'counter',
    'accuracy_expired',
    'Alerts forgotten by age',
    ofAccuracy(({ expired }) => expired),
  ),
  ofBox(
    'counter',
    'accuracy_dropped',
    'Alerts forgotten since there were too many',
    ofAccuracy(({ dropped }) => dropped),
  ),
];

/**
 * Returns the metrics that a box shows of its own report. An exclusive state has one sample per value: 1 for the active
 * one, 0 for the others.
 */
export function boxFamilies(report: HealthReport): Family[] {
  return HEALTH_METRICS.flatMap((metric) => {
    if (metric.box === null) return [];
    return [familyOf(metric.box, metric, samplesOf(metric.read, report, everyState))];
  });
}

/**
 * Returns the metrics that the room shows of many boxes. An exclusive state has only the sample of the active value.
 */
export function roomFamilies(
  each: (of: (health: MeasuredHealth) => readonly Sample[]) => Sample[],
): Family[] {
  return HEALTH_METRICS.flatMap((metric) => {
    if (metric.room === null) return [];
    const samples = each((health) => samplesOf(metric.read, health, stateThatHolds));
    return [familyOf(metric.room, metric, samples)];
  });
}

/** Returns an end time in seconds since the epoch; no sample if it is not a time. */
export function timestamp(time: string | null | undefined, labels: Labels = {}): Sample[] {
  const ms = Date.parse(time ?? '');
  return Number.isNaN(ms) ? [] : [one(ms / 1000, labels)];
}

function familyOf(name: string, { type, help }: Form, samples: readonly Sample[]): Family {
  return type === 'counter' ? counter(name, help, samples) : gauge(name, help, samples);
}

type StateSamples = (label: string, all: readonly string[], state: string) => Sample[];

function samplesOf<H>(read: Read<H>, health: H, stateSamples: StateSamples): readonly Sample[] {
  if (typeof read === 'function') {
    const figure = read(health);
    return typeof figure === 'number' ? [one(figure)] : (figure ?? []);
  }
  const { label, all, now } = read;
  const state = now(health);
  return state === undefined ? [] : stateSamples(label, all, state);
}

function everyState(label: string, all: readonly string[], state: string): Sample[] {
  return all.map((value) => one(Number(value === state), { [label]: value }));
}

function stateThatHolds(label: string, _all: readonly string[], state: string): Sample[] {
  return state === '' ? [] : [one(1, { [label]: state })];
}

/** Returns each known condition once, and all unknown ones as one sample. */
function conditionSamples(kinds: readonly string[]): Sample[] {
  const names = new Set(kinds.map((kind) => (isConditionKind(kind) ? kind : 'other')));
  return [...names].map((condition) => one(1, { condition }));
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((all, count) => all + count, 0);
}

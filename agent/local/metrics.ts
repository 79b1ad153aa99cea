/**
 * The health report and the latencies in the text format of Prometheus 0.0.4.
 *
 * INVARIANTS: labels take their values from fixed lists and versions; none comes from a camera's address, a
 * reason in words, a zone or an event.
 */
import type { Counters } from '../contract/counters.ts';
import { DELIVERY_FAULTS, type HealthReport } from '../contract/health.ts';
import { LATENCY_BOUNDS_MS, type LatencyCounts } from '../contract/latency.ts';
import type { LocalStatus } from '../contract/local-status.ts';
import { LANES } from '../contract/outbox.ts';
import {
  counter,
  EXPOSITION_TYPE,
  exposition,
  type Family,
  gauge,
  type Labels,
  one,
  type Sample,
} from './exposition.ts';
import type { Page } from './local-server.ts';

export interface Measured {
  readonly status: LocalStatus;
  readonly counters: Counters;
  /** Wall time of each stage of a frame. */
  readonly stages: Readonly<Record<string, LatencyCounts>>;
  /** From the capture of the frame in which an incident began to the broker's acknowledgement. */
  readonly puback: LatencyCounts;
}

export function metricsPage(measured: Measured): Page {
  const families = [
    ...boxFamilies(measured.status),
    ...streamFamilies(measured.status),
    ...deliveryFamilies(measured.status.report),
    ...accuracyFamilies(measured.status.report.accuracy),
    ...counterFamilies(measured.counters),
    ...latencyFamilies(measured),
  ];
  return { contentType: EXPOSITION_TYPE, body: exposition(families) };
}

/** As Prometheus wants it: counters end in `_total`, times are in seconds. */
export function counterMetric(name: string, value: Counters[string]): string {
  if (typeof value === 'object') return `vigie_${name}`;
  return `vigie_${name.replace(/_s$/, '_seconds')}_total`;
}

function boxFamilies({ report, disk }: LocalStatus): Family[] {
  const { versions, uptimeS, mode, clock, processes, temperatureC, restraint, certificate } = report;
  const each = Object.entries(processes).flatMap(([process, known]) =>
    known === null ? [] : [{ process, ...known }],
  );
  const mib = 1_048_576;
  return [
    gauge('info', 'Versions of what runs', [one(1, pick(versions, ['vigie', 'node']))]),
    gauge('uptime_seconds', 'Since the start of the agent', [one(uptimeS)]),
    state('mode', 'Mode of the box', mode, ['active', 'suspended', 'unauthorised']),
    gauge('clock_synced', 'The clock is set by the network', [one(Number(clock.synced))]),
    gauge(
      'process_resident_memory_bytes',
      'Resident memory of each process',
      each.map(({ process, rssMiB }) => one(Math.round(rssMiB * mib), { process })),
    ),
    gauge(
      'process_open_fds',
      'Open file descriptors of each process',
      each.flatMap(({ process, fds }) => (fds === null ? [] : [one(fds, { process })])),
    ),
    gauge('certificate_expiry_timestamp_seconds', 'End of the certificates of the broker’s connection', [
      ...end(certificate?.notAfter, { certificate: 'box' }),
      ...end(certificate?.caNotAfter, { certificate: 'ca' }),
    ]),
    // A permit to install is made to end within the day.
    gauge(
      'order_expiry_timestamp_seconds',
      'End of the order under which the box may look',
      restraint.installation === true ? [] : end(restraint.validUntil),
    ),
    gauge(
      'temperature_celsius',
      'Hottest sensor of the board',
      temperatureC === null ? [] : [one(temperatureC)],
    ),
    gauge('disk_free_bytes', 'Of the state directory', [one(disk.freeMiB * mib)]),
    gauge('disk_size_bytes', 'Of the state directory', [one(disk.sizeMiB * mib)]),
  ];
}

function streamFamilies({ report, analysedFps }: LocalStatus): Family[] {
  const { frames, camera, detector, incidents } = report;
  return [
    counter('frames_read', 'Frames read from the camera', [one(frames.read)]),
    counter('frames_analysed', 'Frames analysed', [one(frames.analysed)]),
    counter('frames_dropped', 'Frames that came while one was analysed', [one(frames.dropped)]),
    counter('packets_watched', 'Compressed pictures that were never decoded', [one(frames.watched)]),
    gauge('analysed_fps', 'Frames analysed per second, over ten seconds', [one(analysedFps)]),
    state('camera_state', 'State of the camera', camera.state, ['off', 'opening', 'streaming', 'lost']),
    gauge('detector_up', 'The detector is loaded', [one(Number(detector !== null))]),
    gauge('incidents_standing', 'Incidents that have begun and not ended', [one(incidents.standing)]),
    counter('incidents', 'Incidents that have begun', [one(incidents.episodes)]),
    counter('events', 'Events accepted', [one(incidents.events)]),
  ];
}

function deliveryFamilies({ outbox, mqtt }: HealthReport): Family[] {
  const { lanes } = outbox;
  const byLane = (of: (lane: (typeof lanes)['alert']) => number): Sample[] =>
    LANES.map((lane) => one(of(lanes[lane]), { lane }));
  const byRank = (of: 'dropped' | 'tooLarge'): Sample[] =>
    LANES.flatMap((lane) =>
      Object.entries(lanes[lane][of]).map(([rank, count]) => one(count, { lane, rank })),
    );
  const families = [
    gauge('outbox_on_disk', 'The outbox is on disk, not in memory', [one(Number(outbox.store === 'disk'))]),
    counter('outbox_damaged', 'Damaged files of the outbox that were moved aside', [one(outbox.damaged)]),
    gauge(
      'outbox_rows',
      'Messages that wait',
      byLane(({ rows }) => rows),
    ),
    gauge(
      'outbox_bytes',
      'Their size',
      byLane(({ bytes }) => bytes),
    ),
    counter(
      'outbox_appended',
      'Messages accepted',
      byLane(({ appended }) => appended),
    ),
    counter(
      'outbox_released',
      'Messages let go after an acknowledgement',
      byLane(({ released }) => released),
    ),
    counter(
      'outbox_expired',
      'Messages that became too old',
      byLane(({ expired }) => expired),
    ),
    counter('outbox_dropped', 'Messages dropped since the outbox was full', byRank('dropped')),
    counter('outbox_too_large', 'Messages dropped since the broker takes none so large', byRank('tooLarge')),
  ];
  if (mqtt === null) return families;
  const { phase, fault, reconnects, published, acknowledged, resends } = mqtt;
  const { refused, badAcks, limited, unretained, unacknowledgedS } = mqtt;
  return [
    ...families,
    state('mqtt_phase', 'State of the connection', phase, ['stopped', 'connecting', 'online', 'waiting']),
    state('mqtt_fault', 'What is wrong with the connection', fault?.code ?? '', DELIVERY_FAULTS),
    counter('mqtt_reconnects', 'Connections after the first', [one(reconnects)]),
    counter('mqtt_published', 'Messages sent', [one(published)]),
    counter('mqtt_acknowledged', 'Messages acknowledged', [one(acknowledged)]),
    gauge('mqtt_unacknowledged_seconds', 'For how long no archive has acknowledged what waits for it', [
      one(unacknowledgedS),
    ]),
    counter('mqtt_resends', 'Times that a lane was sent again', [one(resends)]),
    counter('mqtt_refused', 'Messages that the broker refused', [one(refused)]),
    counter('mqtt_bad_acks', 'Acknowledgements that name nothing sent', [one(badAcks)]),
    counter('mqtt_limited', 'Messages to the box that came too fast and were left unread', [one(limited)]),
    counter('mqtt_unretained', 'Messages that the broker should have kept and does not', [one(unretained)]),
  ];
}

function accuracyFamilies(accuracy: HealthReport['accuracy']): Family[] {
  if (accuracy === null) return [];
  const { verdicts, unrecorded, expired, dropped } = accuracy;
  const kinds = Object.entries(verdicts).map(([result, count]) => one(count, { result }));
  return [
    counter('accuracy_verdicts', 'Verdicts of the room', kinds),
    counter('accuracy_unrecorded', 'Alerts and verdicts that the disk refused', [one(unrecorded)]),
    counter('accuracy_expired', 'Alerts forgotten by age', [one(expired)]),
    counter('accuracy_dropped', 'Alerts forgotten since there were too many', [one(dropped)]),
  ];
}

function counterFamilies(counters: Counters): Family[] {
  return Object.entries(counters).map(([name, value]) => ({
    name: counterMetric(name, value),
    help: `Counter ${name} of the health report; docs/guide/operations.md says what it means`,
    type: typeof value === 'object' ? 'gauge' : 'counter',
    samples: [one(typeof value === 'object' ? value.gauge : value)],
  }));
}

function latencyFamilies({ stages, puback }: Measured): Family[] {
  return [
    histogram(
      'stage_duration_seconds',
      'Wall time of each stage of a frame (capture: mostly waiting for it)',
      Object.entries(stages).map(([stage, counts]) => ({ labels: { stage }, counts })),
    ),
    histogram(
      'frame_to_puback_seconds',
      'From the frame in which an incident began to the acknowledgement of the broker',
      [{ labels: {}, counts: puback }],
    ),
  ];
}

function histogram(
  name: string,
  help: string,
  series: readonly { readonly labels: Labels; readonly counts: LatencyCounts }[],
): Family {
  const samples = series.flatMap(({ labels, counts: { counts, sumMs } }): Sample[] => {
    let upTo = 0;
    const buckets = counts.map((count, index): Sample => {
      upTo += count;
      const bound = LATENCY_BOUNDS_MS[index];
      const le = bound === undefined ? '+Inf' : String(bound / 1000);
      return { suffix: '_bucket', labels: { ...labels, le }, value: upTo };
    });
    return [
      ...buckets,
      { suffix: '_sum', labels, value: sumMs / 1000 },
      { suffix: '_count', labels, value: upTo },
    ];
  });
  return { name: `vigie_${name}`, help, type: 'histogram', samples };
}

const end = (notAfter: string | null | undefined, labels: Labels = {}): Sample[] =>
  notAfter == null ? [] : [one(Date.parse(notAfter) / 1000, labels)];

/** One sample for each state, 1 for the one that holds. */
function state(name: string, help: string, now: string, all: readonly string[]): Family {
  const label = name.replace(/^.*_/, '');
  return gauge(
    name,
    help,
    all.map((value) => one(Number(value === now), { [label]: value })),
  );
}

function pick(from: Readonly<Record<string, string>>, names: readonly string[]): Labels {
  return Object.fromEntries(names.map((name) => [name, from[name] ?? 'unknown']));
}

/**
 * Renders the metrics of all boxes in the Prometheus text format 0.0.4.
 *
 * INVARIANTS:
 * - The labels `site`, `box` and `client` are names. All others come from fixed lists or match WORD; other values
 *   become `other`.
 * - No label contains an address, a reason or information about the street.
 * - Of mutually exclusive states, only the current one is exported, with value 1.
 */

import {
  counter,
  EXPOSITION_TYPE,
  exposition,
  type Family,
  gauge,
  type Labels,
  one,
  type Sample,
} from '../../../../agent/base/exposition.ts';
import { roomFamilies, timestamp } from '../../../../agent/contract/health-metrics.ts';
import { RELEASE_KINDS, type ReleaseKind } from '../../../../agent/contract/release.ts';
import type { UpdateReport } from '../../../../agent/contract/update.ts';
import type { Page } from '../../../../agent/local/local-server.ts';
import { type Box, type Boxes, REFUSALS } from './boxes.ts';
import type { ConnectionCounts } from './client-connections.ts';
import { CHANGES, type ReleaseChange, type Updater } from './release-changes.ts';

/** Matches versions, kernels and rollout names. Control characters and long texts do not match. */
const WORD = /^[A-Za-z0-9][A-Za-z0-9 .,:+~_()/#-]{0,79}$/;

interface Measured {
  readonly boxes: Boxes;
  readonly connected: boolean;
  /** Undefined until the broker has reported it. */
  readonly retainedMessages: number | undefined;
  readonly connections: ConnectionCounts;
  /** Memory of this program in bytes. */
  readonly memory: number;
  /** Connections to this page that were closed for new ones. */
  readonly displaced: number;
  readonly nowMs: number;
}

/** Values of one box: a number, one or several samples with further labels, or none. */
type Values = number | Sample | readonly Sample[] | undefined;

export function metricsPage(measured: Measured): Page {
  const { boxes: all, connected, retainedMessages, connections, memory, displaced, nowMs } = measured;
  const { boxes, forgotten } = all.view(nowMs);
  const labels = new Map(boxes.map((box) => [box, { site: box.site, box: box.box }]));
  const each = (of: (box: Box) => Values): Sample[] =>
    boxes.flatMap((box) => samplesOf(of(box), labels.get(box) ?? {}));
  const body = exposition([
    ...stateFamilies(each, nowMs),
    ...roomFamilies((of) => each(({ reports }) => reports.health && of(reports.health))),
    ...updateFamilies((of) => each(({ reports }) => reports.report && of(reports.report))),
    ...fleetFamilies(all, boxes.length, forgotten),
    gauge('fleet_broker_connected', 'This program hears the broker', [one(Number(connected))]),
    gauge(
      'fleet_broker_retained_messages',
      'Messages that the broker keeps; some twelve a box',
      retainedMessages === undefined ? [] : [one(retainedMessages)],
    ),
    counter(
      'fleet_broker_client_connections',
      'Connections of each client, since this program began to listen',
      connections.clients.map(({ broker, client, count }) => one(count, { broker, client })),
    ),
    counter(
      'fleet_broker_unnamed_connections',
      'Connections of clients beyond those that are counted by name',
      [one(connections.unnamed)],
    ),
    counter('fleet_connections_displaced', 'Connections to this page closed for new ones', [one(displaced)]),
    gauge('fleet_resident_memory_bytes', 'Resident memory of this program', [one(memory)]),
  ]);
  return { contentType: EXPOSITION_TYPE, body };
}

function samplesOf(values: Values, own: Labels): Sample[] {
  if (values === undefined) return [];
  if (typeof values === 'number') return [one(values, own)];
  const list: readonly Sample[] = 'value' in values ? [values] : values;
  return list.map(({ value, labels }) => one(value, { ...own, ...labels }));
}

function stateFamilies(each: (of: (box: Box) => Values) => Sample[], nowMs: number): Family[] {
  return [
    gauge(
      'box_up',
      'The box is connected to the broker',
      each((box) => Number(box.isOnline)),
    ),
    gauge(
      'box_status',
      'What the box, or the broker in its place, said last',
      each(({ reports }) => one(1, { status: reports.status?.state ?? 'unknown' })),
    ),
    gauge(
      'box_health_age_seconds',
      'Since the newest health report',
      each(({ heardMs }) => {
        const atMs = heardMs.get('health');
        return atMs === undefined ? undefined : Math.max(0, Math.round((nowMs - atMs) / 1000));
      }),
    ),
    gauge(
      'box_mode',
      'Mode of the box',
      each((box) => {
        const mode = modeOf(box);
        return mode === undefined ? undefined : one(1, { mode });
      }),
    ),
    gauge('box_info', 'What runs on the box', each(infoOf)),
    counter(
      'box_messages_refused',
      'Messages of the box that could not be read',
      each(({ refusalCount: refusals }) => refusals),
    ),
    counter(
      'box_update_failures',
      'Failed updates and rollbacks seen by this program',
      each(({ reports, failures }) =>
        reports.report === undefined
          ? undefined
          : RELEASE_KINDS.map((kind) => one(failures[kind].count, { what: kind })),
      ),
    ),
  ];
}

/** Returns the newer mode by the box's clock: the statement comes at once, the health report every 30 s. */
function modeOf({ reports: { mode, health } }: Box): string | undefined {
  if (mode === undefined || health === undefined) return mode?.mode ?? health?.mode;
  return Date.parse(mode.time) > Date.parse(health.time) ? mode.mode : health.mode;
}

function infoOf({ reports: { health, report } }: Box): Sample | undefined {
  if (health === undefined && report === undefined) return undefined;
  const { updater = null, version = '' } = report ?? {};
  return one(1, {
    version: word(version || health?.versions['vigie']),
    seq: String(updater?.release?.seq ?? ''),
    node: word(updater?.node ?? health?.versions['node']),
    board: updater?.board ?? '',
    arch: updater?.arch ?? '',
    os: word(updater?.os ?? ''),
    kernel: word(updater?.kernel ?? ''),
  });
}

function updateFamilies(each: (of: (report: UpdateReport) => Values) => Sample[]): Family[] {
  const updater = (of: (updater: Updater) => Values): Sample[] =>
    each((report) => (report.updater === null ? undefined : of(report.updater)));
  const programs = (of: (change: ReleaseChange, kind: ReleaseKind) => Sample[]): Sample[] =>
    updater((state) => RELEASE_KINDS.flatMap((kind) => of(CHANGES[kind](state), kind)));
  return [
    gauge(
      'box_updater_up',
      'The box has the updater',
      each((report) => Number(report.updater !== null)),
    ),
    gauge(
      'box_release_seq',
      'Number of the release that runs, of the agent and of root’s program',
      programs(({ release }, kind) => (release === null ? [] : [one(release.seq, { what: kind })])),
    ),
    gauge(
      'box_update_phase',
      'How far the update of each program is',
      programs(({ phase }, kind) => [one(1, { what: kind, phase })]),
    ),
    gauge(
      'box_update_phase_timestamp_seconds',
      'When that phase began',
      programs(({ since }, kind) => timestamp(since, { what: kind })),
    ),
    gauge(
      'box_update_target_info',
      'Release that is wanted, and by which rollout',
      programs(({ rollout, target }, kind) =>
        target === null
          ? []
          : [
              one(1, {
                what: kind,
                rollout: word(rollout ?? ''),
                seq: String(target.seq),
                version: word(target.version),
              }),
            ],
      ),
    ),
    gauge(
      'box_update_downloaded_ratio',
      'Of a download',
      updater(({ bytes }) => (bytes === null ? undefined : bytes.done / Math.max(1, bytes.total))),
    ),
    gauge(
      'box_order_refused',
      'The box refused the newest order that it received',
      each(({ refused, config }) => [
        one(Number(refused !== null), { order: 'release' }),
        one(Number(config.refused !== null), { order: 'configuration' }),
      ]),
    ),
    gauge(
      'box_config_phase',
      'How far the configuration that was ordered is',
      each(({ config }) => one(1, { phase: config.phase })),
    ),
    gauge(
      'box_config_revision',
      'Its revision',
      each(({ config }) => config.revision),
    ),
    gauge(
      'box_os_updates_pending',
      'Packages of the operating system that wait',
      updater(({ osUpdates }) => osUpdates?.pending),
    ),
    gauge(
      'box_os_reboot_required',
      'They want a restart of the box',
      updater(({ osUpdates }) => (osUpdates === null ? undefined : Number(osUpdates.reboot))),
    ),
    gauge(
      'box_free_bytes',
      'Where releases lie',
      updater(({ freeBytes }) => freeBytes),
    ),
    gauge(
      'box_journal_entries',
      'Entries of the journal',
      each(({ journalIndex }) => journalIndex),
    ),
  ];
}

function fleetFamilies(all: Boxes, shownCount: number, forgotten: number): Family[] {
  return [
    gauge('fleet_boxes', 'Boxes that are shown', [one(shownCount)]),
    gauge('fleet_boxes_forgotten', 'Boxes left out: not online, and not heard for too long', [
      one(forgotten),
    ]),
    counter('fleet_messages', 'Messages of boxes', [one(all.messages)]),
    counter(
      'fleet_refused',
      'Messages that were not taken',
      REFUSALS.map((reason) => one(all.refusals[reason], { reason })),
    ),
  ];
}

function word(text = ''): string {
  return text === '' || WORD.test(text) ? text : 'other';
}

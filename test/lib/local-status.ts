/** Reports of a healthy agent. */

import type { LocalStatus } from '../../agent/contract/local-status.ts';
import type { ViewReport } from '../../agent/contract/view-report.ts';
import { TrackLogStatus } from '../../agent/tracks/status.ts';

const lane = {
  rows: 2,
  bytes: 1800,
  lastSeq: 20,
  appended: 20,
  released: 18,
  dropped: { snapshot: 0, notice: 0, alert: 0 },
  expired: 0,
  tooLarge: { snapshot: 0, notice: 0, alert: 0 },
};
export const EVENT = {
  time: '2026-11-24T14:00:00.000Z',
  kind: 'illegal-parking',
  severity: 'alert',
  phase: 'start',
  subject: 'zone/forecourt-with-a-long-name',
  reason: null,
} as const;

export const STATUS: LocalStatus = {
  report: {
    time: '2026-11-24T14:03:00.000Z',
    site: 'marseille-1',
    box: 'canebiere-017',
    boot: 'b00t',
    uptimeS: 11_530,
    mode: 'active',
    tracks: new TrackLogStatus().report,
    restraint: {
      since: '2026-11-24T11:00:00.000Z',
      reason: null,
      order: '2026/17',
      validUntil: '2027-11-24T00:00:00.000Z',
      installation: false,
      rules: [],
    },
    conditions: [],
    certificate: null,
    versions: { vigie: '0.1.0', node: '20.20.2' },
    clock: { synced: true, timeZone: 'Europe/Paris' },
    frames: { read: 57_000, analysed: 56_990, dropped: 10, watched: 0 },
    camera: {
      state: 'streaming',
      reason: null,
      decoder: 'v4l2h264dec',
      widthPx: 1920,
      heightPx: 1080,
      fps: 25,
      asOrdered: true,
    },
    detector: { model: 'nanodet-g-city10', sha256: 'ab', provider: 'cpu', fallback: null },
    incidents: { standing: 1, episodes: 12, events: 25 },
    outbox: { store: 'disk', damaged: 0, lanes: { alert: lane, bulk: lane } },
    mqtt: {
      phase: 'online',
      since: '2026-11-24T11:00:00.000Z',
      fault: null,
      reconnects: 0,
      published: 40,
      acknowledged: 36,
      unacknowledgedS: 0,
      resends: 0,
      refused: 0,
      badAcks: 0,
      limited: 0,
      unretained: 0,
    },
    accuracy: null,
    processes: { agent: { pid: 1, rssMiB: 74.2, fds: 30 }, vision: { pid: 2, rssMiB: 201, fds: 25 } },
    temperatureC: 61.5,
    counters: { journal_missed: 0 },
  },
  connected: 'rtsp://10.0.0.7:554',
  analysedFps: 5,
  inferenceMs: 20,
  view: viewOf({}),
  disk: { freeMiB: 20_000, sizeMiB: 29_000 },
  journal: { entries: 912, root: '3vA9rootrootrootroot' },
  standing: [EVENT],
  recent: [EVENT, EVENT],
};

/** A report of what has passed before a camera: nothing, except `changes`. */
export function viewOf(changes: Partial<ViewReport>): ViewReport {
  const nothing = { people: 0, heightTenthNorm: 0, heightHalfNorm: 0, moving: 0, stepNineTenths: 0 };
  const source = { widthPx: 1280, heightPx: 720 };
  return { input: [416, 256], fps: 5, source, ...nothing, ...changes };
}

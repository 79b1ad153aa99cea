/** What the running agent says of itself, thing by thing, and what a person should do about it. */
import type { HealthReport } from '../../contract/health.ts';
import type { LocalEvent, LocalStatus } from '../../contract/local-status.ts';
import { type Finding, failed, ok, unknown } from '../doctor/finding.ts';

/** Camera, detector and broker have so long after a start before their absence is somebody's task. */
const SETTLE_S = 60;
/** Outbox and archive at their usual sizes, each with a write-ahead log as large. */
const FREE_MIB_MIN = 256;
/** A Raspberry Pi slows its processor down from here on (raspberrypi.com/documentation, frequency management). */
const HOT_C = 80;
const DOCTOR = 'sudo -u vigie vigie doctor tries it and says more';

export function statusFindings(status: LocalStatus): Finding[] {
  const { report } = status;
  return [
    modeFinding(report),
    cameraFinding(report),
    analysisFinding(status),
    detectorFinding(report),
    incidentsFinding(report),
    ...status.standing.filter(({ severity }) => severity === 'system').map(conditionFinding),
    outboxFinding(report),
    brokerFinding(report),
    report.clock.synced
      ? ok('clock', 'set by the network')
      : failed('clock', 'not set by the network', 'sudo timedatectl set-ntp true, and let NTP out (UDP 123)'),
    journalFinding(status),
    diskFinding(status),
    heatFinding(report),
    memoryFinding(report),
  ];
}

function modeFinding({ mode, uptimeS, versions, restraint }: HealthReport): Finding {
  const detail = `${mode}, up for ${durationText(uptimeS)}, version ${versions['vigie'] ?? 'unknown'}`;
  const why = restraint.reason === null ? '' : `: ${restraint.reason}`;
  if (mode !== 'unauthorised') return ok('mode', `${detail}${why}`);
  return failed('mode', `${detail}${why}`, 'the box watches nothing until it has a valid authorisation');
}

function cameraFinding({ camera, mode, uptimeS }: HealthReport): Finding {
  const { state, reason, decoder, widthPx, heightPx, fps } = camera;
  if (mode !== 'active') return ok('camera', `off while the box is ${mode}`);
  if (state === 'streaming') {
    const rate = fps === null ? '' : `, ${Math.round(fps * 10) / 10} fps`;
    return ok('camera', `${widthPx}×${heightPx}${rate}, ${decoder}`);
  }
  if (uptimeS < SETTLE_S && state !== 'lost') return unknown('camera', 'is being opened');
  const fix = `look at its power, cable and address; ${DOCTOR}`;
  return failed('camera', reason === null ? `no picture (${state})` : `${state}: ${reason}`, fix);
}

function analysisFinding({ report, analysedFps }: LocalStatus): Finding {
  const { frames, camera, uptimeS } = report;
  const detail = `${analysedFps} fps, ${frames.analysed} frames, ${frames.dropped} dropped`;
  if (camera.state !== 'streaming' || analysedFps > 0) return ok('analysis', detail);
  if (uptimeS < SETTLE_S) return unknown('analysis', detail);
  return failed('analysis', detail, 'journalctl -u vigie-vision says why no frame comes through');
}

function detectorFinding({ detector, mode, uptimeS }: HealthReport): Finding {
  if (detector !== null) {
    const { model, provider, fallback } = detector;
    return ok('detector', `${model} on ${provider}${fallback === null ? '' : ` (${fallback})`}`);
  }
  if (mode !== 'active') return ok('detector', `off while the box is ${mode}`);
  if (uptimeS < SETTLE_S) return unknown('detector', 'is being loaded');
  return failed('detector', 'not loaded: nothing is detected', DOCTOR);
}

function incidentsFinding({ incidents: { standing, episodes, events } }: HealthReport): Finding {
  return ok('incidents', `${standing} standing, ${episodes} since the start, ${events} events`);
}

/** A condition of the camera or the box is what the operations guide is for. */
function conditionFinding({ kind, time, reason }: LocalEvent): Finding {
  const why = reason === null ? '' : `: ${reason}`;
  return failed(kind, `since ${clockText(time)}${why}`, `docs/guide/operations.md, ${kind}`);
}

function outboxFinding({ outbox: { store, lanes } }: HealthReport): Finding {
  const { alert, bulk } = lanes;
  const kb = Math.ceil((alert.bytes + bulk.bytes) / 1000);
  const lost = alert.dropped.alert + bulk.dropped.notice;
  const detail = `${alert.rows} + ${bulk.rows} wait (alerts + rest), ${kb} kB, ${store === 'disk' ? 'on disk' : 'IN MEMORY'}`;
  if (store === 'memory') {
    return failed('outbox', detail, 'the disk refuses writes: replace the card, or make room on it');
  }
  if (lost > 0) {
    return failed(
      'outbox',
      `${detail}; ${lost} lost`,
      'it was full: the broker was away for long, mend that',
    );
  }
  const tooLarge = [alert, bulk].flatMap((lane) => Object.values(lane.tooLarge)).reduce((a, b) => a + b, 0);
  if (tooLarge === 0) return ok('outbox', detail);
  const fix = 'allow messages of 300000 bytes at the broker (Mosquitto: max_packet_size)';
  return failed('outbox', `${detail}; ${tooLarge} too large for the broker`, fix);
}

function brokerFinding({ mqtt, uptimeS }: HealthReport): Finding {
  if (mqtt === null) return unknown('broker', 'none is configured');
  const { phase, since, fault } = mqtt;
  if (phase === 'online' && fault === null) return ok('broker', `online since ${clockText(since)}`);
  if (fault !== null) return failed('broker', `${phase}, ${fault.code}`, fault.message);
  if (uptimeS < SETTLE_S) return unknown('broker', phase);
  return failed('broker', `${phase} since ${clockText(since)}`, DOCTOR);
}

function journalFinding({ journal, report }: LocalStatus): Finding {
  const missed = report.counters['journal_missed'] ?? 0;
  if (journal === null) return failed('journal', 'there is none', 'journalctl -u vigie says why');
  const detail = `${journal.entries} entries, head ${journal.root.slice(0, 12)}`;
  if (missed === 0) return ok('journal', detail);
  return failed(
    'journal',
    `${detail}; ${missed} missed`,
    'the disk refused writes; see docs/guide/journal.md',
  );
}

function diskFinding({ disk: { freeMiB, sizeMiB } }: LocalStatus): Finding {
  const share = sizeMiB === 0 ? 0 : Math.round((100 * freeMiB) / sizeMiB);
  const detail = `${freeMiB} MiB free (${share} %)`;
  if (freeMiB >= FREE_MIB_MIN) return ok('disk', detail);
  return failed('disk', detail, `make room: ${FREE_MIB_MIN} MiB are needed for outbox and archive`);
}

function heatFinding({ temperatureC }: HealthReport): Finding {
  if (temperatureC === null) return unknown('heat', 'the board shows none');
  if (temperatureC < HOT_C) return ok('heat', `${temperatureC} °C`);
  return failed('heat', `${temperatureC} °C`, 'shade the box, clear its vents, or lower camera.fps');
}

function memoryFinding({ processes: { agent, vision } }: HealthReport): Finding {
  const seen = vision === null ? 'no vision' : `vision ${Math.round(vision.rssMiB)} MiB`;
  return ok('memory', `${seen}, agent ${Math.round(agent.rssMiB)} MiB`);
}

export function durationText(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1) return `${Math.floor(seconds)} s`;
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 2 * 1440) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(minutes / 1440)} days`;
}

/** By this machine's clock, with the date where it is not today's. */
export function clockText(time: string, now = new Date()): string {
  const at = new Date(time);
  const two = (value: number): string => String(value).padStart(2, '0');
  const clock = `${two(at.getHours())}:${two(at.getMinutes())}`;
  if (at.toDateString() === now.toDateString()) return clock;
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock}`;
}

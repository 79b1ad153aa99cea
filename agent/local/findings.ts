/** Findings of the running agent about its own parts, with the action for a person. */
import { type ConditionKind, isConditionKind } from '../contract/condition.ts';
import { type Finding, failed, ok, unknown } from '../contract/finding.ts';
import { type HealthReport, UNACKNOWLEDGED_S_MAX } from '../contract/health.ts';
import type { LocalEvent, LocalStatus } from '../contract/local-status.ts';
import { zoneName } from '../contract/zone-name.ts';
import { FINDING_TEXTS, type FindingTexts, type Language } from './finding-texts.ts';
import { REPORT_FORMS, type Remedy, remedyFor, SITE_REMEDIES } from './site-remedies.ts';
import { TERMINAL_FIXES } from './terminal-fixes.ts';
import { largerInput, viewFindings } from './view-advice.ts';

/** Time in s after a start before a missing camera, detector or broker needs a person. */
const SETTLE_S = 60;
/** Space for outbox and archive at their usual sizes, each with a write-ahead log of the same size. */
const FREE_MIB_MIN = 256;
/**
 * Limit in °C. A Raspberry Pi throttles its processor from this temperature on (raspberrypi.com/documentation,
 * frequency management).
 */
const HOT_C = 80;
/**
 * Period in ms before an expiry in which it is a failure, equal to the second reminder to the room
 * (incident/expiry.ts).
 */
const SOON_MS = 7 * 86_400_000;
/** Reader of the findings: a person with a shell, or a technician with the page. */
export type Reader = 'terminal' | 'site';

interface Texts extends FindingTexts {
  /** Returns the action for the reader. `terminalFix`: the one for a person with a shell. */
  fix(remedy: Remedy, terminalFix: string): string;
}

export function statusFindings(
  status: LocalStatus,
  language: Language = 'en',
  reader: Reader = 'terminal',
): Finding[] {
  const { report } = status;
  const { timeZone } = report.clock;
  const fix: Texts['fix'] = (remedy, terminalFix) =>
    reader === 'site' ? SITE_REMEDIES[language][remedy] : terminalFix;
  const texts: Texts = { ...FINDING_TEXTS[language], fix };
  return [
    modeFinding(report, texts),
    ...endFindings(report, texts),
    cameraFinding(report, texts),
    analysisFinding(status, texts),
    ...quietFindings(report, texts),
    detectorFinding(status, texts),
    ...viewFindings(status.view, texts).map((finding) => forReader(finding, texts)),
    incidentsFinding(report, texts),
    ...status.standing
      .filter(({ severity, kind }) => severity === 'system' && reportFormOf(kind) !== 'elsewhere')
      .map((event) => conditionFinding(event, timeZone, texts)),
    outboxFinding(report, texts),
    brokerFinding(report, texts),
    report.clock.synced
      ? ok('clock', texts.clockSet)
      : failed('clock', texts.clockNotSet, texts.fix('clock', TERMINAL_FIXES.clock)),
    journalFinding(status, texts),
    diskFinding(status, texts),
    heatFinding(report, texts),
    memoryFinding(report, texts),
  ];
}

function forReader(finding: Finding, texts: Texts): Finding {
  const { name, detail, fix } = finding;
  return fix === undefined ? finding : failed(name, detail, texts.fix('view', fix));
}

function modeFinding({ mode, uptimeS, versions, restraint }: HealthReport, texts: Texts): Finding {
  const version = versions['vigie'] ?? texts.unknown;
  const detail = texts.mode(texts.modes[mode], durationText(uptimeS, texts.days), version);
  const reasonText = restraint.reason === null ? '' : `: ${restraint.reason}`;
  if (mode === 'active' && restraint.installation === true) {
    return failed(
      'mode',
      `${detail}, ${texts.underInstallation(restraint.order ?? '')}`,
      texts.fix('installation', TERMINAL_FIXES.installation),
    );
  }
  if (mode !== 'unauthorised') return ok('mode', `${detail}${reasonText}`);
  return failed('mode', `${detail}${reasonText}`, texts.fix('mode', TERMINAL_FIXES.mode));
}

/** Reports the expiry of authorisation and certificates, early enough for a renewal, if the clock is trusted. */
function endFindings({ restraint, certificate, clock, time }: HealthReport, texts: Texts): Finding[] {
  const { order, validUntil, installation } = restraint;
  const finding = (name: string, subject: string, notAfter: string, soon: boolean, fix: string): Finding => {
    const detail = texts.validUntil(subject, dayAndClockText(notAfter, clock.timeZone));
    return soon && clock.synced ? failed(name, detail, fix) : ok(name, detail);
  };
  const isSoon = (notAfter: string): boolean => Date.parse(notAfter) - Date.parse(time) < SOON_MS;
  const own =
    order === null || validUntil === null
      ? []
      : [
          finding(
            'order',
            order,
            validUntil,
            installation !== true && isSoon(validUntil),
            texts.fix('authorisation', TERMINAL_FIXES.authorisation),
          ),
        ];
  if (certificate == null) return own;
  const { notAfter, caNotAfter } = certificate;
  const certificateFix = texts.fix('certificate', TERMINAL_FIXES.certificate);
  const box = finding('certificate', texts.boxCertificate, notAfter, isSoon(notAfter), certificateFix);
  if (caNotAfter === null) return [...own, box];
  const ca = finding('ca', texts.caCertificate, caNotAfter, isSoon(caNotAfter), certificateFix);
  return [...own, box, ca];
}

function cameraFinding({ camera, mode, uptimeS }: HealthReport, texts: Texts): Finding {
  const { state, reason, decoder, widthPx, heightPx, fps } = camera;
  if (mode !== 'active') return ok('camera', texts.off(texts.modes[mode]));
  if (state === 'streaming') {
    const rate = fps === null ? '' : `, ${Math.round(fps * 10) / 10} fps`;
    return ok('camera', `${widthPx}×${heightPx}${rate}, ${decoder}`);
  }
  if (uptimeS < SETTLE_S && state !== 'lost') return unknown('camera', texts.cameraOpening);
  const stateText = texts.cameraStates[state];
  return failed(
    'camera',
    reason === null ? texts.noPicture(stateText) : `${stateText}: ${reason}`,
    texts.fix('camera', TERMINAL_FIXES.camera),
  );
}

function analysisFinding({ report, analysedFps }: LocalStatus, texts: Texts): Finding {
  const { frames, camera, uptimeS } = report;
  const detail = texts.analysis(analysedFps, frames.analysed, frames.dropped);
  if (camera.state !== 'streaming' || analysedFps > 0) return ok('analysis', detail);
  if (uptimeS < SETTLE_S) return unknown('analysis', detail);
  return failed('analysis', detail, texts.fix('analysis', TERMINAL_FIXES.analysis));
}

/** Always ok: the stream is decoded in full if key frames are not enough. */
function quietFindings({ quiet }: HealthReport, texts: Texts): Finding[] {
  if (quiet === undefined) return [];
  const { resting, reason, rests, idleWakings } = quiet;
  const state = resting ? texts.keyFramesAlone : texts.decodedInFull;
  const reasonText = reason === null ? '' : ` (${reason})`;
  return [ok('quiet-street', `${state}${reasonText}; ${texts.rests(rests, idleWakings)}`)];
}

function detectorFinding({ report, view, inferenceMs }: LocalStatus, texts: Texts): Finding {
  const { detector, mode, uptimeS } = report;
  if (detector !== null) {
    const { model, provider, fallback } = detector;
    if (fallback === null) {
      const larger = inferenceMs === null ? undefined : largerInput({ provider, inferenceMs, ...view, view });
      const spare = larger === undefined ? '' : texts.largerInput(larger.join('×'));
      return ok('detector', `${texts.detector(model, provider)}${spare}`);
    }
    const detail = `${texts.detectorInstead(model, provider)}: ${fallback}`;
    return failed('detector', detail, texts.fix('other-detector', TERMINAL_FIXES.guide('detector-fallback')));
  }
  if (mode !== 'active') return ok('detector', texts.off(texts.modes[mode]));
  if (uptimeS < SETTLE_S) return unknown('detector', texts.detectorLoading);
  return failed('detector', texts.detectorMissing, texts.fix('no-detector', TERMINAL_FIXES.doctor));
}

function incidentsFinding({ incidents }: HealthReport, texts: Texts): Finding {
  const { standing: openCount, episodes, events } = incidents;
  return ok('incidents', texts.incidents(openCount, episodes, events));
}

/** Returns how a condition is reported; one known only to another version needs a fix. */
function reportFormOf(kind: string): (typeof REPORT_FORMS)[ConditionKind] {
  return isConditionKind(kind) ? REPORT_FORMS[kind] : 'to-fix';
}

/** Refers to the operations guide for a condition of the camera or the box. A running preview needs no fix. */
function conditionFinding({ kind, time, reason }: LocalEvent, timeZone: string, texts: Texts): Finding {
  const startText = clockText(time, timeZone);
  if (reportFormOf(kind) === 'known') return ok(kind, texts.previewSince(startText));
  const reasonText = reason === null ? '' : `: ${reason}`;
  return failed(
    kind,
    `${texts.activeSince(startText)}${reasonText}`,
    texts.fix(remedyFor(kind), TERMINAL_FIXES.guide(kind)),
  );
}

function outboxFinding({ outbox: { store, lanes }, mqtt }: HealthReport, texts: Texts): Finding {
  const { alert, bulk } = lanes;
  const kb = Math.ceil((alert.bytes + bulk.bytes) / 1000);
  const lostCount = alert.dropped.alert + bulk.dropped.notice;
  const detail = texts.outbox(alert.rows, bulk.rows, kb, store === 'disk');
  if (store === 'memory')
    return failed('outbox', detail, texts.fix('outbox-in-memory', TERMINAL_FIXES.outboxInMemory));
  const silentS = mqtt?.unacknowledgedS ?? 0;
  if (silentS >= UNACKNOWLEDGED_S_MAX) {
    const silent = texts.unacknowledged(durationText(silentS, texts.days));
    return failed(
      'outbox',
      `${detail}; ${silent}`,
      texts.fix('outbox-unacknowledged', TERMINAL_FIXES.outboxUnacknowledged),
    );
  }
  if (lostCount > 0)
    return failed(
      'outbox',
      `${detail}; ${texts.lostMessages(lostCount)}`,
      texts.fix('outbox-lost', TERMINAL_FIXES.outboxLost),
    );
  const tooLarge = [alert, bulk].flatMap((lane) => Object.values(lane.tooLarge)).reduce((a, b) => a + b, 0);
  if (tooLarge === 0) return ok('outbox', detail);
  return failed(
    'outbox',
    `${detail}; ${texts.tooLarge(tooLarge)}`,
    texts.fix('outbox-too-large', TERMINAL_FIXES.outboxTooLarge),
  );
}

function brokerFinding({ mqtt, uptimeS, clock }: HealthReport, texts: Texts): Finding {
  if (mqtt === null) return unknown('broker', texts.noBroker);
  const { since: sinceTime, fault } = mqtt;
  const phase = texts.phases[mqtt.phase];
  const phaseDetail = texts.phaseSince(phase, clockText(sinceTime, clock.timeZone));
  if (mqtt.phase === 'online' && fault === null) return ok('broker', phaseDetail);
  if (fault !== null)
    return failed('broker', `${phase}, ${fault.code}`, texts.fix(`broker-${fault.code}`, fault.message));
  if (uptimeS < SETTLE_S) return unknown('broker', phase);
  return failed('broker', phaseDetail, texts.fix('no-connection', TERMINAL_FIXES.doctor));
}

function journalFinding({ journal, report }: LocalStatus, texts: Texts): Finding {
  const missed = report.counters['journal_missed'] ?? 0;
  if (journal === null)
    return failed('journal', texts.noJournal, texts.fix('no-journal', TERMINAL_FIXES.noJournal));
  const detail = texts.journal(journal.entries, journal.root.slice(0, 12));
  if (missed === 0) return ok('journal', detail);
  return failed(
    'journal',
    `${detail}; ${texts.missed(missed)}`,
    texts.fix('journal', TERMINAL_FIXES.journal),
  );
}

function diskFinding({ disk: { freeMiB, sizeMiB } }: LocalStatus, texts: Texts): Finding {
  const freePercent = sizeMiB === 0 ? 0 : Math.round((100 * freeMiB) / sizeMiB);
  const detail = texts.disk(freeMiB, freePercent);
  if (freeMiB >= FREE_MIB_MIN) return ok('disk', detail);
  return failed('disk', detail, texts.fix('disk', TERMINAL_FIXES.disk(FREE_MIB_MIN)));
}

function heatFinding({ temperatureC }: HealthReport, texts: Texts): Finding {
  if (temperatureC === null) return unknown('heat', texts.noHeat);
  if (temperatureC < HOT_C) return ok('heat', `${temperatureC} °C`);
  return failed('heat', `${temperatureC} °C`, texts.fix('heat', TERMINAL_FIXES.heat));
}

function memoryFinding({ processes: { agent, vision } }: HealthReport, texts: Texts): Finding {
  const visionMiB = vision === null ? undefined : Math.round(vision.rssMiB);
  return ok('memory', texts.memory(visionMiB, Math.round(agent.rssMiB)));
}

/** Formats a duration; `days` is the word for days. */
export function durationText(seconds: number, days = 'days'): string {
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1) return `${Math.floor(seconds)} s`;
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 2 * 1440) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(minutes / 1440)} ${days}`;
}

/** Formats a time in the site's time zone, with the date unless it is today there. */
export function clockText(time: string, timeZone: string, now = new Date()): string {
  const [day, clock] = siteParts(new Date(time), timeZone);
  const [today] = siteParts(now, timeZone);
  return day === today ? `${clock} ${zoneName(Date.parse(time), timeZone)}` : dayAndClockText(time, timeZone);
}

function dayAndClockText(time: string, timeZone: string): string {
  const [day, clock] = siteParts(new Date(time), timeZone);
  return `${day} ${clock} ${zoneName(Date.parse(time), timeZone)}`;
}

/** Returns `2026-11-24` and `15:02`: the Swedish locale formats both as in ISO 8601. */
function siteParts(at: Date, timeZone: string): [day: string, clock: string] {
  return [
    new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short' }).format(at),
    new Intl.DateTimeFormat('sv-SE', { timeZone, timeStyle: 'short' }).format(at),
  ];
}

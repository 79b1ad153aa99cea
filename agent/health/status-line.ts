/**
 * One line for a technician in `systemctl status`: state of the analysis, of the connection to the room, and of the
 * queue.
 */
import { type HealthReport, UNACKNOWLEDGED_S_MAX } from '../contract/health.ts';

/** Maximum length in characters; `systemctl status` shows one line. */
const LINE_MAX = 200;

/** Returns the line. `fps` = frames analysed per second since the last line. */
export function statusLine(report: HealthReport, fps: number): string {
  const { incidents, outbox } = report;
  const waiting = Object.values(outbox.lanes).reduce((sum, { rows }) => sum + rows, 0);
  const parts = [
    watching(report, fps),
    broker(report),
    `${waiting} events wait to be delivered`,
    ...(outbox.store === 'memory' ? ['DISK READ-ONLY'] : []),
    `${incidents.standing} incidents open`,
  ];
  // A line break would begin another notification.
  return parts
    .join('; ')
    .replace(/\p{Cc}+/gu, ' ')
    .slice(0, LINE_MAX);
}

function watching({ mode, camera, restraint }: HealthReport, fps: number): string {
  if (mode === 'suspended') return 'suspended, not watching';
  if (mode === 'unauthorised') return 'not authorised, not watching';
  const activity = restraint.installation === true ? 'installation authorisation, no rule runs' : 'watching';
  if (camera.state === 'streaming') return `${activity}, ${fps.toFixed(1)} frames a second`;
  if (camera.state === 'lost') return `camera lost (${camera.reason ?? 'no reason given'})`;
  return 'camera is being opened';
}

function broker({ mqtt }: HealthReport): string {
  if (mqtt === null) return 'no broker configured';
  if (mqtt.unacknowledgedS >= UNACKNOWLEDGED_S_MAX) return 'NO ARCHIVE ACKNOWLEDGES';
  if (mqtt.phase === 'online') return 'broker online';
  return `broker unavailable (${mqtt.fault?.message ?? mqtt.phase})`;
}

/** Formats one event as one line for a person. */
import { printable } from '../../../../agent/base/printable.ts';
import type { VigieEvent } from '../../../../agent/contract/event.ts';
import { trackName } from '../../../../agent/contract/track-name.ts';
import { zoneName } from '../../../../agent/contract/zone-name.ts';
import { isAhead } from './message.ts';

/** Maximum length of a reason from a box. */
const REASON_CHARS_MAX = 300;

/**
 * Formats an event without its evidence: `14:03:12 CET ALERT loitering: person #4371 in zone square, there for 8.2 s`.
 *
 * The result is a single line whatever the box has written. `isClockTold`: the reader already knows that the box's
 * clock is not synchronised.
 */
export function alertLine(event: VigieEvent, nowMs = Date.now(), isClockTold = false): string {
  const { phase, severity, rule, objects, cause, clock } = event.data;
  const [place = '', id = ''] = printable(event.subject).split('/');
  const subjects = objects.map(({ label, track }) => `${label} ${trackName(track)}`).join(', ');
  const location = id === '' ? `the ${place}` : `${place} ${id}`;
  const description =
    subjects === '' ? location : `${subjects} ${place === 'line' ? 'over' : 'in'} ${location}`;
  const isFuture = isAhead(event.time, nowMs);
  const doubt = isFuture
    ? ` (its clock says ${event.time})`
    : clock.synced || isClockTold
      ? ''
      : ' (its clock was not synchronised)';
  const timeText = isFuture ? '--:--:--' : clockTime(event.time, clock.timeZone);
  return [
    timeText,
    label(severity, phase),
    `${rule.kind}: ${description}${causeText(phase, cause)}${doubt}`,
  ].join('  ');
}

/** True for the end of a momentary incident, which needs no second line. */
export function isMomentaryEnd({ data: { phase, cause } }: VigieEvent): boolean {
  return phase === 'end' && cause['durationS'] === 0;
}

/** Returns a file name that sorts by time and names the rule. */
export function snapshotName({ id, time, data: { rule } }: VigieEvent): string {
  const day = time.slice(0, 19).replaceAll(':', '').replace('T', '-');
  return `${day}-${rule.id}-${id.replaceAll(/[^A-Za-z0-9-]/g, '_')}.jpg`;
}

/** Formats a time by the site's clock, or in UTC if the time zone is unknown. */
function clockTime(time: string, timeZone: string): string {
  const ms = Date.parse(time);
  try {
    const clock = new Intl.DateTimeFormat('sv-SE', { timeZone, timeStyle: 'medium' });
    return `${clock.format(ms)} ${zoneName(ms, timeZone)}`;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return `${time.slice(11, 19)} UTC`;
  }
}

function label(severity: string, phase: string): string {
  if (phase === 'start') return severity.toUpperCase().padEnd(6);
  return (phase === 'end' ? 'ended' : 'still').padEnd(6);
}

function causeText(phase: string, cause: Readonly<Record<string, unknown>>): string {
  const { dwellS, unobservedS, durationS, direction, reason } = cause;
  const parts: string[] = [];
  if (typeof direction === 'string') parts.push(`to the ${printable(direction, 40)}`);
  if (phase === 'start' && typeof dwellS === 'number') parts.push(`there for ${dwellS} s`);
  if (phase === 'start' && typeof unobservedS === 'number')
    parts.push(`not observed for ${unobservedS} s of it`);
  if (phase !== 'start' && typeof durationS === 'number') parts.push(`lasted ${durationS} s`);
  if (typeof reason === 'string') parts.push(printable(reason, REASON_CHARS_MAX));
  return parts.map((part) => `, ${part}`).join('');
}

/** One event as one line for a person. */
import type { VigieEvent } from '../../../../agent/contract/event.ts';

/** `14:03:12  ALERT  loitering: person #4371 in zone square, there for 8.2 s`, without its evidence. */
export function alertLine(event: VigieEvent): string {
  const { phase, severity, rule, objects, cause } = event.data;
  const [place = '', id = ''] = event.subject.split('/');
  // Track numbers start at random and are long; four digits tell those in view apart.
  const who = objects.map(({ label, track }) => `${label} #${String(track).slice(-4)}`).join(', ');
  const where = id === '' ? `the ${place}` : `${place} ${id}`;
  const what = who === '' ? where : `${who} ${place === 'line' ? 'over' : 'in'} ${where}`;
  const words = [clockTime(event.time), label(severity, phase), `${rule.kind}: ${what}${how(phase, cause)}`];
  return words.join('  ');
}

/** Said once: what is over as soon as it has happened needs no second line. */
export function isMomentaryEnd({ data: { phase, cause } }: VigieEvent): boolean {
  return phase === 'end' && cause['standingS'] === 0;
}

/** A name that sorts by time and says what the picture shows. */
export function snapshotName({ id, time, data: { rule } }: VigieEvent): string {
  const day = time.slice(0, 19).replaceAll(':', '').replace('T', '-');
  return `${day}-${rule.id}-${id.replaceAll(/[^A-Za-z0-9-]/g, '_')}.jpg`;
}

function clockTime(time: string): string {
  return new Date(time).toTimeString().slice(0, 8);
}

function label(severity: string, phase: string): string {
  if (phase === 'start') return severity.toUpperCase().padEnd(6);
  return (phase === 'end' ? 'ended' : 'still').padEnd(6);
}

function how(phase: string, cause: Readonly<Record<string, unknown>>): string {
  const { stayedS, standingS, direction, reason } = cause;
  const parts: string[] = [];
  if (typeof direction === 'string') parts.push(`to the ${direction}`);
  if (phase === 'start' && typeof stayedS === 'number') parts.push(`there for ${stayedS} s`);
  if (phase !== 'start' && typeof standingS === 'number') parts.push(`lasted ${standingS} s`);
  if (typeof reason === 'string') parts.push(reason);
  return parts.map((part) => `, ${part}`).join('');
}

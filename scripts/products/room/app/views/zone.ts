/** Converts between absolute times and local times of the room, independent of the browser's time zone. */

const WALL = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2})$/;

const formats = new Map<string, Intl.DateTimeFormat>();

function formatOf(timeZone: string): Intl.DateTimeFormat {
  let format = formats.get(timeZone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-GB', {
      timeZone,
      hourCycle: 'h23',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
    });
    formats.set(timeZone, format);
  }
  return format;
}

/** Returns the local time `YYYY-MM-DDTHH:mm`, as in `<input type="datetime-local">`. */
export function wallTime(ms: number, timeZone: string): string {
  const parts = new Map(
    formatOf(timeZone)
      .formatToParts(ms)
      .map(({ type, value }) => [type, value]),
  );
  const part = (type: Intl.DateTimeFormatPartTypes) => parts.get(type) ?? '';
  return `${part('year')}-${part('month')}-${part('day')}T${part('hour')}:${part('minute')}`;
}

/**
 * Returns the time in ms, or undefined for an invalid date. In a repeated hour the first one counts; a skipped time
 * moves forward by the gap.
 */
export function wallMs(wall: string, timeZone: string): number | undefined {
  const match = WALL.exec(wall);
  if (match === null) return undefined;
  const asUtc = Date.parse(`${wall}:00.000Z`);
  if (Number.isNaN(asUtc)) return undefined;
  const offsetAt = (ms: number) => Date.parse(`${wallTime(ms, timeZone)}:00.000Z`) - ms;
  // No zone is more than 14 h from UTC, so the offsets a day before and after surround any change.
  const dayMs = 24 * 3600_000;
  const before = asUtc - offsetAt(asUtc - dayMs);
  const after = asUtc - offsetAt(asUtc + dayMs);
  if (wallTime(before, timeZone) === wall) return before;
  return wallTime(after, timeZone) === wall ? after : before;
}

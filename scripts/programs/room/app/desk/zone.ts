/** Between a moment and what a clock on the room's wall says, whatever the browser's own time zone is. */

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

/** `YYYY-MM-DDTHH:mm` on the wall, as `<input type="datetime-local">` has it. */
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
 * ms; undefined for what is no date. Of the hour that a clock shows twice the first counts, and a time that it leaps over
 * is the one as much later.
 */
export function wallMs(wall: string, timeZone: string): number | undefined {
  const found = WALL.exec(wall);
  if (found === null) return undefined;
  const asUtc = Date.parse(`${wall}:00.000Z`);
  if (Number.isNaN(asUtc)) return undefined;
  const offsetAt = (ms: number) => Date.parse(`${wallTime(ms, timeZone)}:00.000Z`) - ms;
  // No zone is further than 14 h from UTC: the offsets of the days around hold before and after a change.
  const dayMs = 24 * 3600_000;
  const before = asUtc - offsetAt(asUtc - dayMs);
  const after = asUtc - offsetAt(asUtc + dayMs);
  if (wallTime(before, timeZone) === wall) return before;
  return wallTime(after, timeZone) === wall ? after : before;
}

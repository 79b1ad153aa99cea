/** Computes with days `YYYY-MM-DD` and weeks (ISO 8601), without a time zone. */

const DAY_MS = 86_400_000;

const noonOf = (day: string): number => Date.parse(`${day}T12:00:00.000Z`);

export function dayAfter(day: string, days: number): string {
  return new Date(noonOf(day) + days * DAY_MS).toISOString().slice(0, 10);
}

/** Returns the number of the week that begins on this Monday. Its Thursday decides the year (ISO 8601). */
export function weekNumber(monday: string): number {
  const thursday = dayAfter(monday, 3);
  const firstMs = noonOf(`${thursday.slice(0, 4)}-01-01`);
  return 1 + Math.floor((noonOf(thursday) - firstMs) / (7 * DAY_MS));
}

/** Translates the filters in the URL of the list of closed incidents into a query of the interface. */
import { session } from '../session.ts';
import { wallMs } from './zone.ts';

/** Parameters of the URL. `mine` is an operator's; only supervisors and auditors may name an account (`by`). */
export const FILTERS = ['camera', 'kind', 'verdict', 'by', 'mine', 'from', 'to'] as const;
export type Filter = (typeof FILTERS)[number];

/** A box, site/box, or site/. */
const CAMERA = /^(?:([a-z0-9-]{1,32})\/)?([a-z0-9-]{1,32})?$/;
const DAY = /^\d{4}-\d{2}-\d{2}$/;

export function isCamera(text: string): boolean {
  return CAMERA.test(text);
}

/** Returns the filters of a URL that have a value. */
export function filtersIn(search: string): Partial<Record<Filter, string>> {
  const params = new URLSearchParams(search);
  return Object.fromEntries(
    FILTERS.flatMap((name) => {
      const value = params.get(name) ?? '';
      return value === '' ? [] : [[name, value]];
    }),
  );
}

/** Returns the query of the interface. Invalid values of a changed URL are left out. */
export function closedQuery(search: string): URLSearchParams {
  const { camera = '', kind, verdict, by, mine, from, to } = filtersIn(search);
  const [, site, box] = CAMERA.exec(camera) ?? [];
  const closedBy = by ?? (mine === undefined ? undefined : session.value?.user);
  const values = {
    site,
    box,
    kind,
    verdict,
    closedBy,
    from: startOf(from, 0),
    to: startOf(to, 1),
  };
  const entries = Object.entries(values).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return new URLSearchParams(entries);
}

/** Returns the start of a day in the room's time zone, or of one `later` days after it. */
function startOf(day: string | undefined, later: number): string | undefined {
  if (day === undefined || !DAY.test(day)) return undefined;
  const noonMs = Date.parse(`${day}T12:00:00.000Z`) + later * 86_400_000;
  if (Number.isNaN(noonMs)) return undefined;
  const wall = `${new Date(noonMs).toISOString().slice(0, 10)}T00:00`;
  const ms = wallMs(wall, session.value?.timeZone ?? 'UTC');
  return ms === undefined ? undefined : new Date(ms).toISOString();
}

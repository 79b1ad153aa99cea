/** Finds the newest stored still of each view of a camera, to draw on and to replay over. */
import type { TrackView } from '../../../../agent/contract/track-log.ts';
import { isTime } from '../contract/open-schema.ts';
import type { TrackAnswer } from '../contract/tracks.ts';
import { iso, type Queries } from '../database/sql.ts';
import { type NamedStill, storedDetail } from './incidents.ts';

/** Incidents of a view that are searched, the newest first. Nearly every alert has a still. */
const INCIDENTS_MAX = 50;

type ViewStill = TrackAnswer['views'][number]['still'];

interface Candidate extends NamedStill {
  readonly incident: number;
}

/** Returns the still, or null if none is stored. `to` is null for the current view. */
export async function viewStill(
  db: Queries,
  { site, box }: { readonly site: string; readonly box: string },
  { view, to }: Pick<TrackView, 'view' | 'to'>,
  nowMs: number,
): Promise<ViewStill> {
  const endTime = to ?? iso(nowMs);
  const rows = await db.all<{ no: number; detail: string }>(
    `SELECT no, detail FROM incident WHERE site = $1 AND box = $2 AND started_at >= $3 AND started_at < $4
     ORDER BY received DESC, no DESC LIMIT ${INCIDENTS_MAX}`,
    [site, box, view, endTime],
  );
  const candidates = rows
    .flatMap(({ no, detail }) => storedDetail(detail).stills.map((still) => ({ ...still, incident: no })))
    // Stills from before an alert may show the previous view.
    .filter(({ time }) => isTime(time) && time >= view && time < endTime)
    .sort((a, b) => (a.time < b.time ? 1 : -1));
  const storedKeys = await storedKeysOf(db, site, box, candidates);
  const newest = candidates.find(({ name, sha256 }) => storedKeys.has(`${name} ${sha256}`));
  if (newest === undefined) return null;
  return { incident: newest.incident, moment: newest.moment, at: newest.time };
}

/** Returns the stored pictures by name and hash. */
async function storedKeysOf(
  db: Queries,
  site: string,
  box: string,
  candidates: readonly Candidate[],
): Promise<ReadonlySet<string>> {
  if (candidates.length === 0) return new Set();
  const names = candidates.map((_, index) => `$${index + 3}`).join(', ');
  const storedRows = await db.all<{ name: string; sha256: string }>(
    `SELECT name, sha256 FROM snapshot WHERE site = $1 AND box = $2 AND name IN (${names})`,
    [site, box, ...candidates.map(({ name }) => name)],
  );
  return new Set(storedRows.map(({ name, sha256 }) => `${name} ${sha256}`));
}

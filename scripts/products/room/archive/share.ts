/**
 * Limits the amount that one box may have stored per day, over all its sites. The table `box_share` is updated in the
 * batch's transaction.
 *
 * A street sends 288 messages and 6 MB a day (docs/guide/broker.md, "How large"), and a full outbox 64 MiB at once. The
 * limit is far beyond both. Messages beyond it are dropped and not acknowledged: a regular box keeps them and sends
 * them again the next day. Reports are not counted, because each box has only one row of them.
 */
import { dayHourOf } from '../database/day-hour.ts';
import { type Dialect, iso, type Queries } from '../database/sql.ts';
import type { Arrival } from './message.ts';

export interface StorageQuota {
  readonly messages: number;
  readonly bytes: number;
}

/** Limit of one box and day: 350 times the messages of a street, 170 times its bytes. */
export const DEFAULT_QUOTA: StorageQuota = { messages: 100_000, bytes: 1_073_741_824 };

interface QuotaUse {
  readonly box: string;
  readonly day: string;
  messages: number;
  bytes: number;
  left_out: number;
}

const COLUMNS = {
  box: 'text',
  day: 'text',
  messages: 'integer',
  bytes: 'integer',
  left_out: 'integer',
} as const;

interface QuotaResult {
  /** Arrivals within the share. */
  readonly within: readonly Arrival[];
  readonly leftOut: readonly Arrival[];
  /** Boxes that exceed their share for the first time on this day, with the site they named. */
  readonly exceededBoxes: readonly { readonly site: string; readonly box: string }[];
}

/** Counts the arrivals against the shares, and locks the rows until the transaction ends, in the order of box names. */
export async function chargeQuotas(
  transaction: Queries,
  dialect: Dialect,
  arrivals: readonly Arrival[],
  {
    dailyQuota,
    nowMs,
    timeZone,
  }: { readonly dailyQuota: StorageQuota; readonly nowMs: number; readonly timeZone: string },
): Promise<QuotaResult> {
  const boxes = [
    ...new Set(arrivals.flatMap((one) => (one.kind === 'report' ? [] : [one.place.box]))),
  ].sort();
  if (boxes.length === 0) return { within: arrivals, leftOut: [], exceededBoxes: [] };
  const { day } = dayHourOf(nowMs, timeZone);
  const newRows = boxes.map((box) => ({ box, day, messages: 0, bytes: 0, left_out: 0 }));
  const columns = Object.keys(COLUMNS).join(', ');
  // Locks the row in any case. A clock that was set back starts a new day, too.
  const rows = await transaction.all<QuotaUse>(
    `INSERT INTO box_share (${columns}) SELECT ${columns} FROM ${dialect.rows('$1', 'new', COLUMNS)} WHERE true
     ON CONFLICT (box) DO UPDATE SET day = excluded.day,
       messages = CASE WHEN box_share.day = excluded.day THEN box_share.messages ELSE 0 END,
       bytes = CASE WHEN box_share.day = excluded.day THEN box_share.bytes ELSE 0 END,
       left_out = CASE WHEN box_share.day = excluded.day THEN box_share.left_out ELSE 0 END
     RETURNING ${columns}`,
    [JSON.stringify(newRows)],
  );
  const usesByBox = new Map(rows.map((row) => [row.box, row]));
  const [within, leftOut]: [Arrival[], Arrival[]] = [[], []];
  const exceededBoxes: { site: string; box: string }[] = [];
  for (const arrival of arrivals) {
    if (arrival.kind === 'report') {
      within.push(arrival);
      continue;
    }
    const { site, box } = arrival.place;
    const row = usesByBox.get(box);
    const bytes = sizeOf(arrival);
    if (row === undefined) throw new Error(`the share of ${box} is missing`);
    if (row.messages + 1 > dailyQuota.messages || row.bytes + bytes > dailyQuota.bytes) {
      if (row.left_out === 0) exceededBoxes.push({ site, box });
      row.left_out += 1;
      leftOut.push(arrival);
    } else {
      row.messages += 1;
      row.bytes += bytes;
      within.push(arrival);
    }
  }
  await writeQuotaUse(transaction, dialect, [...usesByBox.values()]);
  return { within, leftOut, exceededBoxes };
}

async function writeQuotaUse(
  transaction: Queries,
  dialect: Dialect,
  rows: readonly QuotaUse[],
): Promise<void> {
  await transaction.run(
    `UPDATE box_share SET messages = new.messages, bytes = new.bytes, left_out = new.left_out
     FROM ${dialect.rows('$1', 'new', COLUMNS)} WHERE box_share.box = new.box`,
    [JSON.stringify(rows)],
  );
}

/** Subtracts arrivals that were already stored, so that repeated messages use up no share. */
export async function giveBack(
  transaction: Queries,
  dialect: Dialect,
  duplicates: readonly Arrival[],
): Promise<void> {
  const rows = new Map<string, QuotaUse>();
  for (const arrival of duplicates) {
    if (arrival.kind === 'report') continue;
    const { box } = arrival.place;
    const row = rows.get(box) ?? { box, day: '', messages: 0, bytes: 0, left_out: 0 };
    row.messages += 1;
    row.bytes += sizeOf(arrival);
    rows.set(box, row);
  }
  if (rows.size === 0) return;
  await transaction.run(
    `UPDATE box_share SET messages = box_share.messages - new.messages, bytes = box_share.bytes - new.bytes
     FROM ${dialect.rows('$1', 'new', COLUMNS)} WHERE box_share.box = new.box`,
    [JSON.stringify([...rows.values()])],
  );
}

/** Marks the camera until the end of the day, because messages of its box are dropped. */
export async function showLeftOut(
  transaction: Queries,
  dialect: Dialect,
  boxes: readonly { readonly site: string; readonly box: string }[],
  { rev, nowMs, timeZone }: { readonly rev: number; readonly nowMs: number; readonly timeZone: string },
): Promise<void> {
  const endTime = iso(endOfDay(nowMs, timeZone));
  await transaction.run(
    `UPDATE camera SET share_until = $2, rev = $3 + new.n
     FROM ${dialect.rows('$1', 'new', { site: 'text', box: 'text', n: 'integer' })}
     WHERE camera.site = new.site AND camera.box = new.box`,
    [JSON.stringify(boxes.map(({ site, box }, n) => ({ site, box, n }))), endTime, rev],
  );
}

const HOUR_MS = 3_600_000;

/** Returns the first full hour of the next local day. A day has at most 25 hours. */
function endOfDay(nowMs: number, timeZone: string): number {
  const { day } = dayHourOf(nowMs, timeZone);
  let atMs = Math.ceil((nowMs + 1) / HOUR_MS) * HOUR_MS;
  while (dayHourOf(atMs, timeZone).day === day) atMs += HOUR_MS;
  return atMs;
}

function sizeOf(arrival: Arrival): number {
  if (arrival.kind === 'snapshot') return arrival.jpeg.length;
  return Buffer.byteLength(arrival.body);
}

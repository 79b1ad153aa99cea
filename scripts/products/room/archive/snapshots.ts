/** Inserts pictures as rows. */
import { sha256Of } from '../../../../agent/base/sha256.ts';
import type { Queries } from '../database/sql.ts';
import type { SnapshotArrival } from './message.ts';

/**
 * Inserts the new pictures and returns them. One statement each, because a picture does not fit in a JSON document and
 * a batch has few.
 */
export async function insertSnapshots(
  transaction: Queries,
  snapshots: readonly SnapshotArrival[],
  received: string,
): Promise<SnapshotArrival[]> {
  const newSnapshots: SnapshotArrival[] = [];
  for (const arrival of snapshots) {
    const { place, name, jpeg } = arrival;
    const { site, box, epoch, lane, seq } = place;
    // The key contains the time of arrival and cannot detect duplicates, so this query does. It is safe because the
    // lane is locked.
    const [duplicate] = await transaction.all(
      'SELECT 1 AS known FROM snapshot WHERE site = $1 AND box = $2 AND name = $3 LIMIT 1',
      [site, box, name],
    );
    if (duplicate !== undefined) continue;
    await putSnapshot(transaction, { site, box, epoch, lane, seq, name, jpeg, received });
    newSnapshots.push(arrival);
  }
  return newSnapshots;
}

export interface SnapshotRow {
  readonly site: string;
  readonly box: string;
  readonly epoch: string;
  readonly lane: string;
  readonly seq: number;
  readonly name: string;
  readonly jpeg: Buffer;
  readonly received: string;
}

/** Inserts a picture that is not stored yet. */
export async function putSnapshot(
  transaction: Queries,
  { site, box, epoch, lane, seq, name, jpeg, received }: SnapshotRow,
): Promise<void> {
  await transaction.run(
    `INSERT INTO snapshot (site, box, epoch, lane, seq, name, sha256, jpeg, received)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
    [site, box, epoch, lane, seq, name, sha256Of(jpeg), jpeg, received],
  );
}

/** Converts events and their pictures to outbox items, in the protocol's form and on its topics, and back. */
import { EVENT_CONTENT_TYPE, type VigieEvent } from '../contract/event.ts';
import { type EventPicture, pictureName, type UnnumberedEvent } from '../contract/event-sink.ts';
import { type Lane, type Outbox, type OutboxItem, type OutboxRow, sequenceText } from '../contract/outbox.ts';
import type { ArchivedEvent } from '../contract/search.ts';
import { topicsOf } from '../contract/topics.ts';

/** Rows read at a time. */
const BATCH = 100;

export interface EventItems {
  readonly lane: Lane;
  /** The event, followed by its pictures. */
  readonly items: readonly OutboxItem[];
  /** Returns the event as published with that number. */
  numbered(seq: number): VigieEvent;
}

export function itemsOf(
  event: UnnumberedEvent,
  pictures: readonly EventPicture[],
  { site, box }: { readonly site: string; readonly box: string },
  snapshotsDays: number,
): EventItems {
  const topics = topicsOf(site, box);
  const { severity, rule } = event.data;
  const alert = severity === 'alert';
  const lane = alert ? 'alert' : 'bulk';
  const numbered = (seq: number): VigieEvent => ({ ...event, sequence: sequenceText(seq) });
  const text: OutboxItem = {
    lane,
    rank: alert ? 'alert' : 'notice',
    topic: topics.event(severity, rule.kind),
    contentType: EVENT_CONTENT_TYPE,
    body: (seq) => JSON.stringify(numbered(seq)),
  };
  const stills = pictures.map(
    ({ moment, picture }): OutboxItem => ({
      lane,
      rank: 'snapshot',
      topic: topics.snapshot(pictureName(event.id, moment)),
      contentType: 'image/jpeg',
      expiryS: snapshotsDays * 86_400,
      jpeg: picture,
    }),
  );
  return { lane, items: [text, ...stills], numbered };
}

/** Yields the events of a lane with a number above `after`, in order; nothing if `after` is undefined. */
export function* rowsAsEvents(
  outbox: Pick<Outbox, 'peek'>,
  lane: Lane,
  after: number | undefined,
): Generator<ArchivedEvent[]> {
  for (let from = after; from !== undefined; ) {
    const rows = outbox.peek(lane, from, BATCH);
    if (rows.length > 0) yield rows.flatMap((row) => eventOf(lane, row));
    from = rows.at(-1)?.seq;
  }
}

function eventOf(lane: Lane, row: OutboxRow): ArchivedEvent[] {
  if (row.kind === 'gap' || row.contentType !== EVENT_CONTENT_TYPE) return [];
  return [{ lane, seq: row.seq, event: JSON.parse(Buffer.from(row.body).toString()) as VigieEvent }];
}

/**
 * Puts events and their snapshots into the outbox, in the form and on the topics of the protocol, and the
 * events into the archive.
 *
 * INVARIANTS: an event that the outbox has accepted reaches the archive before it can leave the outbox: it is
 * added before delivery is woken, and after a crash between the two `recover` takes it from the outbox.
 */
import type { EventArchive } from '../archive/archive.ts';
import { EVENT_CONTENT_TYPE, type VigieEvent } from '../contract/event.ts';
import {
  type EventPicture,
  type EventSink,
  pictureName,
  type UnnumberedEvent,
} from '../contract/event-sink.ts';
import {
  LANES,
  type Lane,
  type Outbox,
  type OutboxItem,
  type OutboxRow,
  sequenceText,
} from '../contract/outbox.ts';
import type { ArchivedEvent } from '../contract/search.ts';
import { type Topics, topicsOf } from '../contract/topics.ts';

/** Rows taken over in one transaction. */
const RECOVER_BATCH = 100;

export interface OutboxEventsOptions {
  readonly site: string;
  readonly box: string;
  readonly outbox: Outbox;
  /** May change while it runs. */
  readonly snapshotsDays: number;
  readonly archive: EventArchive;
  /** The outbox has committed the event, its body is as published; after a crash it may be called again. */
  onCommitted?(event: VigieEvent): void;
  /** Called when outbox and archive have the event: it is durable. */
  onAccepted(event: UnnumberedEvent): void;
}

export class OutboxEvents implements EventSink {
  readonly #options: OutboxEventsOptions;
  readonly #topics: Topics;

  constructor(options: OutboxEventsOptions) {
    this.#options = options;
    this.#topics = topicsOf(options.site, options.box);
  }

  accept(event: UnnumberedEvent, pictures: readonly EventPicture[]): void {
    const { severity, rule } = event.data;
    const alert = severity === 'alert';
    const lane = alert ? 'alert' : 'bulk';
    const items: OutboxItem[] = [
      {
        lane,
        rank: alert ? 'alert' : 'notice',
        topic: this.#topics.event(severity, rule.kind),
        contentType: EVENT_CONTENT_TYPE,
        body: (seq) => JSON.stringify({ ...event, sequence: sequenceText(seq) }),
      },
    ];
    for (const { moment, picture } of pictures) {
      items.push({
        lane,
        rank: 'snapshot',
        topic: this.#topics.snapshot(pictureName(event.id, moment)),
        contentType: 'image/jpeg',
        expiryS: this.#options.snapshotsDays * 86_400,
        jpeg: picture,
      });
    }
    const [seq = 0] = this.#options.outbox.append(items);
    const numbered = { ...event, sequence: sequenceText(seq) };
    this.#options.onCommitted?.(numbered);
    this.#options.archive.add([{ lane, seq, event: numbered }]);
    this.#options.onAccepted(event);
  }

  /** Takes into the archive what only the outbox has; to be called before delivery starts. */
  recover(): void {
    const { outbox, archive } = this.#options;
    for (const lane of LANES) {
      let after = archive.progress(lane);
      while (after !== undefined) {
        const rows = outbox.peek(lane, after, RECOVER_BATCH);
        const entries = rows.flatMap((row) => eventOf(lane, row));
        for (const { event } of entries) this.#options.onCommitted?.(event);
        archive.add(entries);
        after = rows.at(-1)?.seq;
      }
    }
  }
}

function eventOf(lane: Lane, row: OutboxRow): ArchivedEvent[] {
  if (row.kind === 'gap' || row.contentType !== EVENT_CONTENT_TYPE) return [];
  return [{ lane, seq: row.seq, event: JSON.parse(Buffer.from(row.body).toString()) as VigieEvent }];
}

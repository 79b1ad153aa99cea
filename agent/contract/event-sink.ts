/** Destination of finished events: the outbox of a live box, or the files of a replay. */
import type { Moment, VigieEvent } from './event.ts';
import type { Notes } from './outbox.ts';
import type { RedactedJpeg } from './redacted-jpeg.ts';

export type UnnumberedEvent = Omit<VigieEvent, 'sequence'>;

export interface EventPicture {
  readonly moment: Moment;
  readonly picture: RedactedJpeg;
}

export interface EventSink {
  /**
   * Stores an event, its pictures and its notes atomically; all are durable on return.
   * @throws AgentError
   */
  accept(event: UnnumberedEvent, pictures: readonly EventPicture[], notes: Notes): void;
  /**
   * Stores notes; they are durable on return.
   * @throws AgentError
   */
  remember(notes: Notes): void;
}

/** Returns the name of a picture: the event's id, with a suffix unless it shows the event's own moment. */
export function pictureName(eventId: string, moment: Moment): string {
  return moment === 'snapshot' ? eventId : `${eventId}.${moment}`;
}

/** Where finished events go: the outbox of a live box, or the files of a replay. */
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
   * Takes an event and its pictures, all or nothing, with what is to be remembered of it; on return they are durable.
   * Throws AgentError.
   */
  accept(event: UnnumberedEvent, pictures: readonly EventPicture[], notes: Notes): void;
  /** Durable on return. Throws AgentError. */
  remember(notes: Notes): void;
}

/** Name of a picture: the event's id, and for other moments than the event's own a suffix. */
export function pictureName(eventId: string, moment: Moment): string {
  return moment === 'snapshot' ? eventId : `${eventId}.${moment}`;
}

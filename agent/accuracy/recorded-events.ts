/** Takes note of each event on its way to the outbox, once the outbox has it. */
import type { EventPicture, EventSink, UnnumberedEvent } from '../contract/event-sink.ts';
import type { AccuracyRecord } from './record.ts';

export class RecordedEvents implements EventSink {
  readonly #sink: EventSink;
  readonly #record: AccuracyRecord;

  constructor(sink: EventSink, record: AccuracyRecord) {
    this.#sink = sink;
    this.#record = record;
  }

  accept(event: UnnumberedEvent, pictures: readonly EventPicture[]): void {
    this.#sink.accept(event, pictures);
    this.#record.note(event);
  }
}

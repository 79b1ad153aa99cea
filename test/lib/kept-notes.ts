/** A sink that stores its notes as an outbox does, and the events that it accepted. */
import type { EventSink, UnnumberedEvent } from '../../agent/contract/event-sink.ts';
import type { Notes } from '../../agent/contract/outbox.ts';

export class KeptNotes implements EventSink {
  readonly events: UnnumberedEvent[] = [];
  readonly #notes = new Map<string, string>();

  accept(event: UnnumberedEvent, _pictures: unknown, notes: Notes): void {
    this.events.push(event);
    this.remember(notes);
  }

  remember(notes: Notes): void {
    for (const [key, text] of Object.entries(notes)) {
      if (text === null) this.#notes.delete(key);
      else this.#notes.set(key, text);
    }
  }

  notes(prefix: string): { key: string; text: string }[] {
    const rows = [...this.#notes].map(([key, text]) => ({ key, text }));
    return rows.filter(({ key }) => key.startsWith(prefix)).sort((a, b) => (a.key < b.key ? -1 : 1));
  }
}

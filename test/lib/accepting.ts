/** The agent's acceptance of events, with the outbox and the archive of a test and nobody else to tell. */
import type { EventArchive } from '../../agent/archive/archive.ts';
import type { EventSink } from '../../agent/contract/event-sink.ts';
import type { Outbox } from '../../agent/contract/outbox.ts';
import { type Acceptance, acceptInto, takeOver } from '../../agent/flow.ts';
import { BOX, SITE } from './room.ts';

const nothing = (): void => undefined;

export function accepting(
  outbox: Outbox,
  archive: Pick<EventArchive, 'add' | 'progress'>,
): EventSink & { takeOver(): void } {
  const parts: Acceptance = {
    site: SITE,
    box: BOX,
    outbox,
    archive,
    journal: { event: nothing },
    accuracy: { note: nothing },
    delivery: undefined,
    bridges: { accepted: nothing },
    view: { committing: (commit) => commit(), accepted: nothing },
    snapshotsDays: () => 7,
  };
  return { ...acceptInto(parts), takeOver: () => takeOver(parts) };
}

/** The agent's acceptance of events, with a test's outbox and archive and no further recipients. */
import type { EventArchive } from '../../agent/archive/archive.ts';
import type { EventSink } from '../../agent/contract/event-sink.ts';
import type { Outbox } from '../../agent/contract/outbox.ts';
import { type Acceptance, acceptInto, completeAccepted } from '../../agent/flow.ts';
import type { DurableOutbox } from '../../agent/outbox/outbox.ts';
import { BOX, SITE } from './room.ts';

const nothing = (): void => undefined;

export function accepting(
  outbox: Outbox & Pick<DurableOutbox, 'knownThrough'>,
  archive: Pick<EventArchive, 'add' | 'progress'>,
  view: Acceptance['view'] = { committing: () => ({ stop: nothing }), accepted: nothing },
): EventSink & { completeAccepted(): void } {
  const parts: Acceptance = {
    site: SITE,
    box: BOX,
    outbox,
    archive,
    journal: { event: nothing, newestAlert: () => 0 },
    accuracy: { note: nothing },
    delivery: undefined,
    bridges: { accepted: nothing },
    view,
    receipts: { accepted: nothing },
    snapshotsDays: () => 7,
  };
  return { ...acceptInto(parts), completeAccepted: () => completeAccepted(parts) };
}

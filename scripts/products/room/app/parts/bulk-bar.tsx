/** Buttons and keys for one verdict on all selected incidents. */
import { BULK_MAX } from '../../contract/terms.ts';
import { judge } from '../looking.ts';
import { isSeen } from '../queue/seen-pictures.ts';
import { refusals, selectedIncidents, selectOnly } from '../queue/selection.ts';
import { may } from '../session.ts';
import { words } from '../words/words.ts';

export const VERDICT_KEYS = { confirmed: 't', 'false-alarm': 'f', unclear: 'u' } as const;
const VERDICT_NAMES = ['confirmed', 'false-alarm', 'unclear'] as const;

/** True if the verdict keys apply to the selection, not to the open or chosen incident. */
export function isBulk(): boolean {
  return may('judge') && selectedIncidents.value.length > 0;
}

/** Returns the keys for useKeys. */
export function bulkKeys(): Record<string, () => void> {
  return Object.fromEntries(
    VERDICT_NAMES.map((verdict) => [
      VERDICT_KEYS[verdict],
      () => void judge({ incidents: selectedIncidents.value, verdict }),
    ]),
  );
}

export function BulkBar() {
  const { bulk, actions } = words.value;
  const incidents = selectedIncidents.value;
  const unseenCount = incidents.filter((incident) => !isSeen(incident)).length;
  return (
    <div class="bulk" role="toolbar" aria-label={bulk.bar}>
      <p class="bulk-count" role="status">
        <b>{bulk.selected(incidents.length)}</b> {unseenCount > 0 && bulk.unseen(unseenCount)}
        {incidents.length === BULK_MAX && ` ${bulk.full}`}
      </p>
      {VERDICT_NAMES.map((verdict) => (
        <button
          key={verdict}
          type="button"
          class={`act ${verdict}`}
          aria-keyshortcuts={VERDICT_KEYS[verdict]}
          onClick={() => void judge({ incidents, verdict })}
        >
          {actions[verdict]}{' '}
          <span class="kbd" aria-hidden="true">
            {VERDICT_KEYS[verdict]}
          </span>
        </button>
      ))}
      <button type="button" class="act clear" onClick={() => selectOnly([])}>
        {refusals.value.size > 0 ? bulk.leave : bulk.clear}
      </button>
    </div>
  );
}

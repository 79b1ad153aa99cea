/** Buttons and keys for the actions on one incident. */
import type { Incident } from '../../contract/incident.ts';
import { claim, isMine, release } from '../acts.ts';
import { judge } from '../looking.ts';
import { answersOf, needsOther, openDispatch } from '../patrols.ts';
import { may, session } from '../session.ts';
import { isSuppressible, suppressing } from '../suppressions.ts';
import { words } from '../words/words.ts';
import { bulkKeys, isBulk, VERDICT_KEYS } from './bulk-bar.tsx';
import { noting } from './dialogs.tsx';

interface Doing {
  readonly name:
    | ('claim' | 'release' | 'dispatch' | 'answer' | 'another')
    | ('confirmed' | 'false-alarm' | 'unclear' | 'note' | 'suppress');
  readonly key: string;
  readonly isMain: boolean;
  readonly run: () => void;
}

/** Returns the actions that the role and the state allow. */
function doingsOf(incident: Incident): Doing[] {
  const { state } = incident;
  const doings: Doing[] = [];
  const isOwn = isMine(incident);
  const isOpen = state !== 'closed';
  if (may('claim') && state === 'new')
    doings.push({ name: 'claim', key: 'c', isMain: true, run: () => void claim(incident) });
  if (may('claim') && state === 'claimed' && isOwn)
    doings.push({ name: 'release', key: 'r', isMain: false, run: () => void release(incident) });
  if (may('dispatch') && (state === 'new' || (state === 'claimed' && isOwn))) {
    doings.push({ name: 'dispatch', key: 'd', isMain: isOwn, run: () => void openDispatch(incident) });
  }
  if (may('dispatch') && (answersOf(incident).length > 0 || needsOther(incident))) {
    const name = needsOther(incident) ? 'another' : 'answer';
    doings.push({ name, key: 'd', isMain: true, run: () => void openDispatch(incident) });
  }
  if (may('judge') && isOpen && !isBulk()) {
    for (const name of ['confirmed', 'false-alarm', 'unclear'] as const) {
      const run = (): void => void judge({ incidents: [incident], verdict: name });
      doings.push({ name, key: VERDICT_KEYS[name], isMain: false, run });
    }
  }
  if (may('note')) {
    const run = (): void => {
      noting.value = incident;
    };
    doings.push({ name: 'note', key: 'n', isMain: false, run });
  }
  if (isSuppressible(incident)) {
    const run = (): void => {
      suppressing.value = incident;
    };
    doings.push({ name: 'suppress', key: 's', isMain: false, run });
  }
  return doings;
}

/** Returns the keys for useKeys. Verdicts apply to the selection, if there is one. */
export function actionKeys(incident: Incident | undefined): Record<string, () => void> {
  if (session.value === undefined) return {};
  const own = incident === undefined ? [] : doingsOf(incident).map(({ key, run }) => [key, run] as const);
  return Object.fromEntries([...own, ...Object.entries(isBulk() ? bulkKeys() : {})]);
}

export function ActionBar({ incident }: { readonly incident: Incident }) {
  const { actions } = words.value;
  const doings = doingsOf(incident);
  if (doings.length === 0) return null;
  return (
    <div class="acts" role="toolbar" aria-label={actions.bar}>
      {doings.map(({ name, key, isMain, run }) => (
        <button
          key={name}
          type="button"
          class={`act ${name}${isMain ? ' main' : ''}`}
          aria-keyshortcuts={key}
          onClick={run}
        >
          {actions[name]}{' '}
          <span class="kbd" aria-hidden="true">
            {key}
          </span>
        </button>
      ))}
    </div>
  );
}

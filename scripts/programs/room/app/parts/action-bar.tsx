/** Buttons and keys for the actions on one incident. */
import type { Incident } from '../../contract/incident.ts';
import { claim, isMine, release, review } from '../acts.ts';
import { may, session } from '../session.ts';
import { words } from '../words/words.ts';
import { dispatching, noting } from './dialogs.tsx';

interface Doing {
  readonly name: 'claim' | 'release' | 'dispatch' | 'confirmed' | 'false-alarm' | 'unclear' | 'note';
  readonly key: string;
  readonly isMain: boolean;
  readonly run: () => void;
}

const KEY = { confirmed: 't', 'false-alarm': 'f', unclear: 'u' } as const;

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
    const run = (): void => {
      dispatching.value = incident;
    };
    doings.push({ name: 'dispatch', key: 'd', isMain: isOwn, run });
  }
  if (may('judge') && isOpen) {
    for (const name of ['confirmed', 'false-alarm', 'unclear'] as const)
      doings.push({ name, key: KEY[name], isMain: false, run: () => void review(incident, name) });
  }
  if (may('note')) {
    const run = (): void => {
      noting.value = incident;
    };
    doings.push({ name: 'note', key: 'n', isMain: false, run });
  }
  return doings;
}

/** Returns the keys for useKeys. */
export function actionKeys(incident: Incident | undefined): Record<string, () => void> {
  if (incident === undefined || session.value === undefined) return {};
  return Object.fromEntries(doingsOf(incident).map(({ key, run }) => [key, run]));
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

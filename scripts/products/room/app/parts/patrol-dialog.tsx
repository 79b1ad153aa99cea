/**
 * Chooser of a patrol, and of its answer once it is dispatched. A digit or a click acts at once, arrows and Enter as
 * well. No option is chosen at first, so that Enter alone does nothing.
 */
import { useSignal } from '@preact/signals';
import { useId } from 'preact/hooks';
import { Button } from '../../../../../agent/kit/controls.tsx';
import type { Incident } from '../../contract/incident.ts';
import { dispatch, reportPatrol } from '../acts.ts';
import { answersOf, dispatching, patrolsOf } from '../patrols.ts';
import { plain } from '../words/plain.ts';
import { kindText, placeText } from '../words/sentence.ts';
import { words } from '../words/words.ts';
import { Dialog } from './dialogs.tsx';

interface Option {
  /** Absent beyond the ninth. */
  readonly digit: string;
  readonly text: string;
  readonly hint: string;
  readonly run: () => void;
}

export function PatrolDialog() {
  const incident = dispatching.value;
  if (incident === undefined) return null;
  return <Chooser key={incident.no} incident={incident} options={optionsOf(incident)} />;
}

function optionsOf(incident: Incident): Option[] {
  const { patrol: texts } = words.value;
  const answers = answersOf(incident);
  if (answers.length > 0) {
    return answers.map((answer, index) => ({
      digit: String(index + 1),
      text: texts.answers[answer],
      hint: '',
      run: () => void reportPatrol(incident, answer),
    }));
  }
  const patrols = patrolsOf(incident.site).map(({ name, sites, open }, index) => ({
    digit: index < 9 ? String(index + 1) : '',
    text: plain(name),
    hint: [
      ...(sites.length > 0 && !sites.includes(incident.site) ? [texts.otherSite] : []),
      ...(open > 0 ? [texts.busy(open)] : []),
    ].join(', '),
    run: () => void dispatch(incident, name),
  }));
  const other = { digit: '0', text: texts.unnamed, hint: '', run: () => void dispatch(incident, undefined) };
  return [...patrols, other];
}

interface ChooserProps {
  readonly incident: Incident;
  readonly options: readonly Option[];
}

function Chooser({ incident, options }: ChooserProps) {
  const { patrol: texts } = words.value;
  const at = useSignal(-1);
  const id = useId();
  const isAnswer = answersOf(incident).length > 0;
  const close = (): void => {
    dispatching.value = undefined;
  };
  const take = (option: Option | undefined): void => {
    if (option === undefined) return;
    close();
    option.run();
  };
  const press = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { key, target } = event;
    const last = options.length - 1;
    if (key === 'ArrowDown') at.value = Math.min(last, at.value + 1);
    else if (key === 'ArrowUp') at.value = at.value < 0 ? last : Math.max(0, at.value - 1);
    else if (key === 'Enter' && !(target instanceof HTMLButtonElement)) take(options[at.value]);
    else if (/^\d$/.test(key)) take(options.find(({ digit }) => digit === key));
    else return;
    event.preventDefault();
  };
  const { kind, place, site, box } = incident;
  return (
    <Dialog title={isAnswer ? texts.answerTitle(plain(incident.patrol ?? '')) : texts.title} onClose={close}>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: the keys of the list also work from the button beside it */}
      <div onKeyDown={press}>
        <p class="clamp">
          {kindText(kind, words.value)}, {placeText(place, words.value)}, {site}/{box}
        </p>
        <div
          class="chooser"
          role="listbox"
          tabIndex={0}
          autofocus
          aria-label={texts.list}
          aria-activedescendant={at.value < 0 ? undefined : `${id}-${at.value}`}
        >
          {options.map((option, index) => (
            // biome-ignore lint/a11y/useKeyWithClickEvents: the list has the keys (aria-activedescendant)
            <div
              key={option.text}
              id={`${id}-${index}`}
              class="option"
              role="option"
              tabIndex={-1}
              aria-selected={index === at.value}
              data-digit={option.digit}
              onClick={() => take(option)}
            >
              <span class="kbd" aria-hidden="true">
                {option.digit}
              </span>
              <span>{option.text}</span>
              <span class="quiet">{option.hint}</span>
            </div>
          ))}
        </div>
        <p class="quiet">{texts.keys}</p>
        <div class="answers">
          <Button onClick={close}>{texts.no}</Button>
        </div>
      </div>
    </Dialog>
  );
}

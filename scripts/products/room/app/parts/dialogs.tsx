/** Dialogs: the note, and the list of keys. */
import { type Signal, signal, useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useId, useLayoutEffect, useRef } from 'preact/hooks';
import { Button, Check } from '../../../../../agent/kit/controls.tsx';
import type { Incident } from '../../contract/incident.ts';
import { NOTE_CHARS_MAX } from '../../contract/terms.ts';
import { note } from '../acts.ts';
import { newKey } from '../api.ts';
import { isHelpOpen, setSingleKeys, singleKeys } from '../keys.ts';
import { canShowMap } from '../queue/map-place.ts';
import { letterOf, placesOf } from '../router.ts';
import { session } from '../session.ts';
import { alarmWords } from '../words/alarm.ts';
import { words } from '../words/words.ts';

/** Incident of the open dialog. */
export const noting = signal<Incident | undefined>(undefined);
/** Typed notes, which survive a closed dialog or a refused note. */
const drafts = new Map<number, string>();

interface DialogProps {
  readonly title: string;
  readonly onClose: () => void;
  readonly children: ComponentChildren;
}

export function Dialog({ title, onClose, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  // Opens before the next key press, so that text of a note does not trigger a verdict.
  useLayoutEffect(() => {
    const before = document.activeElement;
    dialog.current?.showModal();
    return () => {
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <dialog ref={dialog} aria-labelledby={id} onClose={onClose}>
      <h2 id={id}>{title}</h2>
      {children}
    </dialog>
  );
}

function dismiss(dialog: Signal<Incident | undefined>): void {
  dialog.value = undefined;
}

export function Dialogs() {
  return (
    <>
      {noting.value !== undefined && <NoteDialog incident={noting.value} />}
      {isHelpOpen.value && <Help />}
    </>
  );
}

function NoteDialog({ incident }: { readonly incident: Incident }) {
  const { note: texts } = words.value;
  const { no } = incident;
  const text = useSignal(drafts.get(no) ?? '');
  const key = useRef(newKey());
  const id = useId();
  const save = async (): Promise<void> => {
    if (text.value.trim() === '') return;
    dismiss(noting);
    if (await note(incident, text.value.trim(), key.current)) drafts.delete(no);
  };
  return (
    <Dialog title={texts.title} onClose={() => dismiss(noting)}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void save();
        }}
      >
        <label class="told-label" for={id}>
          {texts.label}
        </label>
        <textarea
          id={id}
          rows={4}
          maxLength={NOTE_CHARS_MAX}
          value={text.value}
          autofocus
          onInput={(event) => {
            text.value = event.currentTarget.value;
            drafts.set(no, text.value);
          }}
          onKeyDown={(event) => {
            if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
            event.preventDefault();
            void save();
          }}
        />
        <div class="answers">
          <Button onClick={() => dismiss(noting)}>{texts.no}</Button>
          <Button type="submit" tone="main">
            {texts.save}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

const KEYS = [
  ['move', ['j', 'k']],
  ['open', ['Enter']],
  ['fullSize', ['v']],
  ['moment', ['b']],
  ['claim', ['c']],
  ['dispatch', ['d']],
  ['verdict', ['t', 'f', 'u']],
  ['note', ['n']],
  ['release', ['r']],
  ['suppress', ['s']],
  ['undo', ['z']],
  ['select', ['x']],
  ['extend', ['⇧', 'j', 'k']],
  ['selectStorm', ['⇧', 'x']],
  ['filter', ['/']],
  ['backToQueue', ['Esc']],
  ['help', ['?']],
] as const;

/** Keys of the tracks screen, for roles that may use it. */
const TRACK_KEYS = [
  ['play', ['␣']],
  ['hits', ['←', '→']],
  ['together', ['t']],
  ['heat', ['h']],
] as const;

function Help() {
  const { help, frame, places } = words.value;
  const open = session.value === undefined ? [] : placesOf(session.value);
  const close = (): void => {
    isHelpOpen.value = false;
  };
  return (
    <Dialog title={help.title} onClose={close}>
      <dl class="keys">
        {KEYS.map(([name, keys]) => (
          <div key={name}>
            <dt>
              {keys.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{help.keys[name]}</dd>
          </div>
        ))}
        {canShowMap.value && (
          <div>
            <dt>
              <kbd>m</kbd>
            </dt>
            <dd>{alarmWords.value.mapKey}</dd>
          </div>
        )}
        {open.includes('tracks') &&
          TRACK_KEYS.map(([name, keys]) => (
            <div key={name}>
              <dt>
                {keys.map((key) => (
                  <kbd key={key}>{key}</kbd>
                ))}
              </dt>
              <dd>{help.trackKeys[name]}</dd>
            </div>
          ))}
        {open.map((place) => (
          <div key={place}>
            <dt>
              <kbd>g</kbd>
              <kbd>{letterOf(place)}</kbd>
            </dt>
            <dd>{places[place]}</dd>
          </div>
        ))}
      </dl>
      <Check label={help.on} checked={singleKeys.value} onCheck={setSingleKeys} />
      <p class="quiet">{help.about}</p>
      <div class="answers">
        <Button onClick={close} tone="main">
          {frame.close}
        </Button>
      </div>
    </Dialog>
  );
}

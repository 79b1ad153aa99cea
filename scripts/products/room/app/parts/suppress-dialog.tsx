/** Dialog that suppresses a rule or a whole camera for an hour, with a reason. */
import { useSignal } from '@preact/signals';
import { useId } from 'preact/hooks';
import { Button } from '../../../../../agent/kit/controls.tsx';
import { SUPPRESSION_REASON_CHARS } from '../../contract/terms.ts';
import { type Subject, subjectName, suppress, suppressing } from '../suppressions.ts';
import { words } from '../words/words.ts';
import { Dialog } from './dialogs.tsx';

export function SuppressDialog() {
  return suppressing.value === undefined ? null : <Question subject={suppressing.value} />;
}

function Question({ subject }: { readonly subject: Subject }) {
  const { suppression: texts } = words.value;
  const { site, box, rule } = subject;
  const chosenRule = useSignal<string | null>(rule);
  const reason = useSignal('');
  const id = useId();
  const close = (): void => {
    suppressing.value = undefined;
  };
  const save = async (): Promise<void> => {
    const text = reason.value.trim();
    if (text.length < SUPPRESSION_REASON_CHARS.min) return;
    if (await suppress(subject, chosenRule.value, text)) close();
  };
  return (
    <Dialog title={texts.title} onClose={close}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void save();
        }}
      >
        <fieldset class="options">
          <legend class="told-label">{texts.subject}</legend>
          {[rule, null].map((one) => (
            <label key={one} class="check">
              <input
                type="radio"
                name={`${id}-subject`}
                checked={chosenRule.value === one}
                onChange={() => {
                  chosenRule.value = one;
                }}
              />
              <span>{subjectName({ site, box, rule: one })}</span>
            </label>
          ))}
        </fieldset>
        <label class="told-label" for={id}>
          {texts.reason}
        </label>
        <input
          id={id}
          type="text"
          required
          minLength={SUPPRESSION_REASON_CHARS.min}
          maxLength={SUPPRESSION_REASON_CHARS.max}
          autocomplete="off"
          autofocus
          value={reason.value}
          onInput={(event) => {
            reason.value = event.currentTarget.value;
          }}
        />
        <p class="quiet">{texts.about}</p>
        <div class="answers">
          <Button onClick={close}>{texts.no}</Button>
          <Button type="submit" tone="main">
            {texts.yes}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

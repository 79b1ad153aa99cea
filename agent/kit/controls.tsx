/** Controls of a page: large enough for a thumb, named for a screen reader. */
import type { ComponentChildren, JSX } from 'preact';
import { useId } from 'preact/hooks';

type ButtonProps = JSX.IntrinsicElements['button'] & { readonly tone?: 'main' | 'plain' | 'danger' };

export function Button({ tone = 'plain', ...rest }: ButtonProps) {
  return <button type="button" {...rest} class={`button ${tone}`} />;
}

interface Labelled {
  readonly label: string;
  readonly hint?: string | undefined;
  /** Fault of its content. */
  readonly problem?: string | undefined;
}

type FieldProps = Omit<JSX.IntrinsicElements['input'], 'label' | 'onInput'> &
  Labelled & { readonly onText: (text: string) => void };

export function Field({ label, hint, problem, onText, ...rest }: FieldProps) {
  const id = useId();
  const hintId = hint === undefined && problem === undefined ? undefined : `${id}-told`;
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input
        {...rest}
        id={id}
        aria-describedby={hintId}
        aria-invalid={problem !== undefined}
        onInput={(event) => onText(event.currentTarget.value)}
      />
      {hintId !== undefined && (
        <p id={hintId} class={problem === undefined ? 'hint' : 'fault'}>
          {problem ?? hint}
        </p>
      )}
    </div>
  );
}

interface ChoiceProps extends Labelled {
  readonly value: string;
  readonly options: readonly (readonly [value: string, text: string])[];
  readonly onChoose: (value: string) => void;
  readonly name?: string;
}

export function Choice({ label, hint, problem, value, options, onChoose, name }: ChoiceProps) {
  const id = useId();
  const hintId = hint === undefined && problem === undefined ? undefined : `${id}-told`;
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <select
        id={id}
        name={name}
        value={value}
        aria-describedby={hintId}
        aria-invalid={problem !== undefined}
        onChange={(event) => onChoose(event.currentTarget.value)}
      >
        {options.map(([key, text]) => (
          <option key={key} value={key}>
            {text}
          </option>
        ))}
      </select>
      {hintId !== undefined && (
        <p id={hintId} class={problem === undefined ? 'hint' : 'fault'}>
          {problem ?? hint}
        </p>
      )}
    </div>
  );
}

interface CheckProps {
  readonly label: string;
  readonly checked: boolean;
  readonly onCheck: (checked: boolean) => void;
}

export function Check({ label, checked, onCheck }: CheckProps) {
  return (
    <label class="check">
      <input type="checkbox" checked={checked} onChange={(event) => onCheck(event.currentTarget.checked)} />
      <span>{label}</span>
    </label>
  );
}

interface NoticeProps {
  readonly tone: 'info' | 'good' | 'warn' | 'bad';
  /** Read immediately by a screen reader. */
  readonly urgent?: boolean;
  readonly children: ComponentChildren;
}

export function Notice({ tone, urgent = false, children }: NoticeProps) {
  return (
    <div class={`notice ${tone}`} role={urgent ? 'alert' : undefined}>
      {children}
    </div>
  );
}

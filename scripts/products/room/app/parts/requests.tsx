/** Requests of a supervisor: reassignment, and the sealed picture. */
import { useSignal } from '@preact/signals';
import { CASE_CHARS_MAX, normalCase } from '../../../../../agent/contract/case.ts';
import { Button, Field, Notice } from '../../../../../agent/kit/controls.tsx';
import type { SealedAnswer } from '../../contract/api.ts';
import type { Incident } from '../../contract/incident.ts';
import { explain, reassign } from '../acts.ts';
import { post } from '../api.ts';
import { session } from '../session.ts';
import { words } from '../words/words.ts';

/** Limit as in the contract. */
const REASON_CHARS_MAX = 200;

export function GiveTo({ incident }: { readonly incident: Incident }) {
  const { incident: texts } = words.value;
  const people = (session.value?.people ?? []).filter((name) => name !== incident.claimedBy);
  if (people.length === 0) return null;
  return (
    <select
      class="give"
      aria-label={texts.giveTo}
      value=""
      onChange={(event) => {
        const to = event.currentTarget.value;
        event.currentTarget.value = '';
        if (to !== '') void reassign(incident, to);
      }}
    >
      <option value="">{texts.giveTo}…</option>
      {people.map((name) => (
        <option key={name} value={name}>
          {name}
        </option>
      ))}
    </select>
  );
}

export function Sealed({ no }: { readonly no: number }) {
  const { incident: texts } = words.value;
  const number = useSignal('');
  const reason = useSignal('');
  const isBusy = useSignal(false);
  const problem = useSignal<string | undefined>(undefined);
  const answer = useSignal<SealedAnswer | undefined>(undefined);
  const ask = async (): Promise<void> => {
    isBusy.value = true;
    problem.value = undefined;
    try {
      const body = { case: normalCase(number.value), reason: reason.value.trim() };
      answer.value = await post<SealedAnswer>(`/api/incidents/${no}/sealed`, body);
    } catch (error) {
      problem.value = explain(error);
    }
    isBusy.value = false;
  };
  return (
    <details class="sealed">
      <summary>{texts.sealed}</summary>
      <p class="quiet">{texts.sealedAbout}</p>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void ask();
        }}
      >
        <Field
          label={texts.case}
          value={number.value}
          maxLength={CASE_CHARS_MAX}
          required
          autocomplete="off"
          onText={(text) => {
            number.value = text;
          }}
        />
        <Field
          label={texts.reason}
          value={reason.value}
          maxLength={REASON_CHARS_MAX}
          required
          autocomplete="off"
          onText={(text) => {
            reason.value = text;
          }}
        />
        <Button type="submit" disabled={isBusy.value}>
          {isBusy.value ? texts.asking : texts.ask}
        </Button>
      </form>
      <div aria-live="polite">
        {problem.value !== undefined && <Notice tone="bad">{problem.value}</Notice>}
        {answer.value !== undefined && <Came answer={answer.value} />}
      </div>
    </details>
  );
}

function Came({ answer: { file, sha256, recipients } }: { readonly answer: SealedAnswer }) {
  const { incident: texts } = words.value;
  return (
    <Notice tone="good">
      <p>{texts.sealedCame}</p>
      <dl class="facts">
        <dt>{texts.file}</dt>
        <dd>{file}</dd>
        <dt>SHA-256</dt>
        <dd class="hash">{sha256}</dd>
        <dt>{texts.recipients}</dt>
        <dd>{recipients.join(', ')}</dd>
      </dl>
    </Notice>
  );
}

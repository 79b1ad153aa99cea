/**
 * Obtains an approver's signature for a query about people: saves the query, or shows a command, for the approver, and takes
 * their approval as a file.
 */
import { signal } from '@preact/signals';
import { useId } from 'preact/hooks';
import { Button, Notice } from '../../../../../agent/kit/controls.tsx';
import { plain } from '../views/view-texts.ts';
import { trackWords } from '../words/tracks.ts';
import { approvalCommand } from './command.ts';
import { copy } from './copy.ts';
import {
  approval,
  approvers,
  areApproversMissing,
  coverage,
  fullQuestion,
  isApprovalNeeded,
  isFormComplete,
} from './question.ts';

/** Maximum size of the file in bytes; an approval is smaller. */
const FILE_BYTES_MAX = 16_384;

const isBad = signal(false);

export function Approval() {
  const { approval: texts } = trackWords.value;
  const id = useId();
  if (!isApprovalNeeded.value) return null;
  if (areApproversMissing.value) return <Notice tone="warn">{texts.unnamed}</Notice>;
  const fileText = approval.value === undefined ? undefined : texts.selected(plain(approval.value.name));
  return (
    <fieldset class="t-approval">
      <legend>{texts.title}</legend>
      <p class="hint">{texts.about}</p>
      {approvers.value.length > 0 && <p>{texts.approvers(plain(approvers.value.join(', ')))}</p>}
      <p class="t-acts">
        <Button onClick={save}>{texts.save}</Button>
      </p>
      {coverage.value !== undefined && isFormComplete.value && <ByCommand />}
      <div class="field">
        <label for={id}>{texts.file}</label>
        <input
          id={id}
          name="approval"
          type="file"
          accept=".json,application/json"
          aria-invalid={isBad.value}
          aria-describedby={`${id}-told`}
          onChange={(event) => void take(event.currentTarget.files?.[0])}
        />
        <p id={`${id}-told`} class={isBad.value ? 'fault' : 'hint'} role="status">
          {isBad.value ? texts.bad : fileText}
        </p>
      </div>
    </fieldset>
  );
}

/** Shows the same query as a command, for an approver who only has the command line. */
function ByCommand() {
  const { approval: texts } = trackWords.value;
  const command = approvalCommand(fullQuestion());
  return (
    <div class="t-command">
      <p class="hint">{texts.command}</p>
      <code>{plain(command)}</code>
      <p class="t-acts">
        <Button onClick={() => void copy(command)}>{texts.copy}</Button>
      </p>
    </div>
  );
}

async function take(file: File | undefined): Promise<void> {
  approval.value = undefined;
  isBad.value = false;
  if (file === undefined) return;
  const envelope = file.size > FILE_BYTES_MAX ? undefined : envelopeOf(await file.text());
  isBad.value = envelope === undefined;
  if (envelope !== undefined) approval.value = { name: file.name, envelope };
}

type Envelope = NonNullable<typeof approval.value>['envelope'];

/** Checks only the form of the envelope; the box verifies the signatures. */
function envelopeOf(text: string): Envelope | undefined {
  try {
    const { payloadType, payload, signatures } = JSON.parse(text) as Partial<Envelope>;
    if (typeof payloadType !== 'string' || typeof payload !== 'string' || !Array.isArray(signatures))
      return undefined;
    return { payloadType, payload, signatures };
  } catch {
    return undefined;
  }
}

/** Saves the query exactly as it will be sent, for the approving person. */
function save(): void {
  const text = `${JSON.stringify(fullQuestion(), null, 2)}\n`;
  const url = URL.createObjectURL(new Blob([text], { type: 'application/json' }));
  const link = document.createElement('a');
  link.href = url;
  link.download = 'question.json';
  link.click();
  URL.revokeObjectURL(url);
}

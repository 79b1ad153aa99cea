/** Receipt screen: issues the receipt and sends it to the control room, downloads the PDF, issues a code for another phone, and ends the session. */
import { useSignal } from '@preact/signals';
import { Button, Notice } from '../../../kit/controls.tsx';
import { hoursAndMinutes } from '../../../kit/time.ts';
import { language } from '../../../kit/words.ts';
import { ask } from '../api.ts';
import { agent, attempt, hello, page, refresh, show, trouble } from '../store.ts';
import { siteMoment, words } from '../words/words.ts';
import { verdictOf } from './go.tsx';

/** Issues the receipt. The state reports when the still is made. */
function Issue() {
  const { receipt: texts } = words.value;
  const { receipt, receiptWaits = false, findings = [], mode } = agent.value ?? {};
  const isPassed = mode === 'active' && verdictOf(findings) !== 'failed';
  const issue = async (): Promise<void> => {
    await attempt(async () => {
      await ask('POST', '/api/receipt', {});
    });
    await refresh();
  };
  return (
    <>
      {!isPassed && <Notice tone="warn">{texts.notPassed}</Notice>}
      <Button
        id="issue"
        tone={receipt == null ? 'main' : 'plain'}
        disabled={agent.value === null || receiptWaits}
        onClick={() => void issue()}
      >
        {receiptWaits ? texts.issuing : receipt == null ? texts.issue : texts.issueAgain}
      </Button>
    </>
  );
}

function Issued() {
  const { receipt: texts } = words.value;
  const view = agent.value;
  const receipt = view?.receipt ?? null;
  return (
    <div role="status" id="issued">
      {view != null && receipt !== null && (
        <>
          <p>
            <strong>{texts.issuedAt(siteMoment(receipt.time, view.timeZone))}</strong>
            {' · '}
            {receipt.passed ? texts.passed.yes : texts.passed.no}
          </p>
          {receipt.still === null ? (
            <Notice tone="warn">{texts.noStill(receipt.absent ?? '')}</Notice>
          ) : (
            <img
              class="still"
              key={receipt.id}
              src={`/api/receipt.jpg?id=${receipt.id}`}
              alt={texts.stillAlt}
            />
          )}
          <Notice tone={receipt.delivered ? 'good' : 'info'}>
            {receipt.delivered ? texts.delivered : texts.notDelivered}
          </Notice>
        </>
      )}
    </div>
  );
}

export function ReceiptScreen() {
  const { receipt } = words.value;
  const newCode = useSignal<{ code: string; minutes: number } | undefined>(undefined);
  const issueCode = async (): Promise<void> => {
    await attempt(async () => {
      newCode.value = await ask<{ code: string; minutes: number }>('POST', '/api/code', {});
    });
  };
  const leave = async (): Promise<void> => {
    const hasLeft = await attempt(async () => {
      await ask('POST', '/api/unpair', {});
    });
    if (!hasLeft) return;
    if (hello.value !== undefined) hello.value = { ...hello.value, paired: false };
    page.value = undefined;
    sessionStorage.clear();
    show('pair');
    trouble.value = words.value.receipt.bye;
  };
  return (
    <>
      <p>{receipt.intro}</p>
      <Issue />
      <Issued />
      <a
        class="button main"
        id="download"
        href={`/api/receipt.pdf?language=${language.value}`}
        download={`vigie-${agent.value?.box ?? 'box'}.pdf`}
      >
        {receipt.download}
      </a>
      <section>
        <h2>{receipt.more}</h2>
        <Button id="fresh-code" onClick={() => void issueCode()}>
          {receipt.moreGo}
        </Button>
        <div role="status">
          {newCode.value !== undefined && (
            <Notice tone="info">{receipt.code(newCode.value.code, newCode.value.minutes)}</Notice>
          )}
        </div>
      </section>
      <section>
        <h2>{receipt.leave}</h2>
        <p>{receipt.leaveNote}</p>
        <Button id="unpair" tone="danger" onClick={() => void leave()}>
          {receipt.leaveGo}
        </Button>
        <p class="hint">{receipt.sessionLeft(hoursAndMinutes(page.value?.sessionLeftS ?? 0))}</p>
      </section>
    </>
  );
}

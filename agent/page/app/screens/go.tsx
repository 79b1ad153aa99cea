/** Final check screen: shows whether the technician may leave the site. */
import { useSignal } from '@preact/signals';
import { findingName } from '../../../contract/finding-names.ts';
import type { PageFinding } from '../../../contract/page-link.ts';
import { Button, Notice } from '../../../kit/controls.tsx';
import { language } from '../../../kit/words.ts';
import { Detail } from '../parts/detail.tsx';
import { perform } from '../repeated-acts.ts';
import { agent, page, refresh, siteZone, trial } from '../store.ts';
import { siteMoment, words } from '../words/words.ts';

const SIGNS: Readonly<Record<PageFinding['verdict'], string>> = { ok: '✓', failed: '✗', unknown: '?' };

/** One failed finding decides; without any finding the result is unknown. */
export function verdictOf(findings: readonly PageFinding[]): PageFinding['verdict'] {
  if (findings.some(({ verdict }) => verdict === 'failed')) return 'failed';
  return findings.length > 0 && findings.every(({ verdict }) => verdict === 'ok') ? 'ok' : 'unknown';
}

export function GoScreen() {
  const { go, agentUnavailable, agentFix } = words.value;
  const state = agent.value;
  if (state === null)
    return (
      <>
        <p class="verdict failed">{go.verdict.failed}</p>
        <Notice tone="bad">
          {agentUnavailable}
          <Detail text={page.value?.agentReason} />
        </Notice>
        <p>
          <strong>{go.fix}</strong> {agentFix}
        </p>
        <Enrolment />
      </>
    );
  const findingsVerdict = verdictOf(state.findings);
  const verdict = state.mode === 'active' ? findingsVerdict : 'failed';
  return (
    <>
      <p>{go.intro}</p>
      <p class={`verdict ${verdict}`} role="status" id="verdict">
        <span aria-hidden="true">{SIGNS[verdict]}</span> {go.verdict[verdict]}
      </p>
      {trial.value !== null && <Notice tone="warn">{go.walkOpen}</Notice>}
      <Notice tone={state.mode === 'active' ? 'good' : 'bad'}>
        {go.mode[state.mode]}
        {state.mode !== 'active' && <Detail text={state.reason} />}
      </Notice>
      <MovedCamera />
      <Enrolment />
      <ul class="cards findings">
        {[...state.findings].sort(worstFirst).map((finding) => (
          <li key={finding.name} class={`card ${finding.verdict}`} data-finding={finding.name}>
            <h2>
              <span aria-hidden="true">{SIGNS[finding.verdict]}</span>{' '}
              {findingName(finding.name, language.value)}{' '}
              <span class="quiet">({go.finding[finding.verdict]})</span>
            </h2>
            <p>{finding.detail}</p>
            {finding.fix !== null && (
              <p>
                <strong>{go.fix}</strong> {finding.fix}
              </p>
            )}
          </li>
        ))}
      </ul>
    </>
  );
}

function worstFirst(a: PageFinding, b: PageFinding): number {
  const rank = { failed: 0, unknown: 1, ok: 2 };
  return rank[a.verdict] - rank[b.verdict];
}

function Enrolment() {
  const { go, enrolment: texts, enrolmentFix } = words.value;
  const enrolment = page.value?.enrolment;
  if (enrolment === undefined) return null;
  const { state, reason, notAfter } = enrolment;
  return (
    <section id="enrolment" data-state={state}>
      <h2>{go.enrolment}</h2>
      <Notice tone={state === 'enrolled' ? 'good' : state === 'refused' ? 'bad' : 'warn'}>
        {texts[state]} {notAfter !== null && go.validUntil(siteMoment(notAfter, siteZone.value))}
        <Detail text={reason} />
      </Notice>
      {enrolmentFix[state] !== '' && (
        <p>
          <strong>{go.fix}</strong> {enrolmentFix[state]}
        </p>
      )}
    </section>
  );
}

/** The box has detected that its camera was turned, as a technician does. */
function MovedCamera() {
  const { go } = words.value;
  const confirmed = useSignal(false);
  const isMoved = agent.value?.status.standing.some(({ kind }) => kind === 'moved') ?? false;
  if (confirmed.value) return <Notice tone="good">{go.confirmed}</Notice>;
  if (!isMoved) return null;
  const confirm = async (): Promise<void> => {
    confirmed.value = (await perform('confirm-view', {})) === 'done';
    await refresh();
  };
  return (
    <Notice tone="warn">
      {go.viewChanged}{' '}
      <Button id="confirm-view" onClick={() => void confirm()}>
        {go.confirm}
      </Button>
    </Notice>
  );
}

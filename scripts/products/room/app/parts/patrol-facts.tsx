/** Lines about the dispatched patrol among the facts of an incident, and the notice of its suppression. */
import { Notice } from '../../../../../agent/kit/controls.tsx';
import type { Incident } from '../../contract/incident.ts';
import { suppressions } from '../queue/suppressed.ts';
import { plain } from '../words/plain.ts';
import { lasting } from '../words/sentence.ts';
import { siteTimeText, words } from '../words/words.ts';

interface PatrolFactsProps {
  readonly incident: Incident;
  /** Time zone of the site. */
  readonly timeZone: string | null;
}

export function PatrolFacts({ incident, timeZone }: PatrolFactsProps) {
  const { patrol: texts } = words.value;
  const { patrol, patrolAnswer, patrolAnswerAt, dispatchedAt, arrivedAt } = incident;
  if (patrol === null) return null;
  const answer = patrolAnswer === null ? texts.unanswered : texts.answered[patrolAnswer];
  const at = patrolAnswerAt === null ? '' : `, ${siteTimeText(patrolAnswerAt, timeZone)}`;
  const tookMs =
    arrivedAt === null || dispatchedAt === null
      ? undefined
      : Date.parse(arrivedAt) - Date.parse(dispatchedAt);
  return (
    <>
      <dt>{texts.name}</dt>
      <dd class="clamp">
        <b>{plain(patrol)}</b>, {answer}
        {at}
      </dd>
      {tookMs !== undefined && (
        <>
          <dt>{texts.arrival}</dt>
          <dd>{lasting(tookMs / 1000, words.value)}</dd>
        </>
      )}
    </>
  );
}

export function SuppressedNotice({ incident }: { readonly incident: Incident }) {
  if (!incident.isSuppressed) return null;
  const suppression = suppressions.value.find(({ no }) => no === incident.suppression);
  const endText = suppression === undefined ? '' : siteTimeText(suppression.until, null);
  return <Notice tone="info">{words.value.suppression.notice(endText)}</Notice>;
}

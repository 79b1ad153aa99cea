/** Shows place, times, authorisation and owner of an incident. */
import type { ComponentChildren } from 'preact';
import type { Incident, IncidentDetail } from '../../contract/incident.ts';
import { isMine } from '../acts.ts';
import { nowMs, tick } from '../session.ts';
import { plain } from '../words/plain.ts';
import { age, placeText } from '../words/sentence.ts';
import { siteTimeText, words } from '../words/words.ts';
import { PatrolFacts } from './patrol-facts.tsx';

interface FactsProps {
  readonly incident: Incident;
  /** Undefined while loading. */
  readonly detail: IncidentDetail | undefined;
}

export function Facts({ incident, detail }: FactsProps) {
  const { incident: texts } = words.value;
  const { site, box, place, rule, startedAt, endedAt, received, dispatchedBy, dispatchedAt } = incident;
  const { purpose, legalBasis, validUntil } = detail ?? {};
  const timeZone = detail?.timeZone ?? null;
  return (
    <section>
      <dl class="facts">
        <Fact name={texts.box}>
          <b>{box}</b> {site} · {placeText(place, words.value)}
        </Fact>
        <Fact name={texts.happened}>
          <b>{siteTimeText(startedAt, timeZone)}</b>{' '}
          {endedAt === null ? texts.lasts : `– ${siteTimeText(endedAt, timeZone)}`}
        </Fact>
        <Fact name={texts.received}>{siteTimeText(received, timeZone)}</Fact>
        <Fact name={texts.owner}>
          <OwnerText incident={incident} />
        </Fact>
        {dispatchedBy !== null && dispatchedAt !== null && (
          <Fact name={texts.dispatched}>
            {texts.sentAt(dispatchedBy, siteTimeText(dispatchedAt, timeZone))}
          </Fact>
        )}
        <PatrolFacts incident={incident} timeZone={timeZone} />
        {incident.closedAt !== null && (
          <Fact name={texts.closed}>
            {siteTimeText(incident.closedAt, timeZone)}
            {incident.closedReason !== null && `, ${texts.closedReasons[incident.closedReason]}`}
          </Fact>
        )}
        {incident.reopens !== null && <Fact name={texts.reopens}>{texts.number(incident.reopens)}</Fact>}
        <Fact name={texts.rule}>{rule}</Fact>
        {detail !== undefined && <Fact name={texts.purpose}>{plain(purpose ?? texts.unknown)}</Fact>}
        {detail !== undefined && (
          <Fact name={texts.legalBasis}>
            {plain(legalBasis ?? texts.unknown)}
            {typeof validUntil === 'string' && `, ${texts.validUntil} ${siteTimeText(validUntil, timeZone)}`}
          </Fact>
        )}
      </dl>
    </section>
  );
}

function Fact({ name, children }: { readonly name: string; readonly children: ComponentChildren }) {
  return (
    <>
      <dt>{name}</dt>
      <dd class="clamp">{children}</dd>
    </>
  );
}

function OwnerText({ incident }: { readonly incident: Incident }) {
  const { incident: texts, queue } = words.value;
  const { claimedBy, claimedUntil, state } = incident;
  if (claimedBy === null) return <>{texts.nobody}</>;
  if (!isMine(incident) || claimedUntil === null || state !== 'claimed') return <b>{claimedBy}</b>;
  void tick.value;
  const remaining = age(Date.parse(claimedUntil) - nowMs(), words.value);
  return (
    <>
      <b>{queue.you}</b>, {texts.claimLeft(remaining)}
    </>
  );
}

/** Incident screen: pictures, facts, legal basis, precision of the rule, and nearby incidents. */
import { type Signal, useSignal } from '@preact/signals';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import { Button, Notice } from '../../../../../agent/kit/controls.tsx';
import type { Incident, IncidentDetail } from '../../contract/incident.ts';
import { explain, isMine, renew, reopen } from '../acts.ts';
import { ApiProblem, get } from '../api.ts';
import { useKeys } from '../keys.ts';
import { ActionBar, actionKeys } from '../parts/action-bar.tsx';
import { BulkBar, isBulk } from '../parts/bulk-bar.tsx';
import { isDemoClockInDoubt } from '../parts/clock.tsx';
import { Nearby, Notes, PrecisionOf } from '../parts/context.tsx';
import { Facts } from '../parts/facts.tsx';
import { Mark, stateText } from '../parts/marks.tsx';
import { SuppressedNotice } from '../parts/patrol-facts.tsx';
import { Pictures } from '../parts/pictures.tsx';
import { GiveTo, Sealed } from '../parts/requests.tsx';
import { isEscalated } from '../queue/lines.ts';
import { noteRead } from '../queue/read-notes.ts';
import { rowOf } from '../queue/store.ts';
import { go, listPath, place } from '../router.ts';
import { may, nowMs, tick } from '../session.ts';
import { age, isKnown, kindText, sentence } from '../words/sentence.ts';
import { words } from '../words/words.ts';

/** Half the duration of a claim (CLAIM_S), so that one renewal may be lost. */
const RENEW_MS = 60_000;

interface LoadedIncident {
  readonly detail: Signal<IncidentDetail | undefined>;
  readonly problem: Signal<string | undefined>;
}

/** Loads the details, and again whenever the stream reports a change of the incident. */
function useDetail(no: number, rev: number | undefined): LoadedIncident {
  const detail = useSignal<IncidentDetail | undefined>(undefined);
  const problem = useSignal<string | undefined>(undefined);
  useEffect(() => {
    let isWanted = true;
    void (async () => {
      try {
        const got = await get<IncidentDetail>(`/api/incidents/${no}`);
        if (!isWanted) return;
        detail.value = got;
        problem.value = undefined;
      } catch (error) {
        if (!isWanted) return;
        const isMissing = error instanceof ApiProblem && error.status === 404;
        problem.value = isMissing ? words.value.incident.missing : explain(error);
      }
    })();
    return () => {
      isWanted = false;
    };
  }, [no, rev, detail, problem]);
  return { detail, problem };
}

/** Returns the newest state: of the stream and one's own actions if known, else as loaded. */
function currentOf(no: number, detail: IncidentDetail | undefined): Incident | undefined {
  const row = rowOf(no);
  const loaded = detail?.incident.no === no ? detail.incident : undefined;
  if (row === undefined || loaded === undefined) return row ?? loaded;
  return loaded.rev > row.rev ? loaded : row;
}

export function IncidentScreen({ no }: { readonly no: number }) {
  const { detail: loaded, problem } = useDetail(no, rowOf(no)?.rev);
  const detail = loaded.value?.incident.no === no ? loaded.value : undefined;
  const incident = currentOf(no, detail);
  const title = useRef<HTMLHeadingElement>(null);
  // Notes that arrive while the incident is open are shown before a verdict, since they appear below the picture.
  useEffect(() => {
    if (detail !== undefined) noteRead(detail.incident);
  }, [no, detail === undefined]);
  const holds = incident !== undefined && incident.state === 'claimed' && isMine(incident);
  const current = useRef(incident);
  current.current = incident;
  useKeys({ Escape: () => go(listPath.value), ...actionKeys(incident) });
  // Moves the focus to the title before the next key press, so that screen readers announce the change.
  useLayoutEffect(() => title.current?.focus(), [no]);
  // The title is replaced after loading. A person who is already in a field stays there.
  useLayoutEffect(() => {
    if (document.activeElement === document.body) title.current?.focus();
  }, [incident === undefined]);
  useEffect(() => {
    if (!holds) return undefined;
    const timer = setInterval(() => {
      if (current.current !== undefined) void renew(current.current);
    }, RENEW_MS);
    return () => clearInterval(timer);
  }, [no, holds]);
  return (
    <article class="incident" aria-labelledby="incident-title" data-incident={no}>
      {problem.value !== undefined && (
        <Notice tone="bad" urgent>
          {problem.value}
        </Notice>
      )}
      {incident === undefined ? (
        <h1 id="incident-title" tabIndex={-1} ref={title}>
          {words.value.incident.number(no)}
        </h1>
      ) : (
        <>
          <Head incident={incident} title={title} />
          <Actions incident={incident} />
          <Doubts incident={incident} detail={detail} />
          <div class="incident-body">
            <div class="seen">{detail !== undefined && <Pictures key={no} detail={detail} />}</div>
            {/* Focusable, because beside a picture it scrolls by itself. */}
            {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a part that scrolls needs the keyboard */}
            <section class="told" tabIndex={0} aria-label={words.value.incident.facts}>
              <Facts incident={incident} detail={detail} />
              {detail !== undefined && <PrecisionOf precision={detail.precision} />}
              {detail !== undefined && (
                <Notes key={no} no={no} page={detail.notes} timeZone={detail.timeZone} />
              )}
              {detail !== undefined && (
                <Nearby
                  nearby={detail.nearby}
                  unlistedCount={detail.nearbyMore}
                  no={no}
                  timeZone={detail.timeZone}
                />
              )}
              {detail?.sealed === true && may('request-sealed') && <Sealed key={no} no={no} />}
            </section>
          </div>
        </>
      )}
    </article>
  );
}

interface HeadProps {
  readonly incident: Incident;
  readonly title: { current: HTMLHeadingElement | null };
}

function Head({ incident, title }: HeadProps) {
  void tick.value;
  const { incident: texts } = words.value;
  const isLate = isEscalated(incident, nowMs());
  const { no, kind, received, priority } = incident;
  return (
    <header class="incident-head">
      <a
        class="back"
        href={listPath.value}
        onClick={(event) => {
          event.preventDefault();
          go(listPath.value);
        }}
      >
        ← {place.value === 'closed' ? words.value.places.closed : texts.backToQueue} <kbd>Esc</kbd>
      </a>
      <p class="state">
        <Mark incident={incident} isLate={isLate} />
        <b>{stateText(incident, isLate)}</b>
        <span class="quiet">
          {words.value.priority(priority)} · {texts.number(no)}
        </span>
        <span class="age-open">{age(nowMs() - Date.parse(received), words.value)}</span>
      </p>
      <h1 id="incident-title" tabIndex={-1} ref={title}>
        {kindText(kind, words.value)}
      </h1>
      <p class="sentence clamp">{sentence(incident, words.value)}</p>
    </header>
  );
}

function Actions({ incident }: { readonly incident: Incident }) {
  const isClosed = incident.state === 'closed';
  // An unclaimed incident must be claimed, not reassigned.
  const isTaken = !isClosed && incident.state !== 'new';
  return (
    <div class="incident-acts">
      {isBulk() && <BulkBar />}
      <ActionBar incident={incident} />
      {isTaken && may('reassign') && <GiveTo incident={incident} />}
      {isClosed && may('reopen') && (
        <Button id="reopen" onClick={() => void reopen(incident)}>
          {words.value.actions.reopen}
        </Button>
      )}
    </div>
  );
}

interface DoubtsProps {
  readonly incident: Incident;
  readonly detail: IncidentDetail | undefined;
}

function Doubts({ incident, detail }: DoubtsProps) {
  const { incident: texts, unknownKind } = words.value;
  const degraded = (detail?.degraded ?? []).map((kind) => kindText(kind, words.value)).join(', ');
  return (
    <>
      <SuppressedNotice incident={incident} />
      {incident.clockDoubt && !isDemoClockInDoubt.value && <Notice tone="warn">{texts.clockDoubt}</Notice>}
      {degraded !== '' && <Notice tone="warn">{texts.degraded(degraded)}</Notice>}
      {!isKnown(incident.kind, words.value) && <Notice tone="info">{unknownKind}</Notice>}
    </>
  );
}

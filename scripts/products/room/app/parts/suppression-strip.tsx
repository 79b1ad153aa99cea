/** Strip above the queue: what is suppressed, by whom, why, until when, and the incidents that arrived meanwhile. */
import { useSignal } from '@preact/signals';
import { useEffect, useId } from 'preact/hooks';
import type { IncidentPage } from '../../contract/api.ts';
import type { Incident } from '../../contract/incident.ts';
import type { Suppression } from '../../contract/suppression.ts';
import { explain } from '../acts.ts';
import { get } from '../api.ts';
import { suppressions } from '../queue/suppressed.ts';
import { go, openNo } from '../router.ts';
import { may, nowMs, tick } from '../session.ts';
import { subjectName, unsuppress } from '../suppressions.ts';
import { tell } from '../toasts.ts';
import { plain } from '../words/plain.ts';
import { age, kindText } from '../words/sentence.ts';
import { siteTimeText, words } from '../words/words.ts';
import { Mark, stateText } from './marks.tsx';

/** Maximum number of incidents that the strip lists. */
const LISTED_MAX = 100;

export function SuppressionStrip() {
  const { suppression: texts } = words.value;
  if (suppressions.value.length === 0) return null;
  return (
    <section class="suppressions" aria-label={texts.strip}>
      <ul>
        {suppressions.value.map((suppression) => (
          <Line key={suppression.no} suppression={suppression} />
        ))}
      </ul>
    </section>
  );
}

function Line({ suppression }: { readonly suppression: Suppression }) {
  const { suppression: texts } = words.value;
  const { no, account, reason, until, incidents } = suppression;
  const isOpen = useSignal(false);
  const id = useId();
  return (
    <li class="suppression" data-suppression={no}>
      <p class="clamp">
        <b>{subjectName(suppression)}</b> {plain(reason)}
        <span class="quiet">
          {' '}
          · {plain(account)}, {texts.until(siteTimeText(until, null))} <Left endTime={until} />
        </span>
      </p>
      <button
        type="button"
        class="small"
        aria-expanded={isOpen.value}
        aria-controls={id}
        disabled={incidents === 0}
        onClick={() => {
          isOpen.value = !isOpen.value;
        }}
      >
        {texts.count(incidents)}
      </button>
      {may('suppress') && (
        <button
          type="button"
          class="small end"
          aria-label={texts.endName(subjectName(suppression))}
          onClick={() => void unsuppress(suppression)}
        >
          {texts.end}
        </button>
      )}
      <div id={id} class="suppressed-list">
        {isOpen.value && <IncidentList suppression={suppression} />}
      </div>
    </li>
  );
}

/** A separate component, so that each second redraws only the remaining time. */
function Left({ endTime }: { readonly endTime: string }) {
  void tick.value;
  return <span>({age(Date.parse(endTime) - nowMs(), words.value)})</span>;
}

/** Loads the list again when another incident has arrived. */
function IncidentList({ suppression: { no, incidents: count } }: { readonly suppression: Suppression }) {
  const { suppression: texts } = words.value;
  const incidents = useSignal<readonly Incident[]>([]);
  useEffect(() => {
    let isWanted = true;
    get<IncidentPage>(`/api/incidents?suppression=${no}&limit=${LISTED_MAX}`).then(
      (page) => {
        if (isWanted) incidents.value = page.incidents;
      },
      (error: unknown) => tell('bad', explain(error)),
    );
    return () => {
      isWanted = false;
    };
  }, [no, count, incidents]);
  return (
    <>
      <ul class="nearby">
        {incidents.value.map((incident) => (
          <li key={incident.no}>
            <a
              class="near"
              href={`/incidents/${incident.no}`}
              onClick={(event) => {
                if (event.ctrlKey || event.metaKey || event.shiftKey) return;
                event.preventDefault();
                go(`/incidents/${incident.no}`, { replaces: openNo.value !== undefined });
              }}
            >
              <Mark incident={incident} isLate={false} />
              <span>{siteTimeText(incident.received, null)}</span>{' '}
              <b>{kindText(incident.kind, words.value)}</b>{' '}
              <span class="quiet">{stateText(incident, false)}</span>
            </a>
          </li>
        ))}
      </ul>
      {count > LISTED_MAX && <p class="quiet">{texts.listedOf(LISTED_MAX, count)}</p>}
    </>
  );
}

/** Shows context for the review: the rule's precision here, notes, and nearby incidents of the box. */
import { useSignal } from '@preact/signals';
import { Button } from '../../../../../agent/kit/controls.tsx';
import type { Incident, Note, NotePage, Precision } from '../../contract/incident.ts';
import { explain } from '../acts.ts';
import { get } from '../api.ts';
import { isEscalated } from '../queue/lines.ts';
import { go } from '../router.ts';
import { nowMs } from '../session.ts';
import { tell } from '../toasts.ts';
import { plain } from '../words/plain.ts';
import { kindText } from '../words/sentence.ts';
import { percent, siteTimeText, words } from '../words/words.ts';
import { Mark, stateText } from './marks.tsx';

/** Ratio of true verdicts with its 95 % interval. */
export function PrecisionOf({ precision }: { readonly precision: Precision }) {
  const { incident: texts } = words.value;
  const { share: ratio, low, high } = precision;
  return (
    <section>
      <h2>{texts.precision}</h2>
      {ratio === null || low === null || high === null ? (
        <p class="quiet">{texts.noPrecision}</p>
      ) : (
        <>
          <svg class="interval" viewBox="0 0 200 16" preserveAspectRatio="none" aria-hidden="true">
            <rect class="whole" x="0" y="6" width="200" height="4" rx="2" />
            <rect
              class="between"
              x={low * 200}
              y="3"
              width={Math.max(2, (high - low) * 200)}
              height="10"
              rx="2"
            />
            <rect class="share" x={Math.min(197, ratio * 200 - 1.5)} y="0" width="3" height="16" />
          </svg>
          <p>
            {texts.precisionText(
              percent(ratio),
              percent(low),
              percent(high),
              precision.confirmed + precision.falseAlarms,
            )}
          </p>
        </>
      )}
    </section>
  );
}

interface NotesProps {
  readonly no: number;
  readonly page: NotePage;
  /** Time zone of the site. */
  readonly timeZone: string | null;
}

/** Shows the newest notes of an incident, and earlier ones by a button. */
export function Notes({ no, page, timeZone }: NotesProps) {
  const { incident: texts } = words.value;
  const earlier = useSignal<NotePage>({ notes: [], next: page.next });
  const load = async (before: number): Promise<void> => {
    try {
      const { notes, next } = await get<NotePage>(`/api/incidents/${no}/notes?before=${before}`);
      earlier.value = { notes: [...notes, ...earlier.value.notes], next };
    } catch (error) {
      tell('bad', explain(error));
    }
  };
  const { notes, next } = earlier.value;
  // The page may have grown since: a note is shown once.
  const pageNos = new Set(page.notes.map((one) => one.no));
  const all = [...notes.filter((one) => !pageNos.has(one.no)), ...page.notes];
  return (
    <section>
      <h2>{texts.notes}</h2>
      {next !== null && <Button onClick={() => void load(next)}>{texts.earlierNotes}</Button>}
      {all.length === 0 ? (
        <p class="quiet">{texts.noNotes}</p>
      ) : (
        <NoteItems notes={all} timeZone={timeZone} />
      )}
    </section>
  );
}

interface NoteItemsProps extends Pick<NotesProps, 'timeZone'> {
  readonly notes: readonly Note[];
}

export function NoteItems({ notes, timeZone }: NoteItemsProps) {
  return (
    <ol class="notes">
      {notes.map(({ no, at, account: author, text }) => (
        <li key={no}>
          <span class="quiet">
            {siteTimeText(at, timeZone)} · {author}
          </span>
          <p>{plain(text)}</p>
        </li>
      ))}
    </ol>
  );
}

interface NearbyProps {
  readonly nearby: readonly Incident[];
  /** Number of incidents that are not listed. */
  readonly unlistedCount: number;
  readonly no: number;
  /** Time zone of the site. */
  readonly timeZone: string | null;
}

export function Nearby({ nearby, unlistedCount, no, timeZone }: NearbyProps) {
  const { incident: texts } = words.value;
  const otherIncidents = nearby.filter((incident) => incident.no !== no);
  return (
    <section>
      <h2>{texts.nearby}</h2>
      {otherIncidents.length === 0 && <p class="quiet">{texts.noNearby}</p>}
      <ul class="nearby">
        {otherIncidents.map((incident) => (
          <li key={incident.no}>
            <NearbyLink incident={incident} timeZone={timeZone} />
          </li>
        ))}
      </ul>
      {unlistedCount > 0 && <p class="quiet">{texts.nearbyMore(unlistedCount)}</p>}
    </section>
  );
}

interface NearbyLinkProps {
  readonly incident: Incident;
  readonly timeZone: string | null;
}

function NearbyLink({ incident, timeZone }: NearbyLinkProps) {
  const { no, received, kind } = incident;
  const isLate = isEscalated(incident, nowMs());
  const to = `/incidents/${no}`;
  return (
    <a
      class="near"
      href={to}
      onClick={(event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        go(to);
      }}
    >
      <Mark incident={incident} isLate={isLate} />
      <span>{siteTimeText(received, timeZone)}</span> <b>{kindText(kind, words.value)}</b>{' '}
      <span class="quiet">{stateText(incident, isLate)}</span>
    </a>
  );
}

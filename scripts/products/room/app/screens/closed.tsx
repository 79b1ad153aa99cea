/** Screen of closed incidents: filters in the URL, pages of fifty, and the chosenIncident incident beside the list. */
import { signal, useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { Button } from '../../../../../agent/kit/controls.tsx';
import type { ClosedIncident, ClosedPage } from '../../contract/closed.ts';
import { reopen } from '../acts.ts';
import { canReopen, reopenAll } from '../bulk-acts.ts';
import { useKeys } from '../keys.ts';
import { Mark, stateText } from '../parts/marks.tsx';
import { go, openNo, search } from '../router.ts';
import { may, session } from '../session.ts';
import { ClosedFilters, toFilters } from '../views/closed-filters.tsx';
import { closedQuery } from '../views/closed-query.ts';
import { useLoad } from '../views/load.ts';
import { Csv, LoadState } from '../views/parts.tsx';
import { kindText } from '../views/view-texts.ts';
import { reportWords } from '../words/reports.ts';
import { sentence } from '../words/sentence.ts';
import { siteTimeText, words } from '../words/words.ts';
import { IncidentScreen } from './incident-view.tsx';

/** Lines moved by Page Up and Page Down. */
const PAGE = 10;

/** Cursors of the pages before and at the shown one, for one set of filters. */
interface Place {
  readonly filters: string;
  readonly cursors: readonly string[];
  /** End of the page at which the selection begins, if a key has turned the page. */
  readonly enters: 'first' | 'last' | undefined;
}

const place = signal<Place>({ filters: '', cursors: [], enters: undefined });

function turnTo(filters: string, cursors: readonly string[], enters?: Place['enters']): void {
  place.value = { filters, cursors, enters };
}

export function ClosedScreen() {
  const { closed } = reportWords.value;
  const filters = closedQuery(search.value).toString();
  const cursors = place.value.filters === filters ? place.value.cursors : [];
  const cursor = cursors.at(-1);
  const path = [filters, ...(cursor === undefined ? [] : [`cursor=${cursor}`])].filter((part) => part !== '');
  const load = useLoad<ClosedPage>(`/api/closed${path.length === 0 ? '' : `?${path.join('&')}`}`);
  const chosenNo = useSignal<number | undefined>(undefined);
  const list = useRef<HTMLDivElement>(null);
  const page = load.data.value;
  const incidents = page?.incidents ?? [];
  const at = incidents.findIndex(({ no }) => no === chosenNo.value);
  const chosenIncident = incidents[at];

  const choose = (incident: ClosedIncident | undefined, opens = openNo.value !== undefined): void => {
    if (incident === undefined) return;
    chosenNo.value = incident.no;
    if (opens) go(`/closed/${incident.no}${search.value}`, { replaces: openNo.value !== undefined });
  };
  const turn = (way: 'older' | 'newer', enters?: Place['enters']): void => {
    if (load.isAsking.value) return;
    if (way === 'newer' && cursors.length > 0) turnTo(filters, cursors.slice(0, -1), enters);
    if (way === 'older' && typeof page?.next === 'string') turnTo(filters, [...cursors, page.next], enters);
  };
  const move = (step: number): void => {
    if (at + step >= incidents.length && at === incidents.length - 1) turn('older', 'first');
    else if (at + step < 0 && at === 0) turn('newer', 'last');
    else choose(incidents[Math.min(incidents.length - 1, Math.max(0, at + step))]);
    if (openNo.value === undefined) list.current?.focus({ preventScroll: true });
  };
  useKeys({
    j: () => move(1),
    k: () => move(-1),
    ArrowDown: () => move(1),
    ArrowUp: () => move(-1),
    PageDown: () => move(PAGE),
    PageUp: () => move(-PAGE),
    Enter: () => choose(chosenIncident, true),
    '/': toFilters,
    ...(chosenIncident !== undefined &&
      canReopen(chosenIncident) && { o: () => void reopen(chosenIncident) }),
  });
  useEffect(() => {
    const { enters } = place.value;
    if (enters === undefined || page === undefined) return;
    turnTo(filters, cursors);
    choose(enters === 'first' ? page.incidents[0] : page.incidents.at(-1));
  }, [page]);
  useEffect(() => {
    if (openNo.value !== undefined) chosenNo.value = openNo.value;
  }, [openNo.value]);
  useEffect(() => {
    list.current?.querySelector('[aria-selected=true]')?.scrollIntoView({ block: 'nearest' });
  }, [chosenNo.value, page]);

  return (
    <>
      <section class="queue closed-list" aria-labelledby="closed-title" data-screen="closed">
        <header class="pane-head">
          <h1 id="closed-title" tabIndex={-1}>
            {closed.title}
          </h1>
          {may('export') && <Csv path={`/api/closed.csv${filters === '' ? '' : `?${filters}`}`} />}
        </header>
        <ClosedFilters />
        <LoadState has={page !== undefined} problem={load.problem.value} onAgain={load.reload} />
        {page !== undefined && (
          <div
            ref={list}
            class="rows"
            role="listbox"
            tabIndex={0}
            aria-label={closed.title}
            aria-busy={load.isAsking.value}
            aria-activedescendant={at < 0 ? undefined : `closed-${at}`}
          >
            {incidents.map((incident, index) => (
              <ClosedRow
                key={incident.no}
                at={index}
                incident={incident}
                isChosen={index === at}
                onTake={() => choose(incident, true)}
              />
            ))}
            {incidents.length === 0 && (
              <p class="empty">{filters === '' ? closed.empty : closed.emptyFilter}</p>
            )}
          </div>
        )}
        <footer class="bar closed-bar">
          {chosenIncident === undefined ? (
            <p class="quiet">{closed.choose}</p>
          ) : (
            <div class="acts">
              <Act name={closed.open} keyName="Enter" onClick={() => choose(chosenIncident, true)} />
              {canReopen(chosenIncident) && (
                <Act name={closed.reopen} keyName="o" onClick={() => void reopen(chosenIncident)} />
              )}
            </div>
          )}
          {filters !== '' && incidents.some(canReopen) && (
            <Button onClick={() => void reopenAll(filters).then(load.reload)}>{closed.reopenAll}</Button>
          )}
          {(cursors.length > 0 || (page?.next ?? null) !== null) && (
            <div class="closed-pages">
              <Button disabled={cursors.length === 0} onClick={() => turn('newer')}>
                {closed.newer}
              </Button>
              <Button disabled={(page?.next ?? null) === null} onClick={() => turn('older')}>
                {closed.older}
              </Button>
            </div>
          )}
        </footer>
      </section>
      {openNo.value !== undefined && <IncidentScreen no={openNo.value} />}
    </>
  );
}

interface ActProps {
  readonly name: string;
  readonly keyName: string;
  readonly onClick: () => void;
}

function Act({ name, keyName, onClick }: ActProps) {
  return (
    <button type="button" class="act" aria-keyshortcuts={keyName} onClick={onClick}>
      {name}{' '}
      <span class="kbd" aria-hidden="true">
        {keyName}
      </span>
    </button>
  );
}

interface RowProps {
  readonly at: number;
  readonly incident: ClosedIncident;
  readonly isChosen: boolean;
  readonly onTake: () => void;
}

function ClosedRow({ at, incident, isChosen, onTake }: RowProps) {
  const { closed } = reportWords.value;
  const { no, kind, site, box, closedAt, closedBy, closedReason, reopenedAs } = incident;
  const isMe = closedBy !== null && closedBy === session.value?.user;
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the list has the keys (aria-activedescendant)
    <div
      id={`closed-${at}`}
      role="option"
      tabIndex={-1}
      class="row closed"
      aria-selected={isChosen}
      data-no={no}
      onClick={onTake}
    >
      <Mark incident={incident} isLate={false} />
      <span class="what">
        <strong>{kindText(kind)}</strong>
        {reopenedAs !== null && <i class="tag doubt">{closed.reopenedAs(reopenedAs)}</i>}
        <span class="how">{sentence(incident, words.value)}</span>
      </span>
      <span class="box">
        <b>{box}</b>
        <span>{site}</span>
      </span>
      <span class={isMe ? 'owner me' : 'owner'}>
        <b>{closedReason !== null ? closed.room : isMe ? closed.you : (closedBy ?? '')}</b>
        <span>{stateText(incident, false)}</span>
      </span>
      <span class="closed-time">{closedAt === null ? '' : siteTimeText(closedAt, null)}</span>
    </div>
  );
}

/**
 * Queue screen: open incidents, the most urgent first, fully usable by keyboard. At most sixty lines are in the page.
 */
import { signal, useSignal } from '@preact/signals';
import type { ComponentType } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { Incident } from '../../contract/incident.ts';
import { useKeys } from '../keys.ts';
import { ActionBar, actionKeys } from '../parts/action-bar.tsx';
import { BulkBar, isBulk } from '../parts/bulk-bar.tsx';
import { useLongPress } from '../parts/long-press.ts';
import { MapButton } from '../parts/queue-map.tsx';
import { ROW_PX, Row } from '../parts/row.tsx';
import { StormBar, stormKeys } from '../parts/storm-bar.tsx';
import { SuppressionStrip } from '../parts/suppression-strip.tsx';
import { isEscalated, keyOf, type Line } from '../queue/lines.ts';
import {
  endRange,
  extendSelection,
  selectedIncidents,
  selectOnly,
  toggleSelected,
  toggleSelectedStorm,
} from '../queue/selection.ts';
import {
  announced,
  choose,
  chooseBy,
  chosenKey,
  chosenLine,
  filter,
  haystack,
  lines,
  loadedCount,
  toggleStorm,
  unloadedCount,
  waiting,
} from '../queue/store.ts';
import { go, openNo } from '../router.ts';
import { nowMs, tick } from '../session.ts';
import { kindText, placeText } from '../words/sentence.ts';
import { words } from '../words/words.ts';

/** Maximum number of lines in the page; a tall screen shows forty. */
const DRAWN_MAX = 60;
/** Lines kept above and below the visible part. */
const SPARE = 6;
/** Lines moved by Page Up and Page Down. */
const PAGE = 10;

function take(line: Line | undefined): void {
  if (line === undefined) return;
  choose(keyOf(line));
  if (line.type === 'storm') toggleStorm(line.storm.id);
  else go(`/incidents/${line.incident.no}`, { replaces: openNo.value !== undefined });
}

/** Moves the selection. If an incident is open beside the queue, opens the one of the new line. */
function move(step: number): void {
  endRange();
  open(chooseBy(step));
}

/** Moves the selection as `move` does, and selects all lines on the way. */
function extend(step: number): void {
  const origin = chosenLine.value;
  const line = chooseBy(step);
  extendSelection(origin, line);
  open(line);
}

/** Opens the line if an incident is open. Otherwise the list gets the focus, so that Enter opens the line, not a button. */
function open(line: Line | undefined): void {
  if (openNo.value === undefined) focusList();
  else if (line?.type === 'incident') take(line);
}

/** A click opens a line. With Shift or Ctrl it selects, as does a tap while something is selected. */
function click(line: Line, event: MouseEvent): void {
  const isTap = event instanceof PointerEvent && event.pointerType === 'touch';
  if (event.shiftKey) {
    extendSelection(chosenLine.value, line);
    choose(keyOf(line));
  } else if (event.ctrlKey || event.metaKey || (isTap && isBulk())) toggleSelected(line);
  else take(line);
}

function incidentOf(line: Line | undefined): Incident | undefined {
  return line?.type === 'incident' ? line.incident : undefined;
}

export function QueueScreen() {
  const { queue } = words.value;
  const field = useRef<HTMLInputElement>(null);
  const line = chosenLine.value;
  const toField = (): void => field.current?.focus();
  useKeys({
    j: () => move(1),
    k: () => move(-1),
    ArrowDown: () => move(1),
    ArrowUp: () => move(-1),
    PageDown: () => move(PAGE),
    PageUp: () => move(-PAGE),
    J: () => extend(1),
    K: () => extend(-1),
    'Shift+ArrowDown': () => extend(1),
    'Shift+ArrowUp': () => extend(-1),
    x: () => toggleSelected(chosenLine.value),
    X: () => toggleSelectedStorm(chosenLine.value),
    Enter: () => take(chosenLine.value),
    '/': toField,
    ...(filter.value !== '' && {
      Escape: () => {
        filter.value = '';
        focusList();
      },
    }),
    ...(selectedIncidents.value.length > 0 && { Escape: () => selectOnly([]) }),
    // An open incident handles its own keys; a key meant for it must not give a verdict on the next line here.
    ...(openNo.value === undefined && actionKeys(incidentOf(line))),
    ...(openNo.value === undefined && line?.type === 'storm' && stormKeys(line.storm)),
  });
  useEffect(() => {
    const texts = words.value;
    haystack.value = ({ kind, place, site, box, rule, claimedBy, state, no }) =>
      `${no} ${kindText(kind, texts)} ${kind} ${placeText(place, texts)} ${site}/${box} ${rule} ${claimedBy ?? ''} ${texts.states[state]}`;
  }, [words.value]);
  useEffect(() => {
    if (openNo.value !== undefined) chosenKey.value = String(openNo.value);
  }, [openNo.value]);
  return (
    <section class="queue" aria-labelledby="queue-title">
      <header class="pane-head">
        <h1 id="queue-title" tabIndex={-1}>
          {queue.title}
        </h1>
        <p class="counts">
          <strong>{queue.waiting(waiting.value)}</strong>{' '}
          <span>{queue.open(loadedCount.value + unloadedCount.value)}</span>
        </p>
        <MapButton />
        <input
          ref={field}
          type="search"
          class="filter"
          aria-label={queue.filter}
          placeholder={`/  ${queue.filterHint}`}
          value={filter.value}
          onInput={(event) => {
            filter.value = event.currentTarget.value;
          }}
          onKeyDown={(event) => {
            if (event.key === 'Enter' || event.key === 'ArrowDown') focusList();
          }}
        />
      </header>
      <p class="unseen" role="status">
        {announced.value > 0 && queue.announced(announced.value)}
      </p>
      <SuppressionStrip />
      <List />
      {unloadedCount.value > 0 && <p class="more">{queue.more(unloadedCount.value)}</p>}
      <footer class="bar">
        {isBulk() ? (
          <BulkBar />
        ) : line === undefined ? null : line.type === 'storm' ? (
          <StormBar storm={line.storm} />
        ) : (
          <ActionBar incident={line.incident} />
        )}
      </footer>
    </section>
  );
}

function focusList(): void {
  document.querySelector<HTMLElement>('.rows')?.focus({ preventScroll: true });
}

const quietView = signal<ComponentType | undefined>(undefined);

/** An empty queue: one line until its own part is loaded. */
function Quiet() {
  useEffect(() => {
    void import('../parts/quiet-queue.tsx').then(
      ({ QuietQueue }) => {
        quietView.value = QuietQueue;
      },
      // A server that is newer than this page: the line stays.
      () => undefined,
    );
  }, []);
  const View = quietView.value;
  return View === undefined ? <p class="empty">{words.value.queue.empty}</p> : <View />;
}

function List() {
  const { queue } = words.value;
  const list = useRef<HTMLDivElement>(null);
  const top = useSignal(0);
  const height = useSignal(800);
  const all = lines.value;
  const longPress = useLongPress((row) => toggleSelected(lines.value[Number(row.dataset['at'])]));
  const at = chosenLine.value === undefined ? -1 : all.indexOf(chosenLine.value);
  useEffect(() => {
    const element = list.current;
    if (element === null) return undefined;
    const observer = new ResizeObserver(() => {
      height.value = element.clientHeight;
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, [height]);
  useEffect(() => {
    const element = list.current;
    if (element === null || at < 0 || chosenKey.value === undefined) return;
    const y = at * ROW_PX;
    if (y < element.scrollTop) element.scrollTop = y;
    else if (y + ROW_PX > element.scrollTop + element.clientHeight)
      element.scrollTop = y + ROW_PX - element.clientHeight;
  }, [at, chosenKey.value]);
  const first = Math.max(0, Math.floor(top.value / ROW_PX) - SPARE);
  const count = Math.min(DRAWN_MAX, Math.ceil(height.value / ROW_PX) + 2 * SPARE);
  const drawnLines = all.slice(first, first + count);
  const isDrawn = at >= first && at < first + count;
  void tick.value;
  const now = nowMs();
  return (
    <div
      ref={list}
      class="rows"
      role="listbox"
      tabIndex={0}
      aria-label={queue.list}
      aria-activedescendant={isDrawn ? `row-${at}` : undefined}
      {...longPress}
      onMouseDown={(event) => {
        // The list keeps the focus, because a row may leave the page at any time.
        if (!(event.target instanceof Element) || event.target.closest('.row') === null) return;
        event.preventDefault();
        focusList();
      }}
      onScroll={(event) => {
        top.value = event.currentTarget.scrollTop;
      }}
    >
      <div role="presentation" class="rows-all" style={{ height: `${all.length * ROW_PX}px` }}>
        {drawnLines.map((line, index) => (
          <Row
            key={keyOf(line)}
            line={line}
            at={first + index}
            of={all.length}
            isChosen={first + index === at}
            isLate={isEscalated(line.type === 'storm' ? line.head : line.incident, now)}
            onClick={click}
          />
        ))}
      </div>
      {all.length === 0 && (filter.value === '' ? <Quiet /> : <p class="empty">{queue.emptyFilter}</p>)}
    </div>
  );
}

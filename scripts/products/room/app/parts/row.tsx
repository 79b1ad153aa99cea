/** One line of the queue: incident, place, age and owner. */
import type { Incident } from '../../contract/incident.ts';
import type { Line, Storm } from '../queue/lines.ts';
import { isSelected, refusals, selectedIncidents } from '../queue/selection.ts';
import { nowMs, session, tick } from '../session.ts';
import { age, kindText, sentence } from '../words/sentence.ts';
import { words } from '../words/words.ts';
import { isDemoClockInDoubt } from './clock.tsx';
import { Mark, stateText } from './marks.tsx';

/** Height of a line, as in style.css. */
export const ROW_PX = 60;

interface RowProps {
  readonly line: Line;
  readonly at: number;
  readonly of: number;
  readonly isChosen: boolean;
  readonly isLate: boolean;
  readonly onClick: (line: Line, event: MouseEvent) => void;
}

export function Row({ line, at, of, isChosen, isLate, onClick }: RowProps) {
  const incident = line.type === 'storm' ? line.head : line.incident;
  const isMarked = isSelected(line);
  const classes = [
    'row',
    incident.state,
    `p${incident.priority}`,
    isLate ? 'late' : '',
    isMarked ? 'marked' : '',
    line.type === 'storm' ? 'storm' : line.storm === undefined ? '' : 'within',
  ];
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the list has the keys (aria-activedescendant)
    <div
      id={`row-${at}`}
      role="option"
      tabIndex={-1}
      class={classes.filter((name) => name !== '').join(' ')}
      aria-selected={isChosen}
      aria-checked={selectedIncidents.value.length > 0 ? isMarked : undefined}
      aria-setsize={of}
      aria-posinset={at + 1}
      data-at={at}
      data-no={line.type === 'storm' ? undefined : incident.no}
      style={{ transform: `translateY(${at * ROW_PX}px)` }}
      onClick={(event) => onClick(line, event)}
    >
      <Mark incident={incident} isLate={isLate} />
      <span class="unseen">
        {stateText(incident, isLate)}, {words.value.priority(incident.priority)},{' '}
      </span>
      {line.type === 'storm' ? (
        <StormText storm={line.storm} isOpen={line.isOpen} />
      ) : (
        <IncidentText incident={incident} />
      )}
      <Owner incident={incident} />
      <Age incident={line.type === 'storm' ? (line.storm.members[0] ?? incident) : incident} />
    </div>
  );
}

function IncidentText({ incident }: { readonly incident: Incident }) {
  const { kind, site, box, severity, clockDoubt, endedAt } = incident;
  const { queue, severities } = words.value;
  const refusal = refusals.value.get(incident.no);
  return (
    <>
      <span class="what">
        <strong>{kindText(kind, words.value)}</strong>
        {severity !== 'alert' && <i class="tag">{severities[severity]}</i>}
        {clockDoubt && !isDemoClockInDoubt.value && <i class="tag doubt">{queue.doubt}</i>}
        {endedAt !== null && <i class="tag">{queue.endedText}</i>}
        {refusal === undefined ? (
          <span class="how">{sentence(incident, words.value)}</span>
        ) : (
          <span class="refusal">{refusal}</span>
        )}
      </span>
      <BoxName site={site} box={box} />
    </>
  );
}

function BoxName({ site, box }: { readonly site: string; readonly box: string }) {
  return (
    <span class="box">
      <b>{box}</b>
      <span>{site}</span>
    </span>
  );
}

function StormText({ storm, isOpen }: { readonly storm: Storm; readonly isOpen: boolean }) {
  const { queue } = words.value;
  const [first] = storm.members;
  if (first === undefined) return null;
  const boxes = new Set(storm.members.map(({ site, box }) => `${site}/${box}`)).size;
  return (
    <>
      <span class="what">
        <span class="fold" aria-hidden="true">
          {isOpen ? '▾' : '▸'}
        </span>
        <strong>{queue.storm(storm.members.length, kindText(first.kind, words.value))}</strong>
        <span class="how">
          {storm.of === 'box' ? queue.stormBox(first.rule) : queue.stormKind(boxes)} ·{' '}
          {isOpen ? queue.fold : queue.unfold}
        </span>
      </span>
      {storm.of === 'box' ? <BoxName site={first.site} box={first.box} /> : <span class="box" />}
    </>
  );
}

function Owner({ incident }: { readonly incident: Incident }) {
  const { claimedBy, dispatchedBy, state } = incident;
  const owner = state === 'dispatched' ? (dispatchedBy ?? claimedBy) : claimedBy;
  const isMe = owner !== null && owner === session.value?.user;
  return (
    <span class={isMe ? 'owner me' : 'owner'}>
      <b>{owner === null ? '' : isMe ? words.value.queue.you : owner}</b>
      <span>{state === 'new' ? '' : stateText(incident, false)}</span>
    </span>
  );
}

/** A separate component, so that each second redraws only the ages. */
function Age({ incident }: { readonly incident: Incident }) {
  void tick.value;
  return <span class="age">{age(nowMs() - Date.parse(incident.received), words.value)}</span>;
}

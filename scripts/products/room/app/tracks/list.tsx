/** Lists tracks and gaps by time. The selected track links to the city's own video. */
import { useComputed, useSignal } from '@preact/signals';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import { Button } from '../../../../../agent/kit/controls.tsx';
import { lasting, plain, ratioText } from '../views/view-texts.ts';
import { trackWords } from '../words/tracks.ts';
import { copy } from './copy.ts';
import { COLOURS, UNSURE } from './figures.ts';
import { choose, chosenIndex, gaps, seek, shownTracks, span, tracks } from './player.ts';
import { answer } from './question.ts';
import type { Gap, PlayedTrack } from './replay.ts';
import { isWanted, listRows } from './rows.ts';
import { classText, moment } from './track-texts.ts';

/** Maximum number of rows drawn; each has a few elements. */
const DRAWN_MAX = 2500;

export function TrackList() {
  const { list } = trackWords.value;
  const root = useRef<HTMLOListElement>(null);
  const wantedColours = answer.value?.request.question.colours;
  const rows = useMemo(
    () => listRows(tracks.value, gaps.value, wantedColours).slice(0, DRAWN_MAX),
    [tracks.value, gaps.value, wantedColours],
  );
  /** Index of the row in the tab order. */
  const stop = useSignal(0);
  useEffect(() => {
    stop.value = 0;
  }, [rows, stop]);
  useShown(root);
  useEffect(() => {
    root.current?.querySelector(`[data-track="${chosenIndex.value}"]`)?.scrollIntoView({ block: 'nearest' });
  }, [chosenIndex.value]);
  const to = (index: number): void => {
    const next = Math.min(rows.length - 1, Math.max(0, index));
    stop.value = next;
    root.current?.querySelectorAll<HTMLElement>('.t-row')[next]?.focus();
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -1e6, End: 1e6 }[event.key];
    if (by === undefined || !(event.target as Element).classList.contains('t-row')) return;
    event.preventDefault();
    to(stop.value + by);
  };
  return (
    <ol class="t-list" ref={root} aria-label={list.title} onKeyDown={onKeyDown}>
      {rows.map((row, i) =>
        row.kind === 'gap' ? (
          <GapRow key={`gap-${row.startMs}`} gap={row.gap} isStop={stop.value === i} />
        ) : (
          <TrackRow key={row.track.index} track={row.track} isStop={stop.value === i} />
        ),
      )}
    </ol>
  );
}

/** Marks the tracks currently in the picture, without rendering the list again in every frame. */
function useShown(root: { readonly current: HTMLOListElement | null }): void {
  const names = useComputed(() => shownTracks.value.map(({ track }) => track.index).join());
  useEffect(() => {
    for (const row of root.current?.querySelectorAll('[data-shown]') ?? []) row.removeAttribute('data-shown');
    for (const name of names.value.split(','))
      root.current?.querySelector(`[data-track="${name}"]`)?.setAttribute('data-shown', '');
  }, [names.value, root]);
}

function GapRow({ gap, isStop }: { readonly gap: Gap; readonly isStop: boolean }) {
  const { list, gaps: reasons } = trackWords.value;
  const spanMs = span.value.toMs - span.value.fromMs;
  return (
    <li class="t-gap-row">
      <button type="button" class="t-row" tabIndex={isStop ? 0 : -1} onClick={() => seek(gap.fromMs)}>
        <b>{list.gap(moment(gap.fromMs, spanMs), moment(gap.toMs, spanMs))}</b>
        <span>{list.notSeen(lasting((gap.toMs - gap.fromMs) / 1000), reasons[gap.reason])}</span>
      </button>
    </li>
  );
}

function TrackRow({ track, isStop }: { readonly track: PlayedTrack; readonly isStop: boolean }) {
  const { list, colours, form } = trackWords.value;
  const isChosen = useComputed(() => chosenIndex.value === track.index).value;
  const { record, atMs, fromMs, toMs, index } = track;
  const { where: place, colours: wantedColours = [] } = answer.value?.request.question ?? {};
  const does = place !== undefined && 'does' in place ? place.does : undefined;
  const facts = [
    list.inView(lasting((toMs - fromMs) / 1000)),
    ...(does === 'stays' || does === 'stops' ? [list.lasted[does](lasting(record.durationS))] : []),
    ...(record.stoppedS > 0 && does !== 'stops' ? [list.stopped(lasting(record.stoppedS))] : []),
  ];
  return (
    <li class={isChosen ? 't-chosen-row' : undefined} data-track={index}>
      <button
        type="button"
        class="t-row"
        tabIndex={isStop ? 0 : -1}
        aria-pressed={isChosen}
        onClick={() => choose(index)}
      >
        <b>{moment(atMs, span.value.toMs - span.value.fromMs)}</b>
        <span>
          {record.colours.map((name) => (
            <i
              key={name}
              class={wantedColours.includes(name) ? 't-colour t-wanted' : 't-colour'}
              style={{ background: COLOURS[name] }}
              title={colours[name]}
            />
          ))}
          {record.colours[0] !== undefined && (
            <span class="unseen">{record.colours.map((c) => colours[c]).join(', ')} </span>
          )}
          {classText(record.class)} <span class="quiet">{facts.map(unbroken).join(' · ')}</span>
          {isWanted(track, wantedColours) && <Mark text={list.wantedColour} about={form.coloursHint} />}
          {record.score < UNSURE && (
            <Mark text={list.unsure} about={list.unsureAbout(ratioText(record.score))} />
          )}
          {!record.seen && <Mark text={list.unseen} about={list.unseenAbout} />}
          {record.cut && <Mark text={list.truncated} about={list.truncatedAbout} />}
        </span>
      </button>
      {isChosen && <Video track={track} />}
    </li>
  );
}

/** Keeps a fact on one line. */
const unbroken = (fact: string): string => fact.replaceAll(' ', '\u00a0');

function Mark({ text, about }: { readonly text: string; readonly about: string }) {
  return (
    <span class="t-flag" title={about}>
      {text}
    </span>
  );
}

/** Links to the city's own recording of that time, which Vigie neither stores nor opens. */
function Video({ track }: { readonly track: PlayedTrack }) {
  const { list } = trackWords.value;
  const video = answer.value?.tracks[track.index]?.video;
  if (video === undefined) return null;
  return (
    <div class="t-video">
      <p class="quiet">{list.camera(plain(video.camera))}</p>
      <p class="t-acts">
        {video.url === null ? (
          <span class="quiet">{list.noVideo}</span>
        ) : (
          <a class="button d-small" href={video.url} target="_blank" rel="noopener noreferrer">
            {list.video}
          </a>
        )}
        <Button onClick={() => void copy(video.range)}>{list.copy}</Button>
      </p>
      <code>{plain(video.range)}</code>
    </div>
  );
}

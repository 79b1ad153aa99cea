/**
 * Shows the replay: drawn figures that move over a still of the view. During a gap it shows the reason and no figures.
 */
import { useSignal, useSignalEffect } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { trackWords } from '../words/tracks.ts';
import { asDrawn } from './drawn-place.ts';
import { drawFigure, drawHeat, drawLabels, drawPath, type LabelPlace, type Sheet } from './figures.ts';
import {
  advance,
  batch,
  chosenIndex,
  gapOfNow,
  heat,
  isPlaying,
  isTogether,
  nowMs,
  offsetS,
  shownTracks,
  span,
  tracks,
  viewNow,
  withHeat,
  withPaths,
} from './player.ts';
import { answer } from './question.ts';
import { AROUND_S, type ShownTrack } from './replay.ts';
import { PlaceShape } from './shape.tsx';
import { onBroken, StillNote, stillOf } from './still.tsx';
import { classText, clock, moment } from './track-texts.ts';

/** Length of the trail behind each figure, in ms of replayed time. */
const TRAIL_MS = 8000;
/** Duration of the ring around a hit, in ms. */
const PULSE_MS = 1500;
/** Maximum time step in s, so that a tab returning from the background does not jump. */
const FRAME_S_MAX = 0.1;

export function ReplayPicture() {
  const { replay, gaps: reasons } = trackWords.value;
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const size = useSignal({ w: 0, h: 0 });
  useRunning();
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => {
      if (entry !== undefined) size.value = { w: entry.contentRect.width, h: entry.contentRect.height };
    });
    if (frame.current !== null) observer.observe(frame.current);
    return () => observer.disconnect();
  }, [size]);
  useSignalEffect(() => {
    const { w, h } = size.value;
    if (canvas.current !== null && w > 0) draw(canvas.current, w, h);
  });
  const got = answer.value;
  if (got === undefined) return null;
  const { box, question } = got.request;
  const view = viewNow.value;
  const still = stillOf(view, box);
  const aspect = view?.widthToHeight ?? 16 / 9;
  const gap = gapOfNow.value;
  const { fromMs, toMs } = span.value;
  const { w, h } = size.value;
  return (
    <>
      <div class="t-replay" style={{ '--aspect': String(aspect) }}>
        <div class="t-picture" ref={frame} style={{ aspectRatio: String(aspect) }}>
          {still !== undefined && <img src={still.url} alt="" onError={() => onBroken(still.url)} />}
          {w > 0 && question.where !== undefined && (
            <svg class="t-asked" viewBox={`0 0 ${w} ${h}`} aria-hidden="true">
              <PlaceShape place={asDrawn(question.where)} size={{ w, h }} />
            </svg>
          )}
          <canvas ref={canvas} role="img" aria-label={replay.canvas(shownTracks.value.length)} />
          {gap !== undefined && (
            <div class="t-blank">
              <p>{reasons[gap.reason]}</p>
              <p>{replay.blind(moment(gap.fromMs, toMs - fromMs), moment(gap.toMs, toMs - fromMs))}</p>
            </div>
          )}
        </div>
      </div>
      <div class="t-under">
        {view !== undefined && <StillNote view={view} box={box} />}
        <p class="quiet t-legend">{replay.legend}</p>
      </div>
    </>
  );
}

/** Advances the moment with every frame of the browser while it plays. */
function useRunning(): void {
  useSignalEffect(() => {
    if (!isPlaying.value) return;
    let lastMs = performance.now();
    let request = requestAnimationFrame(function next(atMs) {
      advance(Math.min(FRAME_S_MAX, Math.max(0, (atMs - lastMs) / 1000)));
      lastMs = atMs;
      request = requestAnimationFrame(next);
    });
    return () => cancelAnimationFrame(request);
  });
}

function draw(canvas: HTMLCanvasElement, w: number, h: number): void {
  const density = devicePixelRatio || 1;
  const [wide, high] = [Math.round(w * density), Math.round(h * density)];
  if (canvas.width !== wide || canvas.height !== high) {
    canvas.width = wide;
    canvas.height = high;
  }
  const context = canvas.getContext('2d');
  if (context === null) return;
  context.setTransform(density, 0, 0, density, 0, 0);
  context.clearRect(0, 0, w, h);
  const sheet: Sheet = { context, w, h };
  if (gapOfNow.value !== undefined) return;
  if (withHeat.value) drawHeat(sheet, heat.value);
  drawWays(sheet);
  const labels: LabelPlace[] = [];
  for (const one of shownTracks.value) labels.push(...drawFigure(sheet, one, lookOf(one)));
  drawLabels(sheet, labels);
}

function drawWays(sheet: Sheet): void {
  const together = isTogether.value;
  if (withPaths.value) {
    for (const track of together ? batch.value : tracks.value)
      drawPath(sheet, track, track.fromMs, track.toMs, { isChosen: false, alpha: 0.45, isThin: true });
  }
  for (const { track } of shownTracks.value) {
    const ms = together ? track.atMs + offsetS.value * 1000 : nowMs.value;
    drawPath(sheet, track, ms - TRAIL_MS, ms, { isChosen: false, alpha: 0.9, isThin: false });
  }
  const one = chosenIndex.value === undefined ? undefined : tracks.value[chosenIndex.value];
  if (one !== undefined)
    drawPath(sheet, one, one.fromMs, one.toMs, { isChosen: true, alpha: 0.95, isThin: together });
}

function lookOf({ track }: ShownTrack) {
  const isChosen = track.index === chosenIndex.value;
  const ms = isTogether.value ? track.atMs + offsetS.value * 1000 : nowMs.value;
  return {
    isChosen,
    label: isTogether.value ? clock(track.atMs) : isChosen ? classText(track.record.class) : undefined,
    pulse: Math.max(0, 1 - Math.abs(ms - track.atMs) / PULSE_MS),
  };
}

/** Shows the current moment; in a combined replay, the time relative to the hits. */
export function ReplayClock() {
  const { replay } = trackWords.value;
  if (isTogether.value) {
    const s = offsetS.value;
    const part = (s + AROUND_S) / (2 * AROUND_S);
    return (
      <p class="t-clock">
        <progress max={1} value={part} aria-hidden="true" />
        {replay.offset(`${s < 0 ? '−' : '+'}${Math.abs(s).toFixed(1)}`)}
      </p>
    );
  }
  const { fromMs, toMs } = span.value;
  return <p class="t-clock">{moment(nowMs.value, toMs - fromMs)}</p>;
}

/** Shows the answer: one sentence, the list, the time bar and the replay. */
import { useLayoutEffect, useRef } from 'preact/hooks';
import { Button, Notice } from '../../../../../agent/kit/controls.tsx';
import type { TrackAnswer } from '../../contract/tracks.ts';
import { may } from '../session.ts';
import { count, plain, timeText } from '../views/view-texts.ts';
import { trackWords } from '../words/tracks.ts';
import { Controls } from './controls.tsx';
import { TrackList } from './list.tsx';
import { chosenIndex, gaps, nowMs, seek, span, tracks } from './player.ts';
import { isAskingAgain } from './question.ts';
import { ReplayPicture } from './replay-canvas.tsx';
import { TimeBar } from './time-bar.tsx';
import { coverageText, deedText } from './track-texts.ts';

function isCountOf({ request, grade }: TrackAnswer): boolean {
  return request.question.answer !== 'tracks' || grade === 'counts';
}

export function Result({ answer }: { readonly answer: TrackAnswer }) {
  const { summary } = trackWords.value;
  const { request, matches, coverage, more, left: remaining, stopped } = answer;
  const { question } = request;
  const sentence = useRef<HTMLParagraphElement>(null);
  // Moves the focus to the sentence, so that screen readers announce the answer.
  useLayoutEffect(() => sentence.current?.focus(), [answer]);
  const isCount = isCountOf(answer);
  const place = summary.matches(count(matches), deedText(question.where));
  return (
    <div class="t-result">
      <div class="t-told">
        <p class="t-asked-for">
          <b>{plain(request.box)}</b> · {timeText(question.from)} – {timeText(question.to)}
          {question.daily !== undefined &&
            ` · ${summary.dailyBetween(plain(question.daily.from), plain(question.daily.to))}`}{' '}
          · <span class="quiet">{`${plain(request.case)}, ${plain(request.reason)}`}</span>
        </p>
        <p class="t-sentence" ref={sentence} tabIndex={-1}>
          <strong>{place}</strong>
          {coverageText(place, coverage).slice(place.length)}
        </p>
      </div>
      {stopped !== null && <Notice tone="warn">{summary.stopped(count(more), plain(stopped))}</Notice>}
      {more > 0 && stopped === null && <Notice tone="warn">{summary.more(count(more))}</Notice>}
      {isCount ? (
        <Count answer={answer} />
      ) : (
        <div class="t-split">
          <div class="t-side">
            <TrackList />
            {matches === 0 && <p class="t-none">{summary.none}</p>}
            {coverage.more > 0 && <p class="quiet">{summary.moreGaps(count(coverage.more))}</p>}
          </div>
          <div class="t-main">
            <Controls />
            <ReplayPicture />
            <Bar />
          </div>
        </div>
      )}
      <p class="quiet t-left">
        {summary.authorisedBy(plain(answer.order))}.{' '}
        {summary.remaining(count(remaining.case), count(remaining.keyDay), count(remaining.day))}
      </p>
    </div>
  );
}

/** Actions on an answer. */
export function ResultActions({ answer }: { readonly answer: TrackAnswer }) {
  const { form } = trackWords.value;
  return (
    <>
      {may('export') && !isCountOf(answer) && <Exports id={answer.id} />}
      <Button
        onClick={() => {
          isAskingAgain.value = true;
        }}
      >
        {form.change}
      </Button>
    </>
  );
}

function Exports({ id }: { readonly id: string }) {
  const { exports } = trackWords.value;
  const path = `/api/tracks/${encodeURIComponent(id)}/tracks`;
  return (
    <>
      <a class="button d-small" href={`${path}.csv`} download aria-label={`${exports.about} ${exports.csv}`}>
        {exports.csv}
      </a>
      <a
        class="button d-small"
        href={`${path}.mf.json`}
        download
        aria-label={`${exports.about} ${exports.mfJson}`}
      >
        {exports.mfJson}
      </a>
    </>
  );
}

/** A separate component, because the needle moves with every frame and only it should be rendered again. */
function Bar() {
  return (
    <TimeBar
      {...span.value}
      tracks={tracks.value}
      gaps={gaps.value}
      chosenIndex={chosenIndex.value}
      nowMs={nowMs.value}
      onSeek={seek}
    />
  );
}

function Count({ answer }: { readonly answer: TrackAnswer }) {
  const { summary } = trackWords.value;
  return (
    <div class="t-count">
      <p>
        <strong>{count(answer.matches)}</strong> {deedText(answer.request.question.where)}
      </p>
      <TimeBar {...span.value} tracks={[]} gaps={gaps.value} />
      {answer.coverage.more > 0 && <p class="quiet">{summary.moreGaps(count(answer.coverage.more))}</p>}
    </div>
  );
}

/** Shows the coverage of the requested time, and its views. */
import { Choice } from '../../../../../agent/kit/controls.tsx';
import type { TrackAnswer } from '../../contract/tracks.ts';
import { count, plain, timeText } from '../views/view-texts.ts';
import { trackWords } from '../words/tracks.ts';
import { viewWords } from '../words/views.ts';
import { chosenView, drawnPlace, viewOfNow } from './question.ts';
import { gapsOf } from './replay.ts';
import { TimeBar } from './time-bar.tsx';
import { coverageText } from './track-texts.ts';

export function Sight({ answer }: { readonly answer: TrackAnswer }) {
  const { views, grades, summary } = trackWords.value;
  const { request, coverage, kept: retention, grade, order } = answer;
  const { from, to } = request.question;
  const days = viewWords.value.days(retention.days);
  return (
    <section class="t-sight" aria-label={views.title}>
      <p class="t-sentence">{coverageText(views.title, coverage)}</p>
      <TimeBar fromMs={Date.parse(from)} toMs={Date.parse(to)} tracks={NONE} gaps={gapsOf(coverage)} />
      <p class="quiet">
        {grades[grade]}{' '}
        {retention.oldest === null
          ? views.retentionNone(days)
          : views.retention(days, timeText(retention.oldest))}{' '}
        {coverage.more > 0 && summary.moreGaps(count(coverage.more))}
      </p>
      <p class="quiet t-order">{summary.authorisedBy(plain(order))}</p>
      {answer.views.length === 0 && <p>{views.none}</p>}
      {answer.views.length > 1 && <Views all={answer.views} />}
    </section>
  );
}

const NONE: readonly never[] = [];

function Views({ all }: { readonly all: TrackAnswer['views'] }) {
  const { views } = trackWords.value;
  return (
    <Choice
      name="view"
      label={views.choose}
      value={viewOfNow.value?.view ?? ''}
      options={all.map(({ view, to }) => [
        view,
        views.span(timeText(view), to === null ? views.now : timeText(to)),
      ])}
      onChoose={(view) => {
        // A drawing on one view would mark another place on the next.
        drawnPlace.value = undefined;
        chosenView.value = view;
      }}
    />
  );
}

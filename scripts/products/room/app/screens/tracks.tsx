/** Tracks screen: a query of a box's track log, drawn on its view, and the answer as list, bar and replay. */
import { useEffect } from 'preact/hooks';
import { Button, Notice } from '../../../../../agent/kit/controls.tsx';
import { Approval } from '../tracks/approval.tsx';
import { DrawingPicture, PlaceFields } from '../tracks/drawing.tsx';
import { Filters } from '../tracks/filters.tsx';
import { QuestionForm } from '../tracks/form.tsx';
import {
  answer,
  ask,
  asking,
  coverage,
  form,
  isAskingAgain,
  isStale,
  startInterval,
  trouble,
  viewOfNow,
} from '../tracks/question.ts';
import { Result, ResultActions } from '../tracks/result.tsx';
import { Sight } from '../tracks/sight.tsx';
import { fleet, selectedKey, watchFleet } from '../views/fleet.ts';
import { Head } from '../views/parts.tsx';
import { trackWords } from '../words/tracks.ts';
import { words } from '../words/words.ts';

export function TracksScreen() {
  const { form: texts, intro } = trackWords.value;
  startInterval();
  useEffect(() => {
    if (form.value.box === '' && selectedKey.value !== undefined)
      form.value = { ...form.value, box: selectedKey.value.split('/')[1] ?? '' };
    return watchFleet();
  }, []);
  const [first, ...otherCameras] = fleet.value?.values() ?? [];
  const only = otherCameras.length === 0 ? first?.box : undefined;
  useEffect(() => {
    if (only !== undefined && form.value.box === '') form.value = { ...form.value, box: only };
  }, [only]);
  const got = answer.value;
  const isShown = got !== undefined && !isAskingAgain.value;
  return (
    <div class="desk d-search t-tracks" data-screen="tracks">
      <Head title={words.value.places.tracks}>
        {isShown && <ResultActions answer={got} />}
        {!isShown && got !== undefined && (
          <Button
            onClick={() => {
              isAskingAgain.value = false;
            }}
          >
            {texts.backToAnswer}
          </Button>
        )}
      </Head>
      {isShown ? (
        <Result answer={got} />
      ) : (
        <>
          <p class="hint">{intro}</p>
          <div class="desk-split d-left">
            <QuestionForm />
            <div class="desk-main">
              {trouble.value !== undefined && (
                <Notice tone="bad" urgent>
                  {trouble.value}
                </Notice>
              )}
              {coverage.value === undefined ? <Steps /> : <Place />}
            </div>
          </div>
        </>
      )}
    </div>
  );
}

function Steps() {
  const { steps } = trackWords.value;
  return (
    <section class="t-steps" aria-label={steps.title}>
      <h2>{steps.title}</h2>
      <ol>
        {([steps.first, steps.second, steps.third] as const).map((text) => (
          <li key={text}>{text}</li>
        ))}
      </ol>
      <Approval />
    </section>
  );
}

function Place() {
  const { form: texts } = trackWords.value;
  const got = coverage.value;
  if (got === undefined) return null;
  const view = viewOfNow.value;
  return (
    <div class={isStale.value ? 't-ask t-stale' : 't-ask'}>
      {isStale.value && <Notice tone="warn">{texts.stale}</Notice>}
      <Sight answer={got} />
      <div class="t-ask-split">
        {view !== undefined && <DrawingPicture view={view} box={got.request.box} />}
        <div class="t-ask-side">
          {view !== undefined && <PlaceFields />}
          <Filters grade={got.grade} />
          <Approval />
          <Button
            tone="main"
            id="ask-tracks"
            disabled={asking.value !== undefined || isStale.value}
            onClick={() => void ask()}
          >
            {asking.value === 'answer' ? texts.asking : texts.ask}
          </Button>
        </div>
      </div>
    </div>
  );
}

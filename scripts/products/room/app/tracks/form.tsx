/** Form for camera, case, reason and time: the query of coverage before anything is drawn. */
import { useId } from 'preact/hooks';
import { Button, Check, Field } from '../../../../../agent/kit/controls.tsx';
import { numberProblem, reasonProblem } from '../views/case-problem.ts';
import { fleet } from '../views/fleet.ts';
import { IntervalFields } from '../views/interval.tsx';
import { trackWords } from '../words/tracks.ts';
import { viewWords } from '../words/views.ts';
import { askCoverage, asking, coverage, daily, form, interval, isStale, wasTried } from './question.ts';

/** Preset durations in hours. */
const SPANS = [1, 8, 24, 7 * 24];

export function QuestionForm() {
  const { form: texts } = trackWords.value;
  const { search } = viewWords.value;
  const field = (name: keyof typeof form.value, label: string) => ({
    name,
    label,
    value: form.value[name],
    autocomplete: 'off',
    'aria-required': true,
    onText: (text: string) => {
      form.value = { ...form.value, [name]: text };
    },
  });
  const { case: number, reason } = form.value;
  const isFirst = coverage.value === undefined || isStale.value;
  return (
    <form
      class="d-desk-form t-form"
      onSubmit={(event) => {
        event.preventDefault();
        void askCoverage().then(() =>
          document.querySelector<HTMLElement>('.t-form [aria-invalid=true]')?.focus(),
        );
      }}
    >
      <BoxField />
      <Field
        {...field('case', search.case)}
        maxLength={64}
        problem={wasTried.value ? numberProblem(number) : undefined}
      />
      <Field
        {...field('reason', search.reason)}
        maxLength={200}
        problem={wasTried.value ? reasonProblem(reason) : undefined}
      />
      <IntervalFields
        value={interval.value}
        presets={SPANS}
        isPast
        onChange={(next) => {
          interval.value = next;
        }}
      />
      <Daily />
      <Button tone={isFirst ? 'main' : 'plain'} type="submit" disabled={asking.value !== undefined}>
        {asking.value === 'coverage' ? texts.querying : isFirst ? texts.query : texts.queryAgain}
      </Button>
    </form>
  );
}

function BoxField() {
  const { form: texts } = trackWords.value;
  const id = useId();
  const boxes = [...(fleet.value?.values() ?? [])];
  const typed = form.value.box.trim();
  const isKnown = fleet.value === undefined || boxes.some(({ box }) => box === typed);
  const problem = wasTried.value && (typed === '' || !isKnown) ? texts.unknownBox : undefined;
  return (
    <>
      <Field
        name="box"
        label={texts.box}
        hint={texts.boxHint}
        problem={problem}
        list={id}
        autocomplete="off"
        spellcheck={false}
        aria-required
        value={form.value.box}
        onText={(box) => {
          form.value = { ...form.value, box };
        }}
      />
      <datalist id={id}>
        {boxes
          .sort((a, b) => (a.box < b.box ? -1 : 1))
          .map(({ site, box }) => (
            <option key={`${site}/${box}`} value={box}>
              {site}
            </option>
          ))}
      </datalist>
    </>
  );
}

function Daily() {
  const { form: texts } = trackWords.value;
  const window = daily.value;
  const take = (end: 'from' | 'to') => (text: string) => {
    daily.value = { from: '', to: '', ...daily.value, [end]: text };
  };
  const problemOf = (text: string) => (wasTried.value && text === '' ? texts.dailyNeeded : undefined);
  return (
    <>
      <Check
        label={texts.daily}
        checked={window !== undefined}
        onCheck={(on) => {
          daily.value = on ? { from: '22:00', to: '05:00' } : undefined;
        }}
      />
      {window !== undefined && (
        <div class="t-daily">
          <Field
            name="daily-from"
            type="time"
            label={texts.dailyFrom}
            value={window.from}
            problem={problemOf(window.from)}
            onText={take('from')}
          />
          <Field
            name="daily-to"
            type="time"
            label={texts.dailyTo}
            value={window.to}
            problem={problemOf(window.to)}
            onText={take('to')}
          />
          <p class="hint">{texts.dailyHint}</p>
        </div>
      )}
    </>
  );
}

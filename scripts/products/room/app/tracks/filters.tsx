/** Fields for the objects and the answer: classes, colours that affect the order, and tracks or their number. */

import type { Colour } from '../../../../../agent/contract/track-log.ts';
import { Check } from '../../../../../agent/kit/controls.tsx';
import type { TrackAnswer } from '../../contract/tracks.ts';
import { trackWords } from '../words/tracks.ts';
import { words } from '../words/words.ts';
import { COLOURS } from './figures.ts';
import { answerKind, classes, colours, type TrackClass, VEHICLES } from './question.ts';
import { classText } from './track-texts.ts';

/** Offers only options that the box's log supports, according to its `grade`. */
export function Filters({ grade }: Pick<TrackAnswer, 'grade'>) {
  const { form } = trackWords.value;
  const all = Object.keys(words.value.labels) as TrackClass[];
  const offered = grade === 'vehicles' ? all.filter((one) => VEHICLES.includes(one)) : all;
  return (
    <div class="t-filters">
      <fieldset class="t-chips">
        <legend>
          {form.classes} <span class="quiet">{form.classesHint}</span>
        </legend>
        {offered.map((one) => (
          <Check
            key={one}
            label={classText(one)}
            checked={classes.value.has(one)}
            onCheck={(on) => {
              classes.value = toggled(classes.value, one, on);
            }}
          />
        ))}
      </fieldset>
      {grade !== 'counts' && <Colours />}
      <fieldset class="t-chips">
        <legend>{form.answer}</legend>
        {(['tracks', 'count'] as const).map((kind) => (
          <label key={kind} class="check">
            <input
              type="radio"
              name="answer"
              checked={answerKind.value === kind}
              disabled={kind === 'tracks' && grade === 'counts'}
              onChange={() => {
                answerKind.value = kind;
              }}
            />
            <span>{form.answers[kind]}</span>
          </label>
        ))}
        {answerKind.value === 'count' && <p class="hint">{form.snapped}</p>}
      </fieldset>
    </div>
  );
}

function Colours() {
  const { form, colours: names } = trackWords.value;
  return (
    <fieldset class="t-chips">
      <legend>{form.colours}</legend>
      {(Object.keys(names) as Colour[]).map((one) => (
        <label key={one} class="check">
          <input
            type="checkbox"
            name={`colour-${one}`}
            checked={colours.value.has(one)}
            onChange={(event) => {
              colours.value = toggled(colours.value, one, event.currentTarget.checked);
            }}
          />
          <i class="t-colour" style={{ background: COLOURS[one] }} aria-hidden="true" />
          <span>{names[one]}</span>
        </label>
      ))}
      <p class="hint">{form.coloursHint}</p>
    </fieldset>
  );
}

function toggled<T>(set: ReadonlySet<T>, one: T, on: boolean): ReadonlySet<T> {
  const next = new Set(set);
  if (on) next.add(one);
  else next.delete(one);
  return next;
}

/** Filters of the list of closed incidents. A changed field changes the URL, from which the list is loaded. */
import { signal, useSignal } from '@preact/signals';
import { useEffect, useId } from 'preact/hooks';
import { Button, Check, Choice, Field } from '../../../../../agent/kit/controls.tsx';
import { go, openNo, search } from '../router.ts';
import { may } from '../session.ts';
import { reportWords } from '../words/reports.ts';
import { words } from '../words/words.ts';
import { type Filter, filtersIn, isCamera } from './closed-query.ts';
import { kindText } from './view-texts.ts';

const VERDICTS = ['confirmed', 'false-alarm', 'unclear'] as const;

/** Width in px from which the filters are shown at first, unless an incident is open beside the list. */
const WIDE_PX = 700;
/** Undefined until the person opens or closes the filters. */
const areOpen = signal<boolean | undefined>(undefined);

/** Moves the focus to the first filter. */
export function toFilters(): void {
  areOpen.value = true;
  const details = document.querySelector<HTMLDetailsElement>('.closed-filters');
  if (details === null) return;
  details.open = true;
  details.querySelector('input')?.focus();
}

function change(name: Filter, value: string): void {
  const filters = { ...filtersIn(search.value), [name]: value };
  const params = new URLSearchParams(Object.entries(filters).filter(([, text]) => text !== ''));
  const query = params.toString();
  go(query === '' ? '/closed' : `/closed?${query}`, { replaces: true });
}

export function ClosedFilters() {
  const { closed } = reportWords.value;
  const filters = filtersIn(search.value);
  const camera = useSignal(filters.camera ?? '');
  const by = useSignal(filters.by ?? '');
  const isBad = !isCamera(camera.value);
  const areDaysBad = filters.from !== undefined && filters.to !== undefined && filters.to < filters.from;
  const isOpen = areOpen.value ?? (innerWidth >= WIDE_PX && openNo.value === undefined);
  // "Back", "Clear filters" and a link change the URL without a field.
  useEffect(() => {
    camera.value = filtersIn(search.value).camera ?? '';
    by.value = filtersIn(search.value).by ?? '';
  }, [search.value]);
  return (
    <details
      class="desk closed-filters"
      open={isOpen}
      onToggle={({ currentTarget: { open } }) => {
        if (open !== isOpen) areOpen.value = open;
      }}
    >
      <summary>
        {closed.filters(Object.keys(filters).length)} <kbd>/</kbd>
      </summary>
      <div class="d-bar">
        <Field
          label={closed.camera}
          name="camera"
          value={camera.value}
          maxLength={65}
          autocomplete="off"
          placeholder={closed.cameraHint}
          problem={isBad ? closed.badCamera : undefined}
          onText={(text) => {
            camera.value = text.trim().toLowerCase();
          }}
          onChange={() => {
            if (!isBad) change('camera', camera.value);
          }}
        />
        <Choice
          label={closed.kind}
          name="kind"
          value={filters.kind ?? ''}
          options={[
            ['', closed.any],
            ...Object.keys(words.value.causes).map((kind) => [kind, kindText(kind)] as const),
          ]}
          onChoose={(kind) => change('kind', kind)}
        />
        <Choice
          label={closed.verdict}
          name="verdict"
          value={filters.verdict ?? ''}
          options={[
            ['', closed.any],
            ...VERDICTS.map((verdict) => [verdict, words.value.verdicts[verdict]] as const),
            ['none', closed.noVerdict],
          ]}
          onChoose={(verdict) => change('verdict', verdict)}
        />
        <Day name="from" label={closed.from} value={filters.from ?? ''} />
        <Day
          name="to"
          label={closed.to}
          value={filters.to ?? ''}
          problem={areDaysBad ? closed.badDays : undefined}
        />
        {may('see-audit') ? (
          <Field
            label={closed.by}
            name="by"
            value={by.value}
            maxLength={64}
            autocomplete="off"
            onText={(text) => {
              by.value = text;
            }}
            onChange={() => change('by', by.value.trim())}
          />
        ) : (
          <Check
            label={closed.mine}
            checked={filters.mine !== undefined}
            onCheck={(isOn) => change('mine', isOn ? '1' : '')}
          />
        )}
        {Object.keys(filters).length > 0 && (
          <Button onClick={() => go('/closed', { replaces: true })}>{closed.clear}</Button>
        )}
      </div>
    </details>
  );
}

interface DayProps {
  readonly name: 'from' | 'to';
  readonly label: string;
  readonly value: string;
  readonly problem?: string | undefined;
}

function Day({ name, label, value, problem }: DayProps) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input
        id={id}
        name={name}
        type="date"
        value={value}
        aria-invalid={problem !== undefined}
        aria-describedby={problem === undefined ? undefined : `${id}-told`}
        onChange={(event) => change(name, event.currentTarget.value)}
      />
      {problem !== undefined && (
        <p id={`${id}-told`} class="fault">
          {problem}
        </p>
      )}
    </div>
  );
}

/** Search screen for the archives of the boxes. Typed values stay during a login or an outage of the server. */
import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { caseProblem, normalCase } from '../../../../../agent/contract/case.ts';
import { Button, Check, Field, Notice } from '../../../../../agent/kit/controls.tsx';
import type { SearchRequest, SearchState } from '../../contract/api.ts';
import { reasonOf } from '../acts.ts';
import { ApiProblem, get, post } from '../api.ts';
import { session } from '../session.ts';
import { numberProblem, reasonProblem } from '../views/case-problem.ts';
import { type Interval, IntervalFields, lastHours } from '../views/interval.tsx';
import { badNames, names } from '../views/names.ts';
import { Head } from '../views/parts.tsx';
import { SearchResults } from '../views/search-results.tsx';
import { kindText } from '../views/view-texts.ts';
import { viewWords } from '../words/views.ts';
import { words } from '../words/words.ts';

/** Poll interval in ms; boxes answer within seconds. */
const POLL_MS = 1000;
/** Limits as in the request's schema. */
const ZONES_MAX = 64;
const BOXES_MAX = 5000;
const DAYS = [24, 7 * 24, 30 * 24];

const form = signal({ case: '', reason: '', zones: '', boxes: '' });
const interval = signal<Interval | undefined>(undefined);
const kinds = signal<ReadonlySet<string>>(new Set());
/** True after the first attempt; validation errors are shown only then. */
const wasTried = signal(false);
const isAsking = signal(false);
const trouble = signal<string | undefined>(undefined);
const state = signal<SearchState | undefined>(undefined);

export function SearchScreen() {
  const { search } = viewWords.value;
  usePoll();
  return (
    <div class="desk d-search" data-screen="search">
      <Head title={words.value.places.search} />
      <p class="hint">{search.intro}</p>
      {session.value?.signer === false && <Notice tone="warn">{search.noSigner}</Notice>}
      <div class="desk-split d-left">
        <Form />
        <div class="desk-main">
          {trouble.value !== undefined && (
            <Notice tone="bad" urgent>
              {trouble.value}
            </Notice>
          )}
          {state.value !== undefined && <SearchResults state={state.value} />}
        </div>
      </div>
    </div>
  );
}

/** Polls the search; continues after a visit to another screen. */
function usePoll(): void {
  const { id, isDone } = state.value ?? {};
  useEffect(() => {
    if (id === undefined || isDone === true) return;
    let isWanted = true;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = async () => {
      try {
        const next = await get<SearchState>(`/api/searches/${encodeURIComponent(id)}`);
        if (!isWanted) return;
        trouble.value = undefined;
        state.value = next;
      } catch (error) {
        if (!isWanted) return;
        trouble.value = problemText(error, viewWords.value.search.unreachable);
      }
      timer = setTimeout(() => void ask(), POLL_MS);
    };
    timer = setTimeout(() => void ask(), POLL_MS);
    return () => {
      isWanted = false;
      clearTimeout(timer);
    };
  }, [id, isDone]);
}

function problemText(error: unknown, unavailableText: string): string {
  if (!(error instanceof ApiProblem)) throw error;
  if (error.status === 401) return viewWords.value.search.session;
  return error.status === 0 || error.status === 503 ? unavailableText : reasonOf(error);
}

function problemOf(text: string, max: number): string | undefined {
  const { badName, tooMany } = viewWords.value.search;
  const [bad] = badNames(text);
  if (bad !== undefined) return badName(bad);
  return names(text).length > max ? tooMany(max) : undefined;
}

async function submit(): Promise<void> {
  wasTried.value = true;
  const { reason, zones, boxes } = form.value;
  const number = normalCase(form.value.case);
  const hasProblem = problemOf(zones, ZONES_MAX) !== undefined || problemOf(boxes, BOXES_MAX) !== undefined;
  if (isAsking.value || hasProblem || caseProblem({ case: number, reason }) !== undefined) {
    document.querySelector<HTMLElement>('.d-search [aria-invalid=true]')?.focus();
    return;
  }
  const body: SearchRequest = {
    case: number,
    reason: reason.trim(),
    ...(interval.value ?? lastHours(24)),
    ...(kinds.value.size > 0 && { kinds: [...kinds.value] }),
    ...(names(zones).length > 0 && { zones: names(zones) }),
    ...(names(boxes).length > 0 && { boxes: names(boxes) }),
  };
  isAsking.value = true;
  trouble.value = undefined;
  try {
    state.value = await post<SearchState>('/api/searches', body);
    wasTried.value = false;
  } catch (error) {
    const { notSent } = viewWords.value.search;
    trouble.value = problemText(error, notSent(reasonOf(error)));
    if (error instanceof ApiProblem && ![0, 401, 503].includes(error.status))
      trouble.value = notSent(trouble.value);
  }
  isAsking.value = false;
}

function Form() {
  const { search } = viewWords.value;
  const field = (name: keyof typeof form.value) => ({
    name,
    label: search[name],
    value: form.value[name],
    autocomplete: 'off',
    onText: (text: string) => {
      form.value = { ...form.value, [name]: text };
    },
  });
  const { case: number, reason, zones, boxes } = form.value;
  return (
    <form
      class="d-desk-form"
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      <Field
        {...field('case')}
        maxLength={64}
        aria-required
        problem={wasTried.value ? numberProblem(number) : undefined}
      />
      <Field
        {...field('reason')}
        maxLength={200}
        aria-required
        problem={wasTried.value ? reasonProblem(reason) : undefined}
      />
      <IntervalFields
        value={interval.value ?? lastHours(24)}
        presets={DAYS}
        onChange={(next) => {
          interval.value = next;
        }}
      />
      <fieldset>
        <legend>
          {search.kinds} <span class="quiet">{search.kindsHint}</span>
        </legend>
        {Object.keys(words.value.causes).map((kind) => (
          <Check
            key={kind}
            label={kindText(kind)}
            checked={kinds.value.has(kind)}
            onCheck={(checked) => {
              const next = new Set(kinds.value);
              if (checked) next.add(kind);
              else next.delete(kind);
              kinds.value = next;
            }}
          />
        ))}
      </fieldset>
      <Field {...field('zones')} hint={search.listHint} problem={problemOf(zones, ZONES_MAX)} />
      <Field {...field('boxes')} hint={search.listHint} problem={problemOf(boxes, BOXES_MAX)} />
      <Button tone="main" type="submit" disabled={isAsking.value || session.value?.signer === false}>
        {isAsking.value ? search.asking : search.ask}
      </Button>
    </form>
  );
}

/** State of a query to one box: input, drawing, answers and refusals. It survives a login. */
import { computed, signal } from '@preact/signals';
import { caseProblem, normalCase } from '../../../../../agent/contract/case.ts';
import type { Colour } from '../../../../../agent/contract/track-log.ts';
import type { TrackAnswer, TrackRequest, TrackStillAnswer } from '../../contract/tracks.ts';
import { reasonOf } from '../acts.ts';
import { ApiProblem, LONG_ANSWER_MS, post } from '../api.ts';
import { nowMs } from '../session.ts';
import { type Interval, lastHours } from '../views/interval.tsx';
import { trackWords } from '../words/tracks.ts';
import { viewWords } from '../words/views.ts';
import { asPlace, type DrawnPlace, isInvalid } from './drawn-place.ts';

type Question = TrackRequest['question'];
export type TrackClass = NonNullable<Question['classes']>[number];
export type AnsweredView = TrackAnswer['views'][number];
export const VEHICLES: readonly TrackClass[] = ['car', 'motorcycle', 'bus', 'truck'];
/** Step of counts in ms, as in the contract. */
const COUNT_STEP_MS = 600_000;
const PATIENCE = { withinMs: LONG_ANSWER_MS };

export const form = signal({ box: '', case: '', reason: '' });
/** Empty until the screen is first shown, because the room's clock is unknown before. */
export const interval = signal<Interval>({ from: '', to: '' });
/** Undefined: all hours. */
export const daily = signal<{ from: string; to: string } | undefined>(undefined);
export const classes = signal<ReadonlySet<TrackClass>>(new Set());
export const colours = signal<ReadonlySet<Colour>>(new Set());
export const answerKind = signal<'tracks' | 'count'>('tracks');
export const drawnPlace = signal<DrawnPlace | undefined>(undefined);
export const chosenView = signal<string | undefined>(undefined);
export const approval = signal<{ name: string; envelope: NonNullable<TrackRequest['approval']> } | undefined>(
  undefined,
);

export const coverage = signal<TrackAnswer | undefined>(undefined);
export const answer = signal<TrackAnswer | undefined>(undefined);
/** True while the query is shown instead of the existing answer. */
export const isAskingAgain = signal(true);
export const asking = signal<'coverage' | 'answer' | 'still' | undefined>(undefined);
export const trouble = signal<string | undefined>(undefined);
/** True after the first attempt; validation errors are shown only then. */
export const wasTried = signal(false);
/** Time of the room's clock at which the coverage was looked up: a count's rounded end is not after it. */
let lookedUpMs = 0;
/** The box's last refusal: an approval is missing, or the authorisation names no approvers. */
const refusal = signal<'missing' | 'unnamed' | undefined>(undefined);
/** Still that a box made on request; `url` is the picture. */
export const askedStill = signal<{ box: string; view: string | null; at: string; url: string } | undefined>(
  undefined,
);

/** True if a second signature is needed. A query about vehicles only needs one key, whatever the box stores. */
export const isApprovalNeeded = computed(() => {
  const isOfVehicles = classes.value.size > 0 && [...classes.value].every((one) => VEHICLES.includes(one));
  const { grade } = coverage.value ?? answer.value ?? {};
  return !isOfVehicles && (refusal.value !== undefined || grade === 'persons');
});

/** People of whom one must approve, as the box's authorisation names them. */
export const approvers = computed(() => (coverage.value ?? answer.value)?.approvers ?? []);
/** True if the authorisation names no approvers: the box answers no question about persons. */
export const areApproversMissing = computed(() => {
  const { grade } = coverage.value ?? answer.value ?? {};
  const isKnown = grade === 'persons' && approvers.value.length === 0;
  return refusal.value === 'unnamed' || (isKnown && refusal.value === undefined);
});

/** True if the coverage is for another camera or time than the form. */
export const isStale = computed(() => {
  if (coverage.value === undefined) return false;
  const { box, question } = coverage.value.request;
  const { daily: oldDaily } = question;
  return (
    box !== form.value.box.trim() ||
    Date.parse(question.from) !== Date.parse(interval.value.from) ||
    Date.parse(question.to) !== Date.parse(interval.value.to) ||
    oldDaily?.from !== daily.value?.from ||
    oldDaily?.to !== daily.value?.to
  );
});

export const isFormComplete = computed(() => {
  const window = daily.value;
  const isDailyComplete = window === undefined || (window.from !== '' && window.to !== '');
  return isDailyComplete && form.value.box.trim() !== '' && caseProblem(caseFields()) === undefined;
});

/** View to draw on, also shown behind the replay unless the time determines another. */
export const viewOfNow = computed<AnsweredView | undefined>(() => {
  const views = coverage.value?.views ?? [];
  return views.find(({ view }) => view === chosenView.value) ?? views[0];
});

export function startInterval(): void {
  if (interval.value.from === '') interval.value = lastHours(24, true);
}

/** Case and reason as they are sent. */
const caseFields = () => ({ case: normalCase(form.value.case), reason: form.value.reason.trim() });

function base(kind: Question['answer']): TrackRequest {
  const { box } = form.value;
  const window = daily.value;
  const isCount = kind === 'count';
  const toStep = (iso: string, round: (steps: number) => number) =>
    new Date(round(Date.parse(iso) / COUNT_STEP_MS) * COUNT_STEP_MS).toISOString();
  const { from, to } = interval.value;
  const roundedTo = toStep(to, Math.ceil);
  return {
    box: box.trim(),
    ...caseFields(),
    question: {
      from: isCount ? toStep(from, Math.floor) : from,
      to: !isCount ? to : Date.parse(roundedTo) <= lookedUpMs ? roundedTo : toStep(to, Math.floor),
      ...(window !== undefined && { daily: window }),
      answer: kind,
    },
  };
}

/** Returns the query as it would be sent now; the second person signs the same. */
export function fullQuestion(): TrackRequest {
  const request = base(answerKind.value);
  const place = drawnPlace.value;
  const view = viewOfNow.value?.view;
  return {
    ...request,
    question: {
      ...request.question,
      ...(classes.value.size > 0 && { classes: [...classes.value] }),
      // Colours only sort tracks, so they do not apply to a count.
      ...(colours.value.size > 0 && request.question.answer === 'tracks' && { colours: [...colours.value] }),
      ...(place !== undefined && view !== undefined && { view, where: asPlace(place) }),
    },
  };
}

export async function askCoverage(): Promise<void> {
  wasTried.value = true;
  if (!isFormComplete.value || asking.value !== undefined) return;
  const got = await runRequest('coverage', () =>
    post<TrackAnswer>('/api/tracks', base('coverage'), PATIENCE),
  );
  if (got === undefined) return;
  lookedUpMs = nowMs();
  refusal.value = undefined;
  const isOther = coverage.value?.request.box !== got.request.box;
  coverage.value = got;
  if (!got.views.some(({ view }) => view === chosenView.value)) chosenView.value = got.views[0]?.view;
  if (isOther) drawnPlace.value = undefined;
  if (got.grade === 'counts') answerKind.value = 'count';
  wasTried.value = false;
}

export async function ask(): Promise<void> {
  wasTried.value = true;
  const isPlaceInvalid = drawnPlace.value !== undefined && isInvalid(drawnPlace.value);
  if (!isFormComplete.value || isStale.value || isPlaceInvalid || asking.value !== undefined) return;
  const got = await runRequest('answer', () =>
    post<TrackAnswer>('/api/tracks', { ...fullQuestion(), ...approved() }, PATIENCE),
  );
  if (got === undefined) return;
  answer.value = got;
  isAskingAgain.value = false;
  wasTried.value = false;
  // An approval is valid for one query only.
  approval.value = undefined;
}

/** Requests a redacted still of the camera's current view. */
export async function askStill(): Promise<void> {
  if (asking.value !== undefined) return;
  const { box, case: number, reason } = base('coverage');
  const got = await runRequest('still', () =>
    post<TrackStillAnswer>('/api/tracks/still', { box, case: number, reason }, PATIENCE),
  );
  if (got === undefined) return;
  const bytes = Uint8Array.from(atob(got.jpeg), (letter) => letter.charCodeAt(0));
  const before = askedStill.value;
  if (before !== undefined) URL.revokeObjectURL(before.url);
  const url = URL.createObjectURL(new Blob([bytes], { type: 'image/jpeg' }));
  askedStill.value = { box, view: got.view, at: got.at, url };
}

function approved(): Pick<TrackRequest, 'approval'> {
  return approval.value === undefined || !isApprovalNeeded.value ? {} : { approval: approval.value.envelope };
}

function refusalIn(title: string): typeof refusal.value {
  if (title.includes('lacks tracks.approvers')) return 'unnamed';
  return title.includes('needs the approval of a second key') ? 'missing' : undefined;
}

/** Sends a request. Returns undefined after a refusal, which is shown. */
async function runRequest<T>(
  phase: NonNullable<typeof asking.value>,
  send: () => Promise<T>,
): Promise<T | undefined> {
  asking.value = phase;
  trouble.value = undefined;
  try {
    return await send();
  } catch (error) {
    const { notSent, session } = viewWords.value.search;
    const isOver = error instanceof ApiProblem && error.status === 401;
    const reasonCode = error instanceof ApiProblem ? refusalIn(error.title) : undefined;
    refusal.value = reasonCode ?? refusal.value;
    const { about, unnamed } = trackWords.value.approval;
    const reason = reasonCode === undefined ? reasonOf(error) : { missing: about, unnamed }[reasonCode];
    trouble.value = isOver ? session : notSent(reason);
    return undefined;
  } finally {
    asking.value = undefined;
  }
}

/** State of the box on the phone, and the user's present screen. */
import { computed, effect, signal } from '@preact/signals';
import type { ConfigReply } from '../../contract/config-trial.ts';
import type { Hello, PageState } from '../../contract/page-api.ts';
import { language } from '../../kit/words.ts';
import { ask, RefusalError } from './api.ts';
import type { Screen } from './screens.ts';
import { words } from './words/words.ts';

const STATE_MS = 2000;
/** Interval while a trial or a pass of a walk test runs. */
const STATE_SOON_MS = 1000;
/** Time for the state, which the server answers within its own limits for the agent and for root's helper. */
const STATE_WITHIN_MS = 20_000;

export const hello = signal<Hello | undefined>(undefined);
export const page = signal<PageState | undefined>(undefined);
export const screen = signal<Screen>('pair');
/** Last error, as text for the user. */
export const trouble = signal<string | undefined>(undefined);
/** True if the box did not answer the last request for its state. */
export const isUnreachable = signal(false);
/** Time of this phone, ms, from which countdowns continue between two answers. */
export const stateAtMs = signal(0);

export const agent = computed(() => page.value?.agent ?? null);
export const authorisation = computed(() => agent.value?.order ?? null);
export const config = computed(() => page.value?.config ?? null);
export const trial = computed(() => config.value?.trial ?? null);
/** False until this phone has received the installed configuration, without which no screen may call it empty. */
export const wasConfigRead = signal(false);
/** True if root's program does not answer, or cannot read its file. */
export const isConfigUnreadable = computed(
  () => page.value !== undefined && (config.value?.installed ?? null) === null,
);

/** Time zone of the site, also while the agent does not answer. UTC until it has answered once. */
export const siteZone = signal('UTC');

let timer: ReturnType<typeof setTimeout> | undefined;
let requestCount = 0;

export function show(next: Screen): void {
  trouble.value = undefined;
  screen.value = next;
  scrollTo(0, 0);
}

/** Returns one line for the user; a phone that is no longer paired is sent to the pairing screen. */
export function explain(error: unknown): string {
  if (!(error instanceof RefusalError)) throw error;
  const { error: code, reason } = error.refusal;
  if (error.status === 401 && screen.value !== 'pair') {
    page.value = undefined;
    show('pair');
  }
  const errorText = error.status === 401 ? words.value.errors['unpaired'] : words.value.errors[code];
  const noPicture = (words.value.noPicture as Readonly<Record<string, string>>)[code];
  const text = errorText ?? noPicture;
  if (text !== undefined && language.value !== 'en') return text;
  const refusalText = text ?? words.value.refusal;
  return reason === undefined ? refusalText : `${refusalText} ${words.value.inEnglish(reason)}`;
}

/** Runs the action of a button; a refusal is shown. Returns true on success. */
export async function attempt(doing: () => Promise<void>): Promise<boolean> {
  trouble.value = undefined;
  try {
    await doing();
    return true;
  } catch (error) {
    trouble.value = explain(error);
    return false;
  }
}

export function tookReply(reply: ConfigReply): void {
  if (page.value !== undefined) page.value = { ...page.value, config: reply };
  stateAtMs.value = Date.now();
}

/**
 * Requests the state now, and repeatedly while the page of a paired phone is visible or waits for the result of a pass.
 * Returns true if this request brought it.
 */
export async function refresh(): Promise<boolean> {
  clearTimeout(timer);
  // Not a dependency of the effect that calls this, which would run again at each answer.
  const isWatching = agent.peek()?.walk?.phase === 'watching';
  if (hello.value?.paired !== true || (document.hidden && !isWatching)) return false;
  requestCount += 1;
  const requestNumber = requestCount;
  try {
    const path = `/api/state?language=${language.value}`;
    const state = await ask<PageState>('GET', path, undefined, STATE_WITHIN_MS);
    if (requestNumber !== requestCount) return false;
    page.value = state;
    stateAtMs.value = Date.now();
    isUnreachable.value = false;
  } catch (error) {
    if (requestNumber !== requestCount) return false;
    if (error instanceof RefusalError && error.status === 401) explain(error);
    isUnreachable.value = true;
  }
  const soon = trial.value !== null || agent.value?.walk?.phase === 'watching';
  timer = setTimeout(() => void refresh(), soon ? STATE_SOON_MS : STATE_MS);
  return !isUnreachable.value;
}

export async function start(): Promise<void> {
  effect(() => {
    if (config.value !== null && config.value.installed !== null) wasConfigRead.value = true;
  });
  effect(() => {
    const { box } = hello.value ?? {};
    document.title = box === undefined ? 'Vigie' : words.value.title(box);
  });
  effect(() => {
    void language.value;
    void refresh();
  });
  effect(() => {
    if (agent.value !== null) siteZone.value = agent.value.timeZone;
  });
  document.addEventListener('visibilitychange', () => void refresh());
  await attempt(async () => {
    hello.value = await ask<Hello>('GET', '/api/hello');
  });
  if (hello.value?.paired === true) {
    await refresh();
    if (page.value !== undefined) screen.value = 'camera';
  }
}

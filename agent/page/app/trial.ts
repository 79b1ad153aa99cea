/**
 * Starts, applies and rolls back a trial. It also determines the outcome of an unobserved one: a phone that slept
 * through the end of its trial learns of it from the state.
 */
import { computed, effect, signal } from '@preact/signals';
import type { ConfigReply } from '../../contract/config-trial.ts';
import { ask } from './api.ts';
import { changes, keptDraft, problems, proposal } from './draft.ts';
import { agent, attempt, config, refresh, screen, show, stateAtMs, tookReply, trial } from './store.ts';

const KEY = 'trial';

interface OwnTrial {
  readonly id: string;
  /** SHA-256 of the configuration on trial. */
  readonly sha256: string | null;
}

export type Fate = 'kept' | 'went-back' | 'reverted';
export const fate = signal<Fate | undefined>(undefined);
/** The box's reply to the last proposal. */
export const lastReply = signal<ConfigReply | undefined>(undefined);
export const trying = signal(false);
const nowMs = signal(Date.now());
const ownTrial = signal<OwnTrial | undefined>(read());

/** Time in s until the trial rolls back; undefined if none runs. */
export const leftS = computed(() =>
  trial.value === null
    ? undefined
    : Math.max(0, trial.value.leftS - Math.max(0, nowMs.value - stateAtMs.value) / 1000),
);

/** True if the agent runs the installed configuration. */
export const inForce = computed(
  () => agent.value !== null && agent.value.configSha256 === (config.value?.sha256 ?? null),
);

/** True if there is something to try, and no problem blocks it. */
export const canTry = computed(
  () =>
    trial.value === null &&
    !trying.value &&
    changes.value.length > 0 &&
    !problems.value.some(({ blocks }) => blocks),
);

export async function tryDraft(): Promise<void> {
  trying.value = true;
  fate.value = undefined;
  await attempt(async () => {
    const reply = await ask<ConfigReply>('POST', '/api/config/try', proposal());
    lastReply.value = reply;
    if (reply.trial !== null && reply.refused === null)
      remember({ id: reply.trial.id, sha256: reply.sha256 });
    tookReply(reply);
    void refresh();
  });
  trying.value = false;
}

/** Asks whether the box would accept the draft, without trying it. */
export async function checkDraft(): Promise<void> {
  await attempt(async () => {
    lastReply.value = await ask<ConfigReply>('POST', '/api/config/check', proposal());
  });
}

export async function endTrial(decision: 'keep' | 'revert'): Promise<void> {
  const id = trial.value?.id;
  if (id === undefined) return;
  await attempt(async () => {
    const reply = await ask<ConfigReply>('POST', `/api/config/${decision}`, { trial: id });
    lastReply.value = reply;
    if (reply.refused === null) {
      remember(undefined);
      fate.value = decision === 'keep' ? 'kept' : 'reverted';
    }
    tookReply(reply);
    if (fate.value === 'kept') keptDraft();
    // An applied change is followed by a walk test.
    if (fate.value === 'kept' && screen.value === 'try') show('walk');
    void refresh();
  });
}

export function startTrial(): void {
  setInterval(() => {
    if (trial.value !== null) nowMs.value = Date.now();
  }, 250);
  effect(() => {
    const reply = config.value;
    if (reply === null || ownTrial.value === undefined || reply.trial?.id === ownTrial.value.id) return;
    fate.value = reply.sha256 === ownTrial.value.sha256 ? 'kept' : 'went-back';
    if (fate.peek() === 'kept') keptDraft();
    remember(undefined);
  });
}

function remember(to: OwnTrial | undefined): void {
  ownTrial.value = to;
  if (to === undefined) sessionStorage.removeItem(KEY);
  else sessionStorage.setItem(KEY, JSON.stringify(to));
}

function read(): OwnTrial | undefined {
  const text = sessionStorage.getItem(KEY);
  return text === null ? undefined : (JSON.parse(text) as OwnTrial);
}

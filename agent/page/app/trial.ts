/**
 * Starts, applies and rolls back a trial. It also determines the outcome of an unobserved one: a phone that slept
 * through the end of its trial learns of it from the state.
 */
import { computed, effect, signal } from '@preact/signals';
import type { ConfigReply } from '../../contract/config-trial.ts';
import { ask } from './api.ts';
import { changes, keptDraft, problems, proposal } from './draft.ts';
import { openActs, perform, startActs } from './repeated-acts.ts';
import {
  agent,
  attempt,
  config,
  isUnreachable,
  refresh,
  screen,
  show,
  stateAtMs,
  tookReply,
  trial,
} from './store.ts';

const KEY = 'trial';

interface OwnTrial {
  readonly id: string;
  /** SHA-256 of the configuration on trial. */
  readonly sha256: string | null;
}

export type Fate = 'kept' | 'went-back' | 'too-late' | 'reverted';
export const fate = signal<Fate | undefined>(undefined);
/** The box's reply to the last proposal. */
export const lastReply = signal<ConfigReply | undefined>(undefined);
export const trying = computed(() => openActs.value.includes('try'));
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

/** True if the phone cannot know whether the box has rolled back. */
export const isEndUnknown = computed(() => leftS.value === 0 && isUnreachable.value);

export async function tryDraft(): Promise<void> {
  fate.value = undefined;
  await perform('try', proposal());
}

/** Asks whether the box would accept the draft, without trying it. */
export async function checkDraft(): Promise<void> {
  await attempt(async () => {
    lastReply.value = await ask<ConfigReply>('POST', '/api/config/check', proposal());
  });
}

export async function endTrial(decision: 'keep' | 'revert'): Promise<void> {
  const id = trial.value?.id;
  if (id !== undefined) await perform(decision, { trial: id });
}

function tookTrial(reply: ConfigReply): void {
  lastReply.value = reply;
  tookReply(reply);
  // Afterwards, because a trial is compared with the newest reply.
  adopt();
}

/** Remembers a running trial of this phone's draft, also if the answer that started it was lost. */
function adopt(): void {
  const isOwn = changes.value.every((part) => part === 'camera');
  if (trial.value !== null && isOwn) remember({ id: trial.value.id, sha256: config.value?.sha256 ?? null });
}

function tookDecision(decision: 'keep' | 'revert', reply: ConfigReply): void {
  lastReply.value = reply;
  if (reply.refused === null) {
    remember(undefined);
    fate.value = decision === 'keep' ? 'kept' : 'reverted';
  }
  tookReply(reply);
  if (fate.value !== 'kept') return;
  keptDraft();
  // An applied change is followed by a walk test.
  if (screen.value === 'try') show('walk');
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
  startActs({
    took: (kind, reply) => {
      if (kind === 'try') tookTrial(reply);
      if (kind === 'keep' || kind === 'revert') tookDecision(kind, reply);
      void refresh();
    },
    overtaken: (kind) => {
      if (kind === 'keep' && fate.value === 'went-back') fate.value = 'too-late';
      if (kind === 'try') adopt();
    },
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

/**
 * Acts of the technician that the box must carry out once, although the phone loses its connection: trials, decisions
 * about them, walk tests and the confirmed view.
 *
 * INVARIANTS:
 * - An act is stored before it is sent, and until the box has answered it. It survives a reload of the page.
 * - An act is sent again only after the box has reported its state, and only if that is still the state in which the
 *   technician acted. A changed state means that the act has arrived, or that it is too late.
 * - A body with the address of a camera may contain a password, and stays in memory.
 * LIMITS: one act per subject; a new one replaces the previous one. An act that was not answered is repeated every
 * AGAIN_MS while the page is open.
 */
import { computed, effect, signal } from '@preact/signals';
import type { ConfigReply } from '../../contract/config-trial.ts';
import { type ActKind, PATHS } from './act-kinds.ts';
import { ask, RefusalError } from './api.ts';
import { agent, config, explain, hello, refresh, trial, trouble } from './store.ts';

const KEY = 'acts';
const AGAIN_MS = 1000;
/** Time for an answer, after which the act counts as not sent. A trial waits for a check of the configuration. */
const WITHIN_MS = 10_000;
const TRY_WITHIN_MS = 60_000;

type Subject = 'trial' | 'decision' | 'walk' | 'view';
const SUBJECTS: Readonly<Record<ActKind, Subject>> = {
  try: 'trial',
  keep: 'decision',
  revert: 'decision',
  'walk-start': 'walk',
  'walk-answer': 'walk',
  'confirm-view': 'view',
};

interface Act {
  readonly kind: ActKind;
  readonly body: object;
  /** State of its subject when the technician acted. */
  readonly about: string;
  /** True if it was sent without an answer. */
  readonly isUnanswered: boolean;
}

export type Outcome = 'done' | 'refused' | 'unanswered';

const acts = signal<readonly Act[]>(read());
/** Acts without an answer yet. */
export const openActs = computed(() => acts.value.map(({ kind }) => kind));
/** Those of them that got none in time, for the notice on every screen. */
export const unsentActs = computed(() =>
  acts.value.filter(({ isUnanswered }) => isUnanswered).map(({ kind }) => kind),
);

/** Receives the answers about configurations, also those of acts that are sent later. */
export interface ConfigActs {
  took(kind: ActKind, reply: ConfigReply): void;
  /** The box has carried out an act whose answer was lost, or it was too late for the act. */
  overtaken(kind: ActKind): void;
}
let configActs: ConfigActs | undefined;
let isSending = false;

/** Performs an act now. Without an answer it is stored and repeated. A refusal is shown. */
export async function perform(kind: ActKind, body: object): Promise<Outcome> {
  trouble.value = undefined;
  if (acts.value.some((one) => one.kind === kind && JSON.stringify(one.body) === JSON.stringify(body))) {
    void repeatActs();
    return 'unanswered';
  }
  const act: Act = { kind, body, about: stateOf(SUBJECTS[kind]), isUnanswered: false };
  put([...acts.value.filter((one) => SUBJECTS[one.kind] !== SUBJECTS[kind]), act]);
  return send(act);
}

/** Drops the acts that were not answered. */
export function clearActs(): void {
  put([]);
}

export function startActs(receiver: ConfigActs): void {
  configActs = receiver;
  setInterval(() => void repeatActs(), AGAIN_MS);
  addEventListener('online', () => void repeatActs());
  effect(() => {
    if (hello.value?.paired === false) clearActs();
  });
}

async function repeatActs(): Promise<void> {
  if (isSending || unsentActs.value.length === 0) return;
  isSending = true;
  try {
    if (!(await refresh())) return;
    for (const act of acts.value.filter(({ isUnanswered }) => isUnanswered)) {
      if (isStateMissing(act)) return;
      if (!acts.value.includes(act)) continue;
      if (stateOf(SUBJECTS[act.kind]) === act.about) {
        if ((await send(act)) === 'unanswered') return;
        await refresh();
      } else {
        remove(act);
        configActs?.overtaken(act.kind);
      }
    }
  } finally {
    isSending = false;
  }
}

/** True if the state of its subject is unknown. */
function isStateMissing({ kind }: Act): boolean {
  return SUBJECTS[kind] === 'trial' || SUBJECTS[kind] === 'decision'
    ? config.value === null
    : agent.value === null;
}

async function send(act: Act): Promise<Outcome> {
  try {
    const withinMs = act.kind === 'try' ? TRY_WITHIN_MS : WITHIN_MS;
    const reply = await ask<unknown>('POST', PATHS[act.kind], act.body, withinMs);
    remove(act);
    if (PATHS[act.kind].startsWith('/api/config/')) configActs?.took(act.kind, reply as ConfigReply);
    return 'done';
  } catch (error) {
    if (!(error instanceof RefusalError)) throw error;
    if (error.status === 0) {
      put(acts.value.map((one) => (one === act ? { ...act, isUnanswered: true } : one)));
      return 'unanswered';
    }
    remove(act);
    trouble.value = explain(error);
    return 'refused';
  }
}

/** Describes the state of a subject. It changes when the box carries out an act about it. */
function stateOf(subject: Subject): string {
  switch (subject) {
    case 'trial':
      return `${config.value?.sha256} ${trial.value?.id}`;
    case 'decision':
      return `${trial.value?.id}`;
    case 'walk': {
      const { rule, phase, outcomes } = agent.value?.walk ?? {};
      return `${rule} ${phase} ${outcomes?.length}`;
    }
    case 'view':
      return `${agent.value?.status.standing.some(({ kind }) => kind === 'moved')}`;
  }
}

function remove(act: Act): void {
  put(acts.value.filter((one) => one !== act));
}

function put(next: readonly Act[]): void {
  acts.value = next;
  const stored = next.filter(({ body }) => !('source' in body || 'substream' in body));
  if (stored.length === 0) sessionStorage.removeItem(KEY);
  else sessionStorage.setItem(KEY, JSON.stringify(stored));
}

/** Returns the acts of a page that was dropped. Whether they have arrived is unknown. */
function read(): readonly Act[] {
  const text = sessionStorage.getItem(KEY);
  const stored = text === null ? [] : (JSON.parse(text) as Act[]);
  return stored.map((act) => ({ ...act, isUnanswered: true }));
}

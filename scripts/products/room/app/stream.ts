/**
 * Receives changes through one stream for all tabs of this browser. The tab that holds the lock reads the stream and
 * passes changes on. When it closes, another tab takes the lock and continues from its own number.
 *
 * INVARIANTS:
 * - Every tab applies every change once and in order.
 * - A message names the revision before it; a tab with a gap loads the queue again.
 * LIMITS:
 * - A stream without data for SILENT_MS is reopened.
 * - While a queue is loading, BUFFERED_MAX messages are held; more cause another load.
 */
import { signal } from '@preact/signals';
import type { Camera, RemovedCamera } from '../contract/camera.ts';
import type { Incident, OpenCount, Queue } from '../contract/incident.ts';
import type { Suppression } from '../contract/suppression.ts';
import { BEAT_S } from '../contract/terms.ts';
import { ApiProblem, get } from './api.ts';
import { applyRows, isShort, resetRows, revOf, takeOpenCount } from './queue/store.ts';
import { suppressions } from './queue/suppressed.ts';
import { expired, session } from './session.ts';

/**
 * Silence in ms after which the connection counts as broken, although nothing closed it: two lost heartbeats, plus time
 * for a slow network.
 */
const SILENT_MS = 2 * BEAT_S * 1000 + 10_000;

/** `unavailable`: the server answers, but its database is unavailable. */
export type Link = 'connecting' | 'live' | 'unavailable' | 'disconnected';

type Message =
  | { readonly type: 'incidents'; readonly after: number; readonly incidents: readonly Incident[] }
  | { readonly type: 'open-count'; readonly openCount: OpenCount }
  | { readonly type: 'cameras'; readonly cameras: readonly Camera[] }
  | { readonly type: 'removed'; readonly removals: readonly RemovedCamera[] }
  | { readonly type: 'suppressions'; readonly list: readonly Suppression[] }
  | { readonly type: 'reset' | 'session' | 'ask' }
  | { readonly type: 'link'; readonly link: Link };

const NAME = 'vigie-console';
const BUFFERED_MAX = 1000;
/** Delays between attempts in ms. Up to half is added at random, so that ten browsers do not reconnect at once. */
const AGAIN_MS = [1000, 2000, 5000, 10_000];

export const link = signal<Link>('connecting');
/** Cameras that the stream has reported since the page was opened, by site/box. Undefined: it has left the list. */
export const cameras = signal<ReadonlyMap<string, Camera | undefined>>(new Map());

const channel = new BroadcastChannel(NAME);
let buffered: Message[] | undefined;
let loading: Promise<void> | undefined;
let leads = false;
let tries = 0;
let source: EventSource | undefined;
let silence: ReturnType<typeof setTimeout> | undefined;

/** Resolves once the queue is loaded; the stream then continues in the background. */
export async function startFeed(): Promise<void> {
  channel.onmessage = (event: MessageEvent<Message>) => take(event.data);
  channel.postMessage({ type: 'ask' } satisfies Message);
  await load();
  if ('locks' in navigator) void navigator.locks.request(NAME, lead);
  else void lead();
}

/** Makes all tabs ask for the login. */
export function tellSessionOver(): void {
  source?.close();
  clearTimeout(silence);
  channel.postMessage({ type: 'session' } satisfies Message);
}

/** Loads the current queue. Changes that arrive meanwhile are held and applied afterwards. */
export function load(): Promise<void> {
  loading ??= loaded().finally(() => {
    loading = undefined;
  });
  return loading;
}

async function loaded(): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    buffered = [];
    try {
      const queue = await get<Queue>('/api/queue');
      resetRows(queue);
      suppressions.value = queue.suppressions;
      const messages: Message[] = buffered;
      buffered = undefined;
      if (messages.length >= BUFFERED_MAX) continue;
      for (const message of messages) take(message);
      return;
    } catch (error) {
      if (!(error instanceof ApiProblem)) throw error;
      link.value = 'disconnected';
      await pause(attempt);
    }
  }
}

function take(message: Message): void {
  if (message.type === 'ask' && leads) tell({ type: 'link', link: link.value });
  if (message.type === 'link') link.value = message.link;
  if (message.type === 'cameras') {
    const changes = message.cameras.map((camera) => [`${camera.site}/${camera.box}`, camera] as const);
    cameras.value = new Map([...cameras.value, ...changes]);
  }
  if (message.type === 'removed') {
    const removedEntries = message.removals.map(({ site, box }) => [`${site}/${box}`, undefined] as const);
    cameras.value = new Map([...cameras.value, ...removedEntries]);
  }
  if (message.type === 'suppressions') suppressions.value = message.list;
  if (message.type === 'session') void checkSession();
  if (message.type === 'reset') void load();
  if (message.type !== 'incidents' && message.type !== 'open-count') return;
  if (buffered !== undefined) {
    if (buffered.length < BUFFERED_MAX) buffered.push(message);
    return;
  }
  if (message.type === 'open-count') {
    takeOpenCount(message.openCount);
    if (isShort()) void load();
    return;
  }
  if (message.after <= revOf()) applyRows(message.incidents);
  if (message.after > revOf()) void load();
}

function tell(message: Message): void {
  channel.postMessage(message);
}

/** Never resolves, because the lock is held for the lifetime of the tab. */
function lead(): Promise<never> {
  leads = true;
  listen();
  return new Promise(() => undefined);
}

function listen(): void {
  source?.close();
  const stream = new EventSource(`/api/stream?after=${revOf()}`);
  source = stream;
  let after = revOf();
  const on = (type: string, then: (data: string) => void): void =>
    stream.addEventListener(type, (event) => {
      resetSilence();
      then(String((event as MessageEvent).data));
    });
  resetSilence();
  stream.onopen = () => {
    resetSilence();
    tries = 0;
    setLink('live');
  };
  on('incidents', (data) => {
    const incidents = JSON.parse(data) as Incident[];
    const message = { type: 'incidents', after, incidents } as const;
    for (const { rev } of incidents) after = Math.max(after, rev);
    tell(message);
    take(message);
  });
  on('open-count', (data) => both({ type: 'open-count', openCount: JSON.parse(data) as OpenCount }));
  on('cameras', (data) => both({ type: 'cameras', cameras: JSON.parse(data) as Camera[] }));
  on('removed', (data) => both({ type: 'removed', removals: JSON.parse(data) as RemovedCamera[] }));
  on('suppressions', (data) => both({ type: 'suppressions', list: JSON.parse(data) as Suppression[] }));
  on('reset', () => {
    tell({ type: 'reset' });
    void load().then(listen);
  });
  on('unavailable', () => setLink('unavailable'));
  on('available', () => setLink('live'));
  on('beat', () => undefined);
  on('session', () => both({ type: 'session' }));
  stream.onerror = () => void broken(stream);
}

/** A hanging connection raises no error, so it is reopened after a long silence. */
function resetSilence(): void {
  clearTimeout(silence);
  silence = setTimeout(() => {
    setLink('disconnected');
    listen();
  }, SILENT_MS);
}

async function broken(stream: EventSource): Promise<void> {
  setLink('disconnected');
  // Until the source is closed, the browser itself reconnects with the last id.
  if (stream.readyState !== EventSource.CLOSED || stream !== source) return;
  await pause(tries);
  tries += 1;
  await checkSession();
  if (stream === source) listen();
}

/** Sends a request that waits for the login if the session has ended. */
async function checkSession(): Promise<void> {
  try {
    await get('/api/session');
  } catch (error) {
    if (!(error instanceof ApiProblem)) throw error;
    if (error.status === 401 && session.value !== undefined) expired.value = true;
  }
}

function setLink(to: Link): void {
  link.value = to;
  tell({ type: 'link', link: to });
}

function both(message: Message): void {
  tell(message);
  take(message);
}

function pause(attempt: number): Promise<void> {
  const ms = AGAIN_MS[Math.min(attempt, AGAIN_MS.length - 1)] ?? 0;
  return new Promise((resolve) => setTimeout(resolve, ms * (1 + Math.random() / 2)));
}

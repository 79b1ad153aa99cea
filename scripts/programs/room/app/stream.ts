/**
 * Changes as they come, by one stream for all tabs of this browser: whoever holds the lock reads the stream and tells
 * the others; when that tab closes, the lock goes to another, which reads on from what it has.
 *
 * INVARIANTS: every tab applies every change once and in order. A message names the revision before it, and whoever
 * lacks something in between loads the queue again.
 * LIMITS: a stream that says nothing for SILENT_MS is opened again; while a queue is loaded BUFFERED_MAX messages are held; more make it load again.
 */
import { signal } from '@preact/signals';
import type { Camera, GoneCamera } from '../contract/camera.ts';
import type { Incident, Queue } from '../contract/incident.ts';
import { BEAT_S } from '../contract/terms.ts';
import { ApiProblem, get } from './api.ts';
import { applyRows, isShort, resetRows, revOf } from './queue/store.ts';
import { expired, session } from './session.ts';

/** Two beats are lost, and time for a slow network: the connection hangs though nobody has closed it. ms */
const SILENT_MS = 2 * BEAT_S * 1000 + 10_000;

/** `away`: the server is there and its database is not. */
export type Link = 'connecting' | 'live' | 'away' | 'lost';

type Message =
  | { readonly type: 'incidents'; readonly after: number; readonly incidents: readonly Incident[] }
  | { readonly type: 'cameras'; readonly cameras: readonly Camera[] }
  | { readonly type: 'gone'; readonly gone: readonly GoneCamera[] }
  | { readonly type: 'reset' | 'session' | 'ask' }
  | { readonly type: 'link'; readonly link: Link };

const NAME = 'vigie-console';
const BUFFERED_MAX = 1000;
/** Between two attempts, with the half of it added by chance, so that ten browsers do not come at once. */
const AGAIN_MS = [1000, 2000, 5000, 10_000];

export const link = signal<Link>('connecting');
/** Cameras of which the stream has told since this page was opened, by site/box; undefined: it has left the list. */
export const cameras = signal<ReadonlyMap<string, Camera | undefined>>(new Map());

const channel = new BroadcastChannel(NAME);
let buffered: Message[] | undefined;
let loading: Promise<void> | undefined;
let leads = false;
let tries = 0;
let source: EventSource | undefined;
let silence: ReturnType<typeof setTimeout> | undefined;

/** Resolves once the queue is there; the stream goes on by itself. */
export async function startFeed(): Promise<void> {
  channel.onmessage = (event: MessageEvent<Message>) => take(event.data);
  channel.postMessage({ type: 'ask' } satisfies Message);
  await load();
  if ('locks' in navigator) void navigator.locks.request(NAME, lead);
  else void lead();
}

/** All tabs ask for the login. */
export function tellSessionOver(): void {
  source?.close();
  clearTimeout(silence);
  channel.postMessage({ type: 'session' } satisfies Message);
}

/** The queue as it is now; what comes meanwhile is held, and applied after it. */
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
      resetRows(await get<Queue>('/api/queue'));
      const held: Message[] = buffered;
      buffered = undefined;
      if (held.length >= BUFFERED_MAX) continue;
      for (const message of held) take(message);
      return;
    } catch (error) {
      if (!(error instanceof ApiProblem)) throw error;
      link.value = 'lost';
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
  if (message.type === 'gone') {
    const gone = message.gone.map(({ site, box }) => [`${site}/${box}`, undefined] as const);
    cameras.value = new Map([...cameras.value, ...gone]);
  }
  if (message.type === 'session') void checkSession();
  if (message.type === 'reset') void load();
  if (message.type !== 'incidents') return;
  if (buffered !== undefined) {
    if (buffered.length < BUFFERED_MAX) buffered.push(message);
    return;
  }
  if (message.after <= revOf()) applyRows(message.incidents);
  if (message.after > revOf() || isShort()) void load();
}

function tell(message: Message): void {
  channel.postMessage(message);
}

/** Never resolves: the lock is held as long as the tab lives. */
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
      heard();
      then(String((event as MessageEvent).data));
    });
  heard();
  stream.onopen = () => {
    heard();
    tries = 0;
    changed('live');
  };
  on('incidents', (data) => {
    const incidents = JSON.parse(data) as Incident[];
    const message = { type: 'incidents', after, incidents } as const;
    for (const { rev } of incidents) after = Math.max(after, rev);
    tell(message);
    take(message);
  });
  on('cameras', (data) => both({ type: 'cameras', cameras: JSON.parse(data) as Camera[] }));
  on('gone', (data) => both({ type: 'gone', gone: JSON.parse(data) as GoneCamera[] }));
  on('reset', () => {
    tell({ type: 'reset' });
    void load().then(listen);
  });
  on('away', () => changed('away'));
  on('back', () => changed('live'));
  on('beat', () => undefined);
  on('session', () => both({ type: 'session' }));
  stream.onerror = () => void broken(stream);
}

/** What hangs gives no error: it is closed and opened again when nothing has come for long. */
function heard(): void {
  clearTimeout(silence);
  silence = setTimeout(() => {
    changed('lost');
    listen();
  }, SILENT_MS);
}

async function broken(stream: EventSource): Promise<void> {
  changed('lost');
  // While it is not closed the browser itself connects again, with the last id.
  if (stream.readyState !== EventSource.CLOSED || stream !== source) return;
  await pause(tries);
  tries += 1;
  await checkSession();
  if (stream === source) listen();
}

/** By a question that waits for the login where the session is over. */
async function checkSession(): Promise<void> {
  try {
    await get('/api/session');
  } catch (error) {
    if (!(error instanceof ApiProblem)) throw error;
    if (error.status === 401 && session.value !== undefined) expired.value = true;
  }
}

function changed(to: Link): void {
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

/**
 * Calls the person for new alerts of priority 1, by two tones and a desktop notification.
 *
 * INVARIANTS:
 * - Each account of this browser has its own setting and its own memory, in localStorage.
 * - One tab decides and shows notifications, and one tab whose sound the browser allows plays: nothing sounds twice.
 * - If no tab may play, every tab shows it.
 */
import { computed, effect, signal } from '@preact/signals';
import { isQueueLoaded, loadedIncidents } from '../queue/store.ts';
import { openNo } from '../router.ts';
import { expired, may, nowMs, session } from '../session.ts';
import { link } from '../stream.ts';
import { tell } from '../toasts.ts';
import { alarmWords } from '../words/alarm.ts';
import { type AlarmMemory, alarmOf } from './alarm-memory.ts';
import { askForNotices, closeNotice, closeNotices, hasNotices, showDeafness, showNotice } from './notices.ts';
import { holdName, isNameHeld } from './tab-lock.ts';
import { isSoundAllowed, playTones } from './tone.ts';

type Message = { readonly type: 'sound' } | { readonly type: 'seen'; readonly no: number };

/** Time in ms in which changes are collected. An incident that this person opens at once is then known as seen. */
const COLLECT_MS = 250;
/** Interval in ms at which a tab checks that some tab may play. */
const CHECK_MS = 2000;
/** Time in ms without alerts, because of a lost connection or a session that has ended, after which the alarm says so. */
const DEAF_MS = 30_000;
/** Number of opened incidents that are remembered. They matter only until the stream has reported them. */
const OPENED_MAX = 200;

const DECIDING = 'vigie-alarm';
const PLAYING = 'vigie-alarm-sound';

export const isAlarmOn = signal(false);
/** True if notifications are allowed; a browser reports no change of that. */
export const showsNotices = signal(false);
/** Undefined until it is known whether a tab may play. */
const isPlayable = signal<boolean | undefined>(undefined);
export const isSoundBlocked = computed(() => isAlarmOn.value && isPlayable.value === false);

/** True without a session or a connection; a change from one to the other is not another silence. */
const isDeaf = computed(() => expired.value || link.value === 'disconnected' || link.value === 'unavailable');

const channel = new BroadcastChannel(DECIDING);
const openedNos = new Set<number>();
let decides = false;
let plays = false;
let stopPlaying: (() => void) | undefined;
let isCollecting = false;
let deafness: ReturnType<typeof setTimeout> | undefined;

/** Starts the alarm of the logged-in person. Auditors have none, because they act on no alert. */
export function startAlarm(): void {
  if (!may('claim')) return;
  readSetting();
  addEventListener('storage', ({ key }) => {
    if (key === settingKey()) readSetting();
  });
  channel.onmessage = ({ data }: MessageEvent<Message>) => take(data);
  holdName(DECIDING, () => {
    decides = true;
    collect();
  });
  effect(() => {
    void loadedIncidents.value;
    if (isQueueLoaded.value) collect();
  });
  effect(() => {
    const no = openNo.value;
    if (no !== undefined) both({ type: 'seen', no });
  });
  effect(watchDeafness);
  effect(() => {
    collect();
    if (isAlarmOn.value) void prepareSound();
    else endSound();
  });
  // Any click or key in the tab allows its sound.
  for (const gesture of ['pointerup', 'keydown']) addEventListener(gesture, () => void prepareSound());
  setInterval(() => void checkSound(), CHECK_MS);
}

/** Switches the alarm on or off, for this account in this browser. Called by a click. */
export async function switchAlarm(): Promise<void> {
  const isOn = !isAlarmOn.value;
  localStorage.removeItem(memoryKey());
  if (isOn) localStorage.setItem(settingKey(), 'on');
  else localStorage.removeItem(settingKey());
  isAlarmOn.value = isOn;
  if (!isOn) return;
  collect();
  void enableSound();
  showsNotices.value = await askForNotices();
  if (!showsNotices.value) tell('bad', alarmWords.value.noNotices);
}

/** Lets this person hear the alarm. Called by a click, after which a browser allows sound. */
export async function enableSound(): Promise<void> {
  if (await playTones()) await prepareSound();
}

function settingKey(): string {
  return `alarm of ${session.value?.user}`;
}

function memoryKey(): string {
  return `alarm memory of ${session.value?.user}`;
}

function readSetting(): void {
  isAlarmOn.value = localStorage.getItem(settingKey()) === 'on';
  showsNotices.value = hasNotices();
}

function take(message: Message): void {
  if (message.type === 'sound') {
    if (plays) void play();
    return;
  }
  openedNos.delete(message.no);
  openedNos.add(message.no);
  const [oldest] = openedNos;
  if (openedNos.size > OPENED_MAX && oldest !== undefined) openedNos.delete(oldest);
  closeNotice(message.no);
}

function both(message: Message): void {
  channel.postMessage(message);
  take(message);
}

function collect(): void {
  if (isCollecting) return;
  isCollecting = true;
  setTimeout(() => {
    isCollecting = false;
    decide();
  }, COLLECT_MS);
}

function decide(): void {
  if (!decides || !isQueueLoaded.value) return;
  const incidents = loadedIncidents.value;
  const waiting = new Set(incidents.filter(({ state }) => state === 'new').map(({ no }) => no));
  closeNotices((no) => isAlarmOn.value && waiting.has(no));
  if (!isAlarmOn.value) return;
  const stored = localStorage.getItem(memoryKey());
  const before = stored === null ? undefined : (JSON.parse(stored) as AlarmMemory);
  const { sounds, notices, memory } = alarmOf(incidents, before, (no) => openedNos.has(no), nowMs());
  localStorage.setItem(memoryKey(), JSON.stringify(memory));
  for (const incident of notices) showNotice(incident);
  if (sounds) both({ type: 'sound' });
}

/** Makes this tab one that plays, if its browser allows it. The first one plays, the others take over from it. */
async function prepareSound(): Promise<void> {
  if (!isAlarmOn.value || stopPlaying !== undefined) return;
  if ((await isSoundAllowed()) && isAlarmOn.value) {
    stopPlaying ??= holdName(PLAYING, () => {
      plays = true;
      isPlayable.value = true;
    });
  }
  await checkSound();
}

function endSound(): void {
  stopPlaying?.();
  stopPlaying = undefined;
  plays = false;
  isPlayable.value = undefined;
}

async function play(): Promise<void> {
  if (await playTones()) return;
  endSound();
  await checkSound();
}

async function checkSound(): Promise<void> {
  if (!isAlarmOn.value) return;
  const isHeld = plays || (await isNameHeld(PLAYING));
  if (isAlarmOn.value) isPlayable.value = isHeld;
}

/** A session ends without an action of its owner, and a silent alarm would then look like a quiet evening. */
function watchDeafness(): void {
  clearTimeout(deafness);
  if (!isDeaf.value) {
    showDeafness(false);
    return;
  }
  deafness = setTimeout(() => {
    if (!decides || !isAlarmOn.value) return;
    showDeafness(true);
    both({ type: 'sound' });
  }, DEAF_MS);
}

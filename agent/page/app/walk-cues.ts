/**
 * Makes a walk test usable with the phone in a pocket: sound and vibration for each result, and a screen that stays on
 * while the test runs.
 *
 * LIMITS: browsers allow sound only after a tap. Not every phone vibrates or keeps its screen on; the others show the
 * result only.
 */
import { effect } from '@preact/signals';
import type { WalkView } from '../../contract/page-link.ts';
import { type Cue, cueBetween } from './cue-choice.ts';
import { agent } from './store.ts';

/** Tone: pitch in Hz, and duration in s. */
type Tone = readonly [hz: number, s: number];

/** A result is recognisable by its melody and by its rhythm: up, or one long low tone. */
const TONES: Readonly<Record<Cue, readonly Tone[]>> = {
  begin: [[660, 0.15]],
  seen: [
    [880, 0.15],
    [1320, 0.3],
  ],
  missed: [[220, 0.9]],
  void: [
    [330, 0.12],
    [330, 0.12],
    [330, 0.12],
  ],
};
/** Alternately on and off, in ms. */
const VIBRATIONS: Readonly<Record<Cue, readonly number[]>> = {
  begin: [100],
  seen: [150, 80, 150],
  missed: [800],
  void: [80, 80, 80, 80, 80],
};
const GAP_S = 0.06;
const VOLUME = 0.5;

let audio: AudioContext | undefined;
let wakeLock: WakeLockSentinel | undefined;

/** Must be called in a tap, which permits sound. */
export function allowSound(): void {
  audio ??= new AudioContext();
  void audio.resume();
}

function give(cue: Cue): void {
  // Absent on iOS.
  if ('vibrate' in navigator) navigator.vibrate([...VIBRATIONS[cue]]);
  if (audio === undefined) return;
  let atS = audio.currentTime;
  for (const [hz, s] of TONES[cue]) {
    const [oscillator, gain] = [audio.createOscillator(), audio.createGain()];
    oscillator.frequency.value = hz;
    gain.gain.value = VOLUME;
    oscillator.connect(gain).connect(audio.destination);
    oscillator.start(atS);
    oscillator.stop(atS + s);
    atS += s + GAP_S;
  }
}

/** True while a test runs, also while the screen is off. */
function isTestRunning(test: WalkView | null): boolean {
  return test !== null && (test.phase === 'ready' || test.phase === 'watching');
}

async function keepScreenOn(): Promise<void> {
  if (wakeLock !== undefined || document.hidden || !('wakeLock' in navigator)) return;
  try {
    wakeLock = await navigator.wakeLock.request('screen');
    wakeLock.addEventListener('release', () => {
      wakeLock = undefined;
    });
  } catch {
    // The phone saves its battery: its screen may go off.
    wakeLock = undefined;
  }
}

export function startCues(): void {
  let before: WalkView | null | undefined;
  effect(() => {
    if (agent.value === null) return;
    const { walk } = agent.value;
    const cue = cueBetween(before, walk);
    before = walk;
    if (cue !== undefined) give(cue);
    if (isTestRunning(walk)) void keepScreenOn();
    else void wakeLock?.release();
  });
  // A phone releases the lock when its page is hidden.
  document.addEventListener('visibilitychange', () => {
    if (isTestRunning(agent.value?.walk ?? null)) void keepScreenOn();
  });
}

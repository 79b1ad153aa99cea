/** Counts down to a pass of a walk test: the time to walk from the phone to the place. */
import { computed, signal } from '@preact/signals';

/** Delays that can be chosen, in s. */
export const DELAYS_S = [0, 10, 20] as const;

const TICK_MS = 200;

interface Countdown {
  readonly untilMs: number;
  readonly timer: ReturnType<typeof setInterval>;
}

const running = signal<Countdown | undefined>(undefined);
const nowMs = signal(0);

/** Seconds left; undefined while none runs. */
export const countdownS = computed(() =>
  running.value === undefined
    ? undefined
    : Math.max(0, Math.ceil((running.value.untilMs - nowMs.value) / 1000)),
);

/** Calls `then` after the delay. A running countdown is replaced. */
export function startCountdown(delayS: number, then: () => void): void {
  cancelCountdown();
  nowMs.value = Date.now();
  const untilMs = nowMs.value + delayS * 1000;
  const timer = setInterval(() => {
    nowMs.value = Date.now();
    if (nowMs.value < untilMs) return;
    cancelCountdown();
    then();
  }, TICK_MS);
  running.value = { untilMs, timer };
}

export function cancelCountdown(): void {
  clearInterval(running.value?.timer);
  running.value = undefined;
}

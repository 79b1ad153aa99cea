/** Who sits at this browser, and what time it is in the room. */
import { signal } from '@preact/signals';
import { type Act, may as roleMay } from '../contract/roles.ts';
import type { Session } from '../contract/session.ts';

/** Undefined before somebody has entered. */
export const session = signal<Session | undefined>(undefined);
/** The session ended in the middle of work: the work is kept, and goes on once the same person is back. */
export const expired = signal(false);

let offsetMs = 0;

export function may(act: Act): boolean {
  const { role } = session.value ?? {};
  return role !== undefined && roleMay(role, act);
}

export function took(taken: Session): void {
  session.value = taken;
  offsetMs = Date.parse(taken.now) - Date.now();
  expired.value = false;
}

/** By the room's clock, whatever this browser's says. */
export function nowMs(): number {
  return Date.now() + offsetMs;
}

/** The same, told once a second: what shows an age reads it. */
export const tick = signal(Date.now());

export function startClock(): void {
  setInterval(() => {
    tick.value = nowMs();
  }, 1000);
}

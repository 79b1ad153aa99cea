/** Holds the session of this browser and the room's time. */
import { signal } from '@preact/signals';
import { type Action, may as roleMay } from '../contract/roles.ts';
import type { Session } from '../contract/session.ts';

/** Undefined before the login. */
export const session = signal<Session | undefined>(undefined);
/** True if the session ended during work. The work is kept and continues once the same person has logged in again. */
export const expired = signal(false);

let offsetMs = 0;

export function may(action: Action): boolean {
  const { role } = session.value ?? {};
  return role !== undefined && roleMay(role, action);
}

export function took(newSession: Session): void {
  session.value = newSession;
  offsetMs = Date.parse(newSession.now) - Date.now();
  expired.value = false;
}

/** Returns the time of the room's clock, whatever the browser's clock says. */
export function nowMs(): number {
  return Date.now() + offsetMs;
}

/** Room time, updated once a second. Displays of ages depend on it. */
export const tick = signal(Date.now());

export function startClock(): void {
  setInterval(() => {
    tick.value = nowMs();
  }, 1000);
}

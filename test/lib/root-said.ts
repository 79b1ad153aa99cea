/** Reports of root's program on a box, as its files hold them: lines of the history, and the status. */
import type { ChangeRecord } from '../../agent/contract/update.ts';

/** Time of a minute in one night. */
export const T = (n: number): string => new Date(Date.UTC(2026, 10, 26, 2, n)).toISOString();

export const releaseRecord = (
  n: number,
  phase: ChangeRecord['phase'],
  reason: string | null = null,
): string => {
  const [from, to] = [
    { number: 11, name: '0.1.0' },
    { number: 12, name: '0.2.0' },
  ];
  return `${JSON.stringify({ n, at: T(n), what: 'release', rollout: 'november', phase, from, to, reason })}\n`;
};
export const configRecord = (n: number): string => {
  const [from, to] = [
    { number: 0, name: 'c'.repeat(64) },
    { number: 2, name: 'b'.repeat(64) },
  ];
  const same = { n, at: T(n), what: 'configuration', rollout: 'masks', phase: 'confirmed' };
  return `${JSON.stringify({ ...same, from, to, reason: null })}\n`;
};

export const rootRecord = (n: number): string => {
  const [from, to] = [
    { number: 10, name: '0.1.0' },
    { number: 13, name: '0.2.0' },
  ];
  const same = { n, at: T(n), what: 'root', rollout: 'november-root', phase: 'rolled-back' };
  return `${JSON.stringify({ ...same, from, to, reason: 'it does not run' })}\n`;
};

export const status = (phase: string, history: number): string =>
  JSON.stringify({
    version: 1,
    at: T(history),
    board: 'pc',
    arch: 'amd64',
    os: 'Debian 13',
    kernel: '6.12',
    node: '20.19.2',
    release: { seq: 11, version: '0.1.0' },
    previous: null,
    phase,
    since: T(history),
    rollout: 'november',
    target: { seq: 12, version: '0.2.0' },
    reason: null,
    bytes: null,
    metadata: null,
    osUpdates: null,
    freeBytes: 5_000_000_000,
    history,
    root: {
      release: { seq: 10, version: '0.1.0' },
      phase: history > 5 ? 'rolled-back' : 'idle',
      since: T(history),
      rollout: history > 5 ? 'november-root' : null,
      target: null,
      reason: history > 5 ? 'it does not run' : null,
    },
    configuration: {
      phase: history > 4 ? 'confirmed' : 'idle',
      rollout: 'masks',
      target: { number: 2, name: 'b'.repeat(64) },
      former: null,
      reason: null,
    },
  });

/**
 * Rehearses the replacement of a new vigie-root that is on trial. It carries out the order that installed it once more,
 * from signature to switch, in a separate folder. The previous vigie-root checks the result (root-payload.ts), and
 * rolls back if there is none.
 *
 * INVARIANT: changes only that folder: no unit is stopped or started, and no link of the box moves.
 *
 * INTERFACE: `lib/current` in the folder leads to the release, as on the box. The previous program may be years older.
 */
import { copyFileSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Box, openBox } from './box.ts';
import { gateOf } from './change/gate.ts';
import { attemptLater } from './change/outcome.ts';
import { type BoxOptions, orderFile, rehearsalDir, rootOrderFile } from './paths.ts';
import { WORK_WITHIN_MS } from './record-lock.ts';
import type { Units } from './units.ts';

/** Longest time that the switch may have taken after the gate was checked, ms. */
const SWITCH_MS = 120_000;

const NOTHING_RUNS: Units = {
  wereStarted: () => Promise.resolve([]),
  stop: () => Promise.resolve(),
  start: () => Promise.resolve(),
  restart: () => Promise.resolve(),
  resetFailed: () => Promise.resolve(),
  state: () => Promise.resolve({ active: false, gaveUp: undefined, restarts: 0 }),
};

/**
 * Runs the rehearsal. Returns at once if no vigie-root is on trial by an order, or if a rehearsal has finished.
 * Failures are logged.
 */
export async function rehearse({ places, store, clock }: Box, say: (line: string) => void): Promise<void> {
  const { phase, order, phaseStartedAt: phaseStart, trial } = store.state.root;
  if (phase !== 'probation' || trial?.returning !== null || order === null) return;
  const dir = rehearsalDir(places);
  if (existsSync(join(dir, 'lib/current')) || !existsSync(rootOrderFile(places))) return;
  const tell = (line: string): void => say(`rehearsal: ${line}`);
  await attemptLater(tell, async () => {
    const rehearsalPlaces = prepared(places, dir);
    // Uses the time of the switch: the window may be closed by now, and the order may have ended.
    const sinceMs = Date.parse(phaseStart);
    const isOpen =
      gateOf({ order, paused: false }, { nowMs: sinceMs, isSynced: true, doubt: undefined }) === undefined;
    const wallMs = (): number => (isOpen ? sinceMs : sinceMs - SWITCH_MS);
    const box = openBox(rehearsalPlaces, tell, WORK_WITHIN_MS, {
      units: NOTHING_RUNS,
      clock: { ...clock, wallMs, synced: () => true },
    });
    await box.machine.advance('root', () => undefined);
  });
}

/** Returns the places of a box without any change; configuration and settings are those of the real box. */
function prepared(places: BoxOptions, dir: string): BoxOptions {
  rmSync(dir, { recursive: true, force: true });
  const [lib, rootLib, state, agentState, run] = ['agent', 'lib', 'state', 'orders', 'run'].map((name) =>
    join(dir, name),
  );
  const rehearsalPlaces = { ...places, lib, rootLib, state, agentState, run } as BoxOptions;
  for (const folder of [
    join(rehearsalPlaces.lib, 'releases'),
    join(rehearsalPlaces.rootLib, 'releases'),
    rehearsalPlaces.state,
  ])
    mkdirSync(folder, { recursive: true, mode: 0o755 });
  const file = orderFile(rehearsalPlaces, 'root');
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  copyFileSync(rootOrderFile(places), file);
  return rehearsalPlaces;
}

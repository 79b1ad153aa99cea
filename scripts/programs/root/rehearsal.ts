/**
 * What a program of root's on trial does to show that it can be replaced: it carries out the order that has brought it once
 * more, from its signature to the switch, in a folder of its own. The former program looks at what has come of it
 * (root-payload.ts), and rolls back where nothing has.
 *
 * INVARIANT: nothing of the box is touched but that folder: no unit is stopped or started, no link of the box moves.
 * INTERFACE: `lib/current` in the folder leads to the release, as on the box. The former program may be years older.
 */
import { copyFileSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Box, openBox, WORK_WITHIN_MS } from './box.ts';
import { gateOf } from './change/gate.ts';
import { attemptLater } from './change/outcome.ts';
import { type BoxOptions, orderFile, rehearsalDir, rootOrderFile } from './places.ts';
import type { Units } from './units.ts';

/** The longest that the switch may have taken after the gate was looked at. */
const SWITCH_MS = 120_000;

const NOTHING_RUNS: Units = {
  wereStarted: () => Promise.resolve([]),
  stop: () => Promise.resolve(),
  start: () => Promise.resolve(),
  restart: () => Promise.resolve(),
  resetFailed: () => Promise.resolve(),
  state: () => Promise.resolve({ active: false, gaveUp: undefined, restarts: 0 }),
};

/** Returns at once where no program of root's is on trial by an order, or where it has come to its end before. What fails is said. */
export async function rehearse({ places, store, clock }: Box, say: (line: string) => void): Promise<void> {
  const { phase, order, since, trial } = store.state.root;
  if (phase !== 'probation' || trial?.returning !== null || order === null) return;
  const dir = rehearsalDir(places);
  if (existsSync(join(dir, 'lib/current')) || !existsSync(rootOrderFile(places))) return;
  const tell = (line: string): void => say(`rehearsal: ${line}`);
  await attemptLater(tell, async () => {
    const there = prepared(places, dir);
    // As at the switch: its window may be over by now, and the order may have ended.
    const sinceMs = Date.parse(since);
    const isOpen = gateOf({ order, paused: false }, sinceMs, undefined) === undefined;
    const wallMs = (): number => (isOpen ? sinceMs : sinceMs - SWITCH_MS);
    const box = openBox(there, tell, WORK_WITHIN_MS, {
      units: NOTHING_RUNS,
      clock: { ...clock, wallMs, synced: () => true },
    });
    await box.machine.advance('root', () => undefined);
  });
}

/** The places of a box on which nothing has ever been changed; the configuration and the settings are the box's. */
function prepared(places: BoxOptions, dir: string): BoxOptions {
  rmSync(dir, { recursive: true, force: true });
  const [lib, rootLib, state, agentState] = ['agent', 'lib', 'state', 'orders'].map((name) =>
    join(dir, name),
  );
  const there = { ...places, lib, rootLib, state, agentState } as BoxOptions;
  for (const folder of [join(there.lib, 'releases'), join(there.rootLib, 'releases'), there.state])
    mkdirSync(folder, { recursive: true, mode: 0o755 });
  const file = orderFile(there, 'root');
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  copyFileSync(rootOrderFile(places), file);
  return there;
}

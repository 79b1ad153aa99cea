/**
 * Builds the parts that vigie-root works with on a box (units, clock, record, payloads, change machine) from its
 * places.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { writeAtomically } from '../../../agent/base/atomic-file.ts';
import { AgentError, messageOf, rethrowBug } from '../../../agent/base/errors.ts';
import { shownSha256, withSecretsOf } from '../../../agent/config/secrets.ts';
import { previousFile } from '../../../agent/contract/config-trial.ts';
import { type ReleaseKind, VERSION_FILE } from '../../../agent/contract/release.ts';
import { machine as machineOf } from './board.ts';
import { ConfigurationPayload, type ConfigurationValidator } from './change/configuration-payload.ts';
import { Machine } from './change/machine.ts';
import { type AgentHealth, agentHealth } from './change/probation.ts';
import { ReleasePayload, type ReleasePayloadOptions, targetOf } from './change/release-payload.ts';
import { RootPayload } from './change/root-payload.ts';
import { Store } from './change/store.ts';
import { type BoxClock, builtMs, clockProblem, systemBoxClock } from './clock.ts';
import { onDisk } from './disk-error.ts';
import { OwnRecord } from './own-record.ts';
import { type BoxOptions, orderedFile, orderFile, type Places, rootOrderFile } from './paths.ts';
import { recordLocked } from './record-lock.ts';
import { ReleaseFolder, sameRelease } from './releases.ts';
import { readOrderReader, readSettings } from './settings.ts';
import { StatusWriter } from './status.ts';
import { systemUnits, type Units } from './units.ts';

/** Parts that a test or a rehearsal replaces. */
export interface BoxParts {
  readonly units?: Units;
  readonly clock?: BoxClock;
  readonly validator?: ConfigurationValidator;
}

export interface Box {
  readonly places: BoxOptions;
  readonly clock: BoxClock;
  readonly releases: Readonly<Record<ReleaseKind, ReleaseFolder>>;
  readonly units: Units;
  readonly store: Store;
  readonly status: StatusWriter;
  readonly machine: Machine;
  readonly payloads: {
    readonly release: ReleasePayload;
    readonly configuration: ConfigurationPayload;
    readonly root: RootPayload;
  };
  health(): Promise<AgentHealth | undefined>;
  readonly own: OwnRecord;
}

/**
 * Opens the box; `withinMs` is how long to wait for the lock of the record.
 *
 * @throws AgentError config: the folder of releases does not exist
 */
export function openBox(
  places: BoxOptions,
  say: (line: string) => void,
  withinMs: number,
  {
    units = systemUnits(places.systemctl),
    clock = systemBoxClock(places),
    validator = rootConfigurationValidator(places),
  }: BoxParts = {},
): Box {
  const { lib, rootLib, state, agentState, config } = places;
  if (!existsSync(lib)) throw new AgentError('config', `--lib: ${lib}: no such folder`);
  const releases = { release: new ReleaseFolder(lib), root: new ReleaseFolder(rootLib) };
  const health = (): Promise<AgentHealth | undefined> => agentHealth(agentState);
  const board = boardOf(places.settings, say);
  const status = new StatusWriter({
    places,
    machine: machineOf(board),
    releases,
    wallMs: () => clock.wallMs(),
    say,
  });
  const store = new Store(state, clock, {
    say,
    onChange: (now) => status.write(now),
    remains: {
      current: (kind) => {
        const current = releases[kind].current();
        return current === null ? null : targetOf(current);
      },
      beforeTrial: (kind) => {
        if (kind === 'configuration') return existsSync(previousFile(config)) ? null : undefined;
        const before = kind === 'root' ? payloads.root.judging() : null;
        return before === null || sameRelease(before, releases[kind].current())
          ? undefined
          : targetOf(before);
      },
    },
  });
  const clockDoubt = (): string | undefined => {
    const madeMs = builtMs(join(lib, 'current', VERSION_FILE));
    return clockProblem(clock, { seenMs: store.state.seenMs, madeMs });
  };
  const own = new OwnRecord({ places, clock, clockDoubt, say });
  const optionsOf = (kind: ReleaseKind): ReleasePayloadOptions => ({
    places,
    releases: releases[kind],
    units,
    clock,
    health,
    own,
    say,
    source: async () => {
      // Loaded only here: the TUF client takes a while to load.
      const { ServerSource } = await import('./release-source.ts');
      return new ServerSource({
        places,
        settings: readSettings(places.settings),
        machine: machineOf(board),
        releases: releases[kind],
        say,
      });
    },
  });
  const release = new ReleasePayload(optionsOf('release'));
  const root = new RootPayload(optionsOf('root'));
  const configuration = new ConfigurationPayload({
    file: config,
    orderedFile: orderedFile(places),
    units,
    healthyS: () => release.times().healthyS,
    health,
    own,
    say,
    validator,
  });
  const payloads = { release, configuration, root };
  const machine = new Machine({
    store,
    payloads,
    clock,
    units,
    say,
    orders: {
      file: (kind) => orderFile(places, kind),
      reader: () => ({
        ...readOrderReader(config, process.env),
        wallMs: () => (clockDoubt() === undefined ? clock.wallMs() : Number.POSITIVE_INFINITY),
      }),
      take: (kind, order, bytes) => {
        if (!('seq' in order))
          return configuration.take(order as Parameters<ConfigurationPayload['take']>[0]);
        // The rehearsal of the new vigie-root carries this order out again (rehearsal.ts).
        if (kind === 'root' && order.what === 'root') {
          const file = rootOrderFile(places);
          onDisk(file, () => writeAtomically(file, bytes));
        }
        return { target: targetOf(order) };
      },
    },
    clockDoubt,
    locked: (action) => recordLocked(places, withinMs, action, say),
    mode: async () => (await health())?.mode,
    isLawful: (before, to) => own.isLawful(before, to),
  });
  return { places, clock, releases, units, store, status, machine, payloads, health, own };
}

/** Makes the folder if it is missing. A failure is only logged; the next write reports the disk's error. */
export function makeFolder(dir: string, say: (line: string) => void): void {
  try {
    mkdirSync(dir, { recursive: true, mode: 0o755 });
  } catch (error) {
    say(`${dir}: ${messageOf(error)}`);
  }
}

function rootConfigurationValidator(places: Places): ConfigurationValidator {
  return {
    filled: withSecretsOf,
    shownSha256,
    problems: async (text, previous, may) => {
      // Loaded only here: the models and rules of a configuration take a while to load.
      const { orderProblems } = await import('./configuration/trial-validator.ts');
      return orderProblems(places, text, previous, may);
    },
  };
}

/**
 * Returns the board that the settings name. Returns undefined, so that the board is detected, if they name none or
 * cannot be read.
 */
function boardOf(settings: string, say: (line: string) => void): ReturnType<typeof readSettings>['board'] {
  try {
    return readSettings(settings).board;
  } catch (error) {
    rethrowBug(error);
    say(error.message);
    return undefined;
  }
}

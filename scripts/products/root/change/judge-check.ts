/**
 * Tests the judge of a new vigie-root on two trial releases, in a separate folder without an agent. It must roll back
 * the release that does not start, and keep the one that starts.
 */
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { releaseName, VERSION_FILE } from '../../../../agent/contract/release.ts';
import { type EndOptions, endOf } from '../child.ts';
import type { BoxClock } from '../clock.ts';
import { type BoxOptions, flagsOf, releaseProgram } from '../paths.ts';
import { type Release, ReleaseFolder, sameRelease } from '../releases.ts';
import { FIRST_CHANGE, FIRST_STATE, FIRST_TRIAL, type State } from './record.ts';

const PREVIOUS: Release = { seq: 1, version: '0.0.1' };
const TARGET: Release = { seq: 2, version: '0.0.2' };

export interface JudgeCheckOptions extends EndOptions {
  readonly clock: Pick<BoxClock, 'boottimeS' | 'bootId' | 'sleep'>;
}

/**
 * Returns undefined if the judge passes, else what it did wrong. `dir` is created for the test and removed afterwards.
 */
export async function judgeProblem(
  program: string,
  places: BoxOptions,
  dir: string,
  options: JudgeCheckOptions,
): Promise<string | undefined> {
  const cases = [
    {
      code: 'process.exit(1);\n',
      stays: PREVIOUS,
      problem: 'a release that does not start is not rolled back',
    },
    { code: '', stays: TARGET, problem: 'a release that starts does not stay' },
  ];
  try {
    for (const { code, stays, problem } of cases) {
      const trialPlaces = trialIn(dir, places, code, options.clock);
      const runProblem = await endOf([program, 'judge', ...flagsOf(trialPlaces)], options);
      if (runProblem !== undefined) return runProblem;
      if (!sameRelease(new ReleaseFolder(trialPlaces.lib).current(), stays)) return problem;
    }
    return undefined;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Prepares a box with a release on trial whose program is `code`. */
function trialIn(
  dir: string,
  places: BoxOptions,
  code: string,
  clock: JudgeCheckOptions['clock'],
): BoxOptions {
  rmSync(dir, { recursive: true, force: true });
  const [lib, state] = [join(dir, 'lib'), join(dir, 'state')];
  const options: BoxOptions = {
    ...places,
    lib,
    state,
    rootLib: join(dir, 'root'),
    agentState: join(dir, 'agent'),
    config: join(dir, 'vigie.yaml'),
    run: join(dir, 'run'),
    systemctl: 'true',
  };
  mkdirSync(state, { recursive: true, mode: 0o755 });
  for (const { seq, version } of [PREVIOUS, TARGET]) {
    const release = join(lib, 'releases', releaseName(seq, version));
    mkdirSync(release, { recursive: true, mode: 0o755 });
    writeFileSync(join(release, VERSION_FILE), '{}\n');
  }
  symlinkSync(join('releases', releaseName(TARGET.seq, TARGET.version)), join(lib, 'current'));
  mkdirSync(dirname(releaseProgram(options)), { recursive: true, mode: 0o755 });
  writeFileSync(releaseProgram(options), code);
  const record: State = {
    ...FIRST_STATE,
    boot: clock.bootId(),
    release: {
      ...FIRST_CHANGE,
      phase: 'probation',
      boot: clock.bootId(),
      target: { number: TARGET.seq, name: TARGET.version },
      trial: {
        ...FIRST_TRIAL,
        from: { number: PREVIOUS.seq, name: PREVIOUS.version },
        beganS: clock.boottimeS(),
      },
    },
  };
  writeFileSync(join(state, 'state.json'), JSON.stringify(record));
  return options;
}

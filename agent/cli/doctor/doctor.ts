/** `vigie doctor`: tries everything the box depends on; one line each, with a fix under each failure. */
import { systemClock } from '../../base/clock.ts';
import { type LogLevel, makeLogger } from '../../base/log.ts';
import { inspectConfig, loadConfig } from '../../config/load.ts';
import type { Config } from '../../contract/config.ts';
import { probeBroker } from '../../mqtt/probe.ts';
import { permitReplay } from '../../restraint/permit.ts';
import { visionSettings } from '../../supervisor/vision-settings.ts';
import { print } from '../print.ts';
import { stateDir } from '../state-dir.ts';
import { benchmark, benchmarkText } from './benchmark.ts';
import { type Finding, failed, findingText, ok, unknown } from './finding.ts';
import { clockFinding, diskFinding, fileFindings, stateFinding } from './machine.ts';
import { type MayLook, mayLook } from './restraint.ts';
import { visionFindings } from './vision.ts';
import { tryVision } from './vision-trial.ts';

export interface DoctorOptions {
  readonly config: string;
  readonly state?: string;
  /** How long to watch the camera. */
  readonly seconds: number;
  readonly json?: boolean;
  readonly benchmark?: boolean;
}

/** A broker on the other side of a mobile link answers within a second; ten is no answer. */
const BROKER_TIMEOUT_MS = 10_000;

/** Returns the exit code: 1 when something failed. Throws ConfigProblems where there is nothing to start from. */
export async function doctor(options: DoctorOptions): Promise<number> {
  const { config: file, seconds, json } = options;
  const state = stateDir(options.state, process.env);
  const config = loadConfig(file, { env: process.env, mode: 'check', files: false });
  if (options.benchmark) {
    if (!json && process.stderr.isTTY)
      process.stderr.write(`timing this board for ${seconds} s and more …\r`);
    const result = await benchmark(config, seconds);
    process.stdout.write(`${json ? JSON.stringify(result, null, 2) : benchmarkText(result)}\n`);
    return 0;
  }
  const { problems } = inspectConfig(file, { env: process.env, mode: 'check' });
  if (!json && process.stderr.isTTY) process.stderr.write(`watching the camera for ${seconds} s …\r`);
  const may = config.camera === undefined ? { permit: undefined, findings: [] } : mayLook(config, state);
  // The camera takes the longest: the others are asked meanwhile.
  const [vision, clock, broker] = await Promise.all([
    tryOut(config, may, seconds),
    clockFinding(),
    tryBroker(config),
  ]);
  const findings = [
    ok('config', `${file}: ${config.rules.length} rules`),
    ...fileFindings(config, problems),
    stateFinding(state),
    diskFinding(state, config),
    clock,
    broker,
    ...may.findings,
    ...vision,
  ];
  const failures = findings.filter((finding) => finding.state === 'failed').length;
  if (json) process.stdout.write(`${JSON.stringify({ ok: failures === 0, findings }, null, 2)}\n`);
  else print(...findings.flatMap((finding) => findingText(finding).split('\n')));
  return failures === 0 ? 0 : 1;
}

/** Without a camera, or the right to look at it, a test picture still shows that detector and decoder work. */
async function tryOut(whole: Config, may: MayLook, seconds: number): Promise<Finding[]> {
  const { camera: own, ...rest } = whole;
  const config: Config = may.permit === undefined ? rest : whole;
  const permit = may.permit ?? permitReplay(config);
  const camera = config.camera ?? { source: 'test:pattern', fps: 5 };
  // What goes wrong is told as a finding; the trial's own log would only stand between.
  process.env['VIGIE_LOG'] ??= 'silent';
  const trial = await tryVision({
    permit,
    settings: visionSettings(config, permit, { mode: 'live', camera }),
    clock: systemClock,
    log: makeLogger('doctor', process.env['VIGIE_LOG'] as LogLevel),
    watchMs: seconds * 1000,
  });
  const findings = visionFindings(config, trial);
  if (own === undefined || may.permit !== undefined) return findings;
  const untried = unknown('camera', 'not looked at: the box may not look; a test picture was used');
  return findings.map((finding) => (finding.name === 'camera' ? untried : finding));
}

async function tryBroker(config: Config): Promise<Finding> {
  if (config.mqtt === undefined) return unknown('broker', 'none in the configuration');
  const probe = await probeBroker(config.mqtt, config, BROKER_TIMEOUT_MS);
  return probe.ok ? ok('broker', probe.detail) : failed('broker', probe.reason, probe.fix);
}

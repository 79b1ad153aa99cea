/** `vigie doctor`: tests everything that the box depends on, one line each, with a fix under each failure. */
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { systemClock } from '../../base/clock.ts';
import { AgentError } from '../../base/errors.ts';
import { type LogLevel, makeLogger } from '../../base/log.ts';
import { modelsDir } from '../../base/package-root.ts';
import { StateLock } from '../../base/state-lock.ts';
import { onlySizeOf } from '../../config/files.ts';
import { inspectConfig, loadConfig } from '../../config/load.ts';
import type { Config } from '../../contract/config.ts';
import { DETECTOR_BACKENDS, wantedElement } from '../../contract/detector-backend.ts';
import { type Finding, failed, findingText, OF_THE_AGENT, ok, unknown } from '../../contract/finding.ts';
import type { LocalStatus } from '../../contract/local-status.ts';
import type { ViewReport } from '../../contract/view-report.ts';
import { statusFindings } from '../../local/findings.ts';
import { probeBroker } from '../../mqtt/probe.ts';
import { permitReplay } from '../../restraint/permit.ts';
import { meanInferenceMs } from '../../supervisor/inference-time.ts';
import { visionSettings } from '../../supervisor/vision-settings.ts';
import { againAsOwner } from '../as-owner.ts';
import { coverageReport, unnamedSubstream } from '../coverage.ts';
import { recordFor } from '../local-mode.ts';
import { print, printJson } from '../print.ts';
import { stateDir } from '../state-dir.ts';
import { localStatus } from '../status/local.ts';
import { releaseFindings } from '../status/release.ts';
import {
  acceleratorFindings,
  deviceGroups,
  elementsOf,
  type FoundAccelerator,
  findAccelerators,
  isReady,
} from './accelerators.ts';
import { adviceOf } from './advice.ts';
import { benchmark, benchmarkText } from './benchmark.ts';
import { hefCardProblem, modelMetrics } from './installed-models.ts';
import { clockFinding, diskFinding, fileFindings, stateFinding } from './machine.ts';
import { type CameraAccess, decideAccess } from './restraint.ts';
import { visionFindings } from './vision.ts';
import { tryVision } from './vision-trial.ts';

export interface DoctorOptions {
  readonly config: string;
  readonly state: string | undefined;
  /** Time to watch the camera, in s. */
  readonly seconds: number;
  readonly json: boolean | undefined;
  readonly benchmark: boolean | undefined;
  /** Recording for comparing accelerator and CPU, with `benchmark`. */
  readonly clip: string | undefined;
}

/** Time limit for the broker in ms. One on the other side of a mobile link answers within a second. */
const BROKER_TIMEOUT_MS = 10_000;

/**
 * Runs all checks and returns the exit code: 1 if any failed.
 * @throws ConfigProblems if the configuration is unusable
 */
export async function doctor(options: DoctorOptions): Promise<number> {
  const { config: file, seconds, json, clip } = options;
  if (clip !== undefined && !options.benchmark) {
    throw new AgentError(
      'config',
      `--clip ${clip}: is for --benchmark, which compares accelerator and CPU on it`,
    );
  }
  const state = stateDir(options.state, process.env);
  // Files that it writes there, such as the record of its camera access, must belong to the agent. Cameras, decoders
  // and accelerators need the same groups as vision.
  const code = againAsOwner(state, deviceGroups());
  if (code !== undefined) return code;
  const config = loadConfig(file, { env: process.env, mode: 'check', files: false });
  if (options.benchmark) {
    if (!json && process.stderr.isTTY)
      process.stderr.write(`timing this board for ${seconds} s and more …\r`);
    const result = await benchmark(config, seconds, clip);
    if (json) printJson(result);
    else print(...benchmarkText(result).split('\n'));
    return 0;
  }
  if (!json && process.stderr.isTTY) process.stderr.write(`watching the camera for ${seconds} s …\r`);
  const accelerators = findAccelerators();
  const element = wantedElement(config.detector);
  const agent = existsSync(state) && StateLock.isHeld(state) ? await localStatus(state) : undefined;
  // The camera takes the longest, so the other checks run in parallel.
  const [vision, machineFindings, broker, elements] = await Promise.all([
    inspectVision(config, state, seconds, agent),
    checksOfMachine(file, config, state),
    agent === undefined ? tryBroker(config) : ofAgent(agent, ['broker']),
    elementsOf(accelerators),
  ]);
  const findings = [
    ...machineFindings,
    ...[broker].flat(),
    ...vision.findings,
    ...acceleratorFindings(accelerators, elements, element?.name, hefCardProblem(modelsDir(), element)),
    adviceFinding(config, vision, accelerators, elements),
  ];
  const failures = findings.filter((finding) => finding.state === 'failed').length;
  if (json) printJson({ ok: failures === 0, findings });
  else print(...findings.flatMap((finding) => findingText(finding).split('\n')));
  return failures === 0 ? 0 : 1;
}

/**
 * Returns the checks for a running agent, which knows the rest.
 * @throws ConfigProblems as `doctor`
 */
export async function checksBesideAgent(file: string, state: string): Promise<readonly Finding[]> {
  const config = loadConfig(file, { env: process.env, mode: 'check', files: false });
  return checksOfMachine(file, config, state);
}

/** Returns the checks that need neither camera nor broker. */
async function checksOfMachine(file: string, config: Config, state: string): Promise<Finding[]> {
  const { problems } = inspectConfig(file, { env: process.env, mode: 'check' });
  return [
    ok('config', `${file}: ${config.rules.length} rules`),
    ...fileFindings(config, problems),
    stateFinding(state),
    diskFinding(state, config),
    await clockFinding(),
    ...releaseFindings(process.env),
  ];
}

/** Findings about camera and detector. */
interface VisionInspection {
  readonly findings: Finding[];
  /** Undefined if no camera was observed. */
  readonly view: ViewReport | undefined;
  /** Time of one detector run and the device on which it ran; null if unknown. */
  readonly inferenceMs: number | null;
  readonly untimed: string;
  readonly on: string | null;
}

/** Returns the findings of a running agent about camera and detector, or else those of a trial, if permitted. */
async function inspectVision(
  config: Config,
  dir: string,
  seconds: number,
  agent: LocalStatus | undefined,
): Promise<VisionInspection> {
  if (config.camera === undefined) return tryOut(config, undefined, seconds);
  if (agent !== undefined) {
    const findings = ofAgent(
      agent,
      OF_THE_AGENT.filter((name) => name !== 'broker'),
    );
    const on = agent.report.detector?.provider ?? null;
    const untimed = 'the agent runs; `vigie doctor --benchmark` with the agent stopped times this board';
    return { findings, view: agent.view, inferenceMs: null, untimed, on };
  }
  const { access, findings } = decideAccess(config, dir, recordFor(dir));
  const trial = await tryOut(config, access, seconds);
  const hasCameraFinding = findings.some(({ name }) => name === 'camera');
  return {
    ...trial,
    findings: [...findings, ...trial.findings.filter(({ name }) => !hasCameraFinding || name !== 'camera')],
  };
}

/** Returns nothing if the authorisation cannot be read; its own line reports that. */
function substreamAdvice(config: Config): string[] {
  if (config.camera?.substream === undefined) return [];
  const { content } = coverageReport(config);
  const unnamed = content === undefined ? undefined : unnamedSubstream(config, content);
  return unnamed === undefined ? [] : [unnamed];
}

function ofAgent(status: LocalStatus, names: readonly string[]): Finding[] {
  return statusFindings(status).filter(({ name }) => names.includes(name));
}

/**
 * Tests detector and decoder with the camera. Without a camera, or without the permission to access it, a test picture
 * is used.
 */
async function tryOut(
  fullConfig: Config,
  access: CameraAccess | undefined,
  seconds: number,
): Promise<VisionInspection> {
  const { camera: own, ...rest } = fullConfig;
  const config: Config = access === undefined ? rest : fullConfig;
  const permit = access?.permit ?? permitReplay(config);
  const camera = config.camera ?? { source: 'test:pattern', fps: 5 };
  // Errors are reported as findings; the trial's own log would only mix with them.
  process.env['VIGIE_LOG'] ??= 'silent';
  let framesRead = 0;
  try {
    const trial = await tryVision({
      permit,
      settings: visionSettings(config, permit, { modelDir: modelsDir(), mode: 'live', camera }),
      restraintDir: access?.restraintDir,
      clock: systemClock,
      log: makeLogger('doctor', process.env['VIGIE_LOG'] as LogLevel),
      watchMs: seconds * 1000,
    });
    framesRead = trial.stats?.framesRead ?? trial.frames;
    const findings = visionFindings(config, trial);
    const { view, detector } = trial;
    const untimed =
      detector === undefined ? 'the detector did not start, its line says why' : 'no frame was analysed';
    const inspection = {
      findings,
      view,
      inferenceMs: meanInferenceMs(trial.stats),
      untimed,
      on: detector?.provider ?? null,
    };
    if (own === undefined || access !== undefined) return inspection;
    const untried = unknown('camera', 'not opened: the analysis is not permitted; a test picture was used');
    return {
      ...inspection,
      findings: findings.map((finding) => (finding.name === 'camera' ? untried : finding)),
    };
  } finally {
    access?.end(framesRead);
  }
}

/** Reports the configuration of the box and recommended changes. */
function adviceFinding(
  config: Config,
  { view, inferenceMs, untimed, on }: VisionInspection,
  accelerators: readonly FoundAccelerator[],
  elements: ReadonlySet<string>,
): Finding {
  const { camera, detector } = config;
  const { backend, model, input, element } = detector;
  const ready = accelerators.filter((one) => isReady(one, elements));
  const modelDir = modelsDir();
  const unready = accelerators.filter((one) => !ready.includes(one) && one.preset.obstacle === undefined);
  const lines = adviceOf({
    cores: availableParallelism(),
    input,
    inferenceMs,
    untimed,
    on,
    view,
    model: element !== undefined && on === element.name ? element.model : model,
    fps: camera?.fps ?? null,
    ready: ready.map(({ preset }) => preset.name),
    unready: unready.map(({ preset }) => preset.name),
    takesOneSize: DETECTOR_BACKENDS[backend].usesElement || onlySizeOf(modelDir, model) !== undefined,
    metrics: modelMetrics(modelDir),
  });
  return ok('advice', [...lines, ...substreamAdvice(config)].join('; '));
}

/** Connects as the box, which would replace a running agent's connection. */
async function tryBroker(config: Config): Promise<Finding> {
  if (config.mqtt === undefined) return unknown('broker', 'none in the configuration');
  const probe = await probeBroker(config.mqtt, config, BROKER_TIMEOUT_MS);
  return probe.ok ? ok('broker', probe.detail) : failed('broker', probe.reason, probe.fix);
}

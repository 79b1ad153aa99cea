/** `vigie check`: reports every error of a configuration together, or the resulting behaviour of the box. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf, rethrowBug } from '../base/errors.ts';
import { findLibrary } from '../base/library-file.ts';
import { withoutSecret } from '../base/log.ts';
import {
  type ConfigOptions,
  type Inspection,
  inspectBytes,
  inspectConfig,
  type Problem,
  problemText,
} from '../config/load.ts';
import type { Config, GroundPlaneConfig } from '../contract/config.ts';
import { LIBRARY_BACKEND, wantedElement } from '../contract/detector-backend.ts';
import { type Finding, unknown } from '../contract/finding.ts';
import { LOCAL_SOCKET } from '../contract/local-status.ts';
import { LIBRARY_FOLDERS } from '../contract/onnxruntime-library.ts';
import type { RuleConfig, ScheduleSpan } from '../contract/rule-config.ts';
import { FINDING_TEXTS } from '../local/finding-texts.ts';
import { viewFindings } from '../local/view-advice.ts';
import { authorisedAddress, newSalt } from '../orders/camera-pin.ts';
import { type CoverageReport, coverageLines, coverageReport, whyNothingRuns } from './coverage.ts';
import { print, printJson, printNote } from './print.ts';
import { stateDir } from './state-dir.ts';
import { localStatus } from './status/local.ts';

export interface CheckOptions {
  readonly files: boolean;
  /** State folder of the agent on this machine, if one runs. */
  readonly state: string | undefined;
  readonly strict: boolean | undefined;
  readonly json: boolean | undefined;
}

/** Result for one configuration. */
interface CheckResult extends Inspection {
  readonly file: string;
  /** Undefined if files are not checked, or if the configuration is not for `vigie run`. */
  readonly coverage: CoverageReport | undefined;
  /** Reason why a box with this configuration would run no rule; undefined if rules may run, or none should. */
  readonly idle: string | undefined;
  /** Observations of the agent on this machine, with their consequences for this configuration. */
  readonly view: readonly Finding[];
}

/** Checks a configuration and returns the exit code. */
export async function check(file: string, options: CheckOptions): Promise<number> {
  const { files, strict, json } = options;
  const configOptions: ConfigOptions = { env: process.env, mode: 'check', files };
  const inspection =
    file === '-' ? inspectBytes(readFileSync(0), configOptions) : inspectConfig(file, configOptions);
  const { config } = inspection;
  const forRun = config !== undefined && missingForRun(config).length === 0;
  const coverage = forRun && files ? coverageReport(config) : undefined;
  const idle = forRun ? whyNothingRuns(config, coverage) : undefined;
  const view = files && config !== undefined ? await seenView(config, options) : [];
  const result: CheckResult = { ...inspection, file, coverage, idle, view };
  if (json) printJson(asJson(result));
  else tell(result);
  if (config === undefined) return 2;
  if (idle !== undefined) return 1;
  const warnings = inspection.warnings.length + (coverage?.warnings.length ?? 0);
  const warned = warnings + unrunRules(coverage) > 0;
  return strict && warned ? 1 : 0;
}

/** Returns nothing if no agent runs, as on the computer where the configuration is written. */
async function seenView({ detector, camera }: Config, { state }: CheckOptions): Promise<Finding[]> {
  const dir = stateDir(state, process.env);
  if (!existsSync(join(dir, LOCAL_SOCKET))) return [];
  const settings = { input: detector.input, fps: camera?.fps ?? null };
  try {
    return viewFindings((await localStatus(dir)).view, FINDING_TEXTS.en, settings);
  } catch (error) {
    rethrowBug(error);
    return [unknown('view', `the statistics of the local agent are unavailable: ${error.message}`)];
  }
}

function tell({ file, config, problems, warnings, coverage, idle, view }: CheckResult): void {
  if (config === undefined) {
    printNote(...problems.map((problem) => problemText(file, problem)));
    const validationErrors = problems.length === 1 ? '1 error' : `${problems.length} errors`;
    printNote(`${file}: ${validationErrors}; the configuration is refused`);
    return;
  }
  const { zones, lines, masks, rules } = config;
  const counts = [
    counted(zones, 'zone'),
    counted(lines, 'line'),
    counted(masks, 'mask'),
    counted(rules, 'rule'),
  ];
  const unrun = unrunRules(coverage);
  const partly =
    unrun === 0
      ? 'ok'
      : `ok, but ${unrun} of ${rules.length} ${rules.length === 1 ? 'rule' : 'rules'} will not run`;
  const verdict = idle === undefined ? partly : 'valid, but nothing would run';
  const out = [
    `${file}: ${verdict}: ${counts.join(', ')}`,
    ...summary(config),
    ...(idle === undefined ? [] : [`  ${'runs'.padEnd(9)} NOTHING: ${idle}`]),
    ...(coverage === undefined ? [] : coverageLines(coverage)),
    ...warnings.map((warning) => `warning: ${problemText(file, warning)}`),
    ...(coverage?.warnings ?? []).map((warning) => `warning: ${file} ${warning}`),
    ...view.map(({ detail, fix }) => `view: ${detail}${fix === undefined ? '' : `; advice: ${fix}`}`),
    // The last line is the one that is read. If there is no problem, the first line already says so.
    ...(verdict === 'ok' ? [] : [`${file}: ${verdict}`]),
  ];
  print(...out);
}

/** Returns the number of rules that the authorisation does not cover. */
function unrunRules(coverage: CoverageReport | undefined): number {
  return coverage?.rules.filter(({ state }) => state === 'not covered').length ?? 0;
}

function counted(list: readonly unknown[], name: string): string {
  return `${list.length} ${name}${list.length === 1 ? '' : 's'}`;
}

/** Returns the parts missing for `vigie run`. */
function missingForRun({ camera, mqtt }: Config): string[] {
  return [...(camera === undefined ? ['camera'] : []), ...(mqtt === undefined ? ['mqtt'] : [])];
}

function summary(config: Config): string[] {
  const { site, box, camera, detector, groundPlane, alertsPerHour, masks, rules, mqtt, retention, commands } =
    config;
  const missing = missingForRun(config);
  const element = wantedElement(detector);
  // Both streams as one authorisation may name them.
  const salt = newSalt();
  const lines = [
    ['box', `${box} at ${site}`],
    [
      'use',
      missing.length === 0
        ? '`vigie run` and `vigie replay`'
        : `\`vigie replay\` only: no ${missing.join(', no ')}`,
    ],
    ...(camera === undefined
      ? []
      : [['camera', `${authorisedAddress(camera.source, salt)}, ${camera.fps} frames per second analysed`]]),
    ...(camera?.substream === undefined
      ? []
      : [['', `${authorisedAddress(camera.substream, salt)}, which only wakes the box on a quiet street`]]),
    [
      'detector',
      `${detector.model}, input ${detector.input.join('×')}, on ${detector.providers.join(', else ')}`,
    ],
    ...(detector.backend === LIBRARY_BACKEND ? [['runtime', libraryText()]] : []),
    ...(element === undefined
      ? []
      : [['element', `${element.model} on ${element.name}; the line above while it cannot`]]),
    ...(groundPlane === undefined ? [] : [['ground', groundText(groundPlane)]]),
    ...rules.map((rule, index) => [index === 0 ? 'rules' : '', ruleText(rule)]),
    ['alerts', `${alertsPerHour} an hour of each rule at most`],
    ...masks.map(({ id }, index) => [
      index === 0 ? 'masks' : '',
      `${id}: black before detection, snapshot and sealing`,
    ]),
    ...(mqtt === undefined
      ? []
      : [['mqtt', `${withoutSecret(mqtt.url)}, delivered when the ${mqtt.ack} has acknowledged`]]),
    [
      'keeps',
      `events ${retention.eventsDays} days, snapshots ${retention.snapshotsDays}, sealed evidence ${retention.sealedDays}; outbox at most ${retention.outboxMiB} MiB, archive ${retention.archiveMiB}, log of tracks (if an authorisation allows one) ${retention.tracksMiB}`,
    ],
    [
      'obeys',
      commands.keys.map(({ name, may }) => `${name} (${may.join(', ')})`).join('; ') ||
        'no commands: no key is given',
    ],
  ];
  return lines.map(([name = '', text = '']) => `  ${name.padEnd(9)} ${text}`);
}

function groundText({ hfovDeg }: GroundPlaneConfig): string {
  const sizes = 'sizes of people and vehicles are known';
  return hfovDeg === undefined ? sizes : `${sizes}, crowds are reported in people per m² (lens ${hfovDeg}°)`;
}

/** Returns `cars-on-forecourt: vehicle-in-pedestrian-zone, zone forecourt, afterS 2 (pedestrian-safety)`. */
function ruleText(rule: RuleConfig): string {
  const { id, kind, purpose, ...parameters } = rule;
  const parts = Object.entries(parameters).map(([name, value]) => `${name} ${parameterText(value)}`);
  return `${id}: ${[kind, ...parts].join(', ')} (${purpose})`;
}

function parameterText(value: unknown): string {
  return Array.isArray(value) ? value.map(itemText).join('/') : String(value);
}

/** Formats a label, or a span of a schedule: `mon,tue 07:00–12:00`. */
function itemText(item: string | ScheduleSpan): string {
  return typeof item === 'string' ? item : `${item.days.join(',')} ${item.from}–${item.to}`;
}

function asJson({ file, config, problems, warnings, coverage, idle, view }: CheckResult): object {
  const addTexts = (list: readonly Problem[]): object[] =>
    list.map((problem) => ({ ...problem, text: problemText(file, problem) }));
  const missing = config === undefined ? undefined : missingForRun(config);
  const use = missing === undefined ? [] : missing.length === 0 ? ['run', 'replay'] : ['replay'];
  const authorisation = coverage && {
    holds: coverage.problem === undefined,
    fault: coverage.problem ?? null,
    order: coverage.content?.order ?? null,
    validUntil: coverage.content?.notAfter ?? null,
    rules: coverage.rules,
    warnings: coverage.warnings,
  };
  return {
    file,
    ok: config !== undefined,
    use,
    runsNothing: idle ?? null,
    problems: addTexts(problems),
    warnings: addTexts(warnings),
    ...(authorisation !== undefined && { authorisation }),
    ...(view.length > 0 && { view }),
  };
}

/** Returns the installed ONNX Runtime of this machine, or why there is none. */
function libraryText(): string {
  try {
    return `ONNX Runtime ${findLibrary(LIBRARY_FOLDERS)}; \`vigie doctor\` shows its version and providers`;
  } catch (error) {
    return `the CPU on this machine: ${messageOf(error)}`;
  }
}

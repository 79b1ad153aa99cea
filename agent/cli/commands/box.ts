/** Defines the commands for the box and the technician on site. */
import { Argument, type Command, Option } from '@commander-js/extra-typings';
import { LOG_LEVELS } from '../../base/log-level.ts';
import { CONFIG_SOCKET } from '../../contract/config-trial.ts';
import { DEFAULT_PAGE_SOCKET, DEFAULT_PAGE_STATE_DIR, DEFAULT_SETUP_CODE } from '../page-places.ts';
import {
  command,
  configOption,
  DEFAULT_CONFIG,
  integerUpTo,
  positiveNumber,
  rateOrLive,
  stateOption,
} from './options.ts';

export function addBoxCommands(program: Command): void {
  addRun(program);
  addReplay(program);
  addCheck(program);
  addDoctor(program);
  addStatus(program);
  addAccuracy(program);
  addCamera(program);
  addPage(program);
}

function addRun(program: Command): void {
  command(program, 'run', 'watch the camera and publish events, until SIGTERM', [
    ['vigie run', `with ${DEFAULT_CONFIG}`],
    [
      'vigie run --config ./vigie.yaml --state ./state --log debug',
      'by hand, with everything in this folder',
    ],
  ])
    .addOption(configOption().default(DEFAULT_CONFIG))
    .addOption(stateOption())
    .addOption(
      new Option('--log <level>', 'lowest level to log on standard error')
        .choices(LOG_LEVELS)
        .env('VIGIE_LOG')
        .default('info'),
    )
    .action(async ({ config, state, log }) => {
      const { run } = await import('../run.ts');
      await run({ config, state, log });
    });
}

function addReplay(program: Command): void {
  command(program, 'replay', 'run the complete pipeline over a recorded clip, on the clock of the clip', [
    ['vigie replay street.mp4 --config vigie.yaml --out result', 'every frame, as fast as possible'],
    ['vigie replay street.mp4 --config vigie.yaml --out result --fps 5', 'at one rate'],
    ['vigie replay street.mp4 --config vigie.yaml --out result --fps live', 'at the rates of a box'],
  ])
    .argument('<clip>', 'recorded video')
    .addOption(configOption().makeOptionMandatory())
    .requiredOption(
      '--out <dir>',
      'folder for events.jsonl, tracks.txt, detections.txt, snapshots and summary.json',
    )
    .option(
      '--fps <n>',
      'analyse n frames per second of the clip instead of all; live: as the street asks',
      rateOrLive(120),
    )
    .option('--every-frame', 'run the detector on every frame, even without motion')
    .action(async (clip, { config, out, fps, everyFrame }) => {
      const { replay } = await import('../replay.ts');
      await replay(clip, { config, out, fps, everyFrame, wrapper: [] });
    });
}

function addCheck(program: Command): void {
  const meaning =
    'list every error of a configuration, or what the box will do with it; exit 1 if no rule would run';
  command(program, 'check', meaning, [
    [`vigie check ${DEFAULT_CONFIG}`, 'on the box: checks certificates and authorisation too'],
    ['vigie check --no-files --strict boxes/canebiere-017.yaml', 'elsewhere, for example before a rollout'],
    ['vigie check --json vigie.yaml | jq .problems', 'for programs'],
    ['vigie check --no-files - <vigie.yaml', 'from standard input'],
  ])
    .addArgument(new Argument('<file>', 'configuration, YAML or JSON; -: standard input'))
    .option('--no-files', 'do not check certificates and authorisation: they are on another machine')
    .addOption(stateOption())
    .option('--strict', 'also exit 1 if there are warnings, or rules that the authorisation does not cover')
    .option('--json', 'print one JSON object')
    .action(async (file, { files, state, strict, json }) => {
      const { check } = await import('../check.ts');
      process.exitCode = await check(file, { files, state, strict, json });
    });
}

function addDoctor(program: Command): void {
  command(program, 'doctor', 'test everything the box depends on, and explain how to fix each problem', [
    ['vigie doctor', `with ${DEFAULT_CONFIG}`],
    ['sudo vigie doctor', 'on a box: as the agent’s user, which may read its keys'],
    ['vigie doctor --config vigie.yaml --state ./state --json', 'for programs'],
    ['sudo vigie doctor --benchmark --seconds 300', 'performance of this board, as a table to send back'],
    [
      'sudo vigie doctor --benchmark --clip /var/tmp/street.mp4',
      'also compares the detections of accelerator and CPU in a recording',
    ],
  ])
    .addOption(configOption().default(DEFAULT_CONFIG))
    .addOption(stateOption())
    .option('--seconds <n>', 'how long to watch the camera, or to time the board', positiveNumber(600), 5)
    .option(
      '--benchmark',
      'time decoder, detector and complete frames on a test picture; stop the agent first',
    )
    .option('--clip <file>', 'with --benchmark: a recording of a street to compare accelerator and CPU on')
    .option('--json', 'print one JSON object')
    .action(async ({ config, state, seconds, json, benchmark, clip }) => {
      const { doctor } = await import('../doctor/doctor.ts');
      process.exitCode = await doctor({ config, state, seconds, json, benchmark, clip });
    });
}

function addStatus(program: Command): void {
  const meaning =
    'how the running box is, on one screen; exit 1 when something needs a person, 2 when none runs';
  command(program, 'status', meaning, [
    ['sudo -u vigie vigie status', 'on site, also on a phone'],
    ['vigie status --state ./state --json | jq .report.outbox', 'for programs'],
  ])
    .addOption(stateOption())
    .option('--json', 'print one JSON object')
    .action(async ({ state, json }) => {
      const { status } = await import('../status/status.ts');
      process.exitCode = await status({ state, json });
    });
}

function addAccuracy(program: Command): void {
  command(
    program,
    'accuracy',
    'how right the box was: precision by the room’s verdicts, recall by walk tests',
    [
      ['sudo -u vigie vigie accuracy', 'a table with confidence intervals'],
      ['vigie accuracy --state ./state --json', 'for programs'],
    ],
  )
    .addOption(stateOption())
    .option('--json', 'print one JSON object')
    .action(async ({ state, json }) => {
      const { accuracy } = await import('../accuracy.ts');
      accuracy({ state, json });
    });
}

function addCamera(program: Command): void {
  const meaning = 'the camera’s view: confirm a new one after the camera has moved';
  const example = ['sudo -u vigie vigie camera confirm', 'shows where both views lie, and asks'] as const;
  const camera = command(program, 'camera', meaning, [example]);
  command(camera, 'confirm', 'the zones hold in the view that the camera has now: let the rules go on', [
    example,
    ['sudo -u vigie vigie camera confirm --yes', 'after checking both pictures'],
  ])
    .addOption(stateOption())
    .option('--yes', 'do not ask')
    .action(async ({ state, yes }) => {
      const { cameraConfirm } = await import('../camera.ts');
      process.exitCode = await cameraConfirm({ state, yes });
    });
}

function addPage(program: Command): void {
  command(program, 'page', 'the technician’s page: HTTPS for a phone beside the box, until SIGTERM', [
    ['sudo -u vigie-page vigie page', 'as vigie-page.service does, where a setup code was put in place'],
    [
      'vigie page --agent state/page.sock --state page --setup-code setup-code.json --port 8443',
      'by hand, beside `vigie run --state ./state`',
    ],
  ])
    .addOption(
      new Option('--agent <socket>', 'the agent’s socket for the page')
        .env('VIGIE_PAGE_SOCKET')
        .default(DEFAULT_PAGE_SOCKET),
    )
    .addOption(
      new Option('--config-helper <socket>', 'socket of root’s helper for configurations')
        .env('VIGIE_CONFIG_SOCKET')
        .default(CONFIG_SOCKET),
    )
    .option('--state <dir>', `the page’s own folder (default: systemd’s, else ${DEFAULT_PAGE_STATE_DIR})`)
    .addOption(
      new Option('--setup-code <file>', 'hash of the label’s code; page.key and page.crt may lie beside it')
        .env('VIGIE_PAGE_SETUP_CODE')
        .default(DEFAULT_SETUP_CODE),
    )
    .option('--app <dir>', 'the built app (default: the package’s own)')
    .option('--host <address>', 'where it listens; :: is every address', '::')
    .option(
      '--port <n>',
      'port; where systemd hands over a socket, the port of that',
      integerUpTo(65_535),
      443,
    )
    .addOption(
      new Option('--log <level>', 'lowest level to log on standard error')
        .choices(LOG_LEVELS)
        .env('VIGIE_LOG')
        .default('info'),
    )
    .action(async ({ agent, configHelper, state, setupCode, app, host, port, log }) => {
      const { page } = await import('../page.ts');
      await page({ agent, configHelper, state, setupCode, app, host, port, log });
    });
}

/**
 * Runs the demo: a private broker, the agent on a clip or camera, the room's archive, which shows the alerts, and its
 * console. Called by scripts/demo, which has set the checkout up and removes the folder. Everything it starts ends with
 * it.
 */
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { messageOf } from '../../../agent/base/errors.ts';
import { jsonOf } from '../../../agent/base/json.ts';
import { packageRoot } from '../../../agent/base/package-root.ts';
import { printable, printableLine } from '../../../agent/base/printable.ts';
import { loadConfig } from '../../../agent/config/load.ts';
import { shownSource } from '../../../agent/contract/camera-address.ts';
import type { VigieEvent } from '../../../agent/contract/event.ts';
import { roomBrokerProblem } from '../../../agent/mqtt/connection-errors.ts';
import { AgentProcess } from '../../lib/agent-process.ts';
import type { KeyPair } from '../../lib/certificates.ts';
import { roomBroker } from '../../lib/mosquitto.ts';
import { ownAuthorisation } from '../../lib/own-authorisation.ts';
import { AlertFeed } from '../../products/room/archive/alert-feed.ts';
import { alertLine, isMomentaryEnd } from '../../products/room/archive/alert-line.ts';
import { Archive, localTimeZone } from '../../products/room/archive/archive.ts';
import type { Arrival } from '../../products/room/archive/message.ts';
import { Room } from '../../products/room/archive/room.ts';
import { ARCHIVE } from '../../products/room/contract/terms.ts';
import { SqliteDatabase } from '../../products/room/database/sqlite.ts';
import { ConsoleProcess, openInBrowser, type RunningConsole } from './console-process.ts';
import { expectationLine, Hindrances } from './expectation.ts';
import { MadeVerdicts } from './made-verdicts.ts';
import { startPage } from './page.ts';
import { demoPlan } from './plan.ts';
import { RoomSigner } from './room-signer.ts';
import { TrackHour } from './track-hour.ts';
import { tryLines } from './try-lines.ts';

/** Same as in the demo's config.yaml. */
const [SITE, BOX] = ['demo', 'square-1'];
const PROGRAM = fileURLToPath(new URL('../../../agent/cli/main.js', import.meta.url));
const DEMO_CONFIG = join(packageRoot(), 'scripts/workshop/demo/config.yaml');
const { values } = parseArgs({
  options: {
    dir: { type: 'string' },
    source: { type: 'string' },
    alerts: { type: 'string' },
    page: { type: 'boolean', default: false },
    open: { type: 'boolean', default: false },
  },
});
/** Folder for keys, the broker and the agent's outbox. */
const dir = values.dir ?? '';
const root = packageRoot();
const source = absolute(values.source ?? `file:${join(root, '.cache/vtest.avi')}`);
const alertsWanted = values.alerts === undefined ? Infinity : Number(values.alerts);
const outDir = join(root, '.cache/demo');
const database = join(dir, 'room.db');
const snapshotDir = join(outDir, 'snapshots');
const logPath = join(outDir, 'agent.log');
const began = performance.now();
let alerts = 0;
let isClockTold = false;
const say = (text: string): void =>
  void process.stdout.write(`${text.split('\n').map(printableLine).join('\n')}\n`);
/** Frame of a line that must not be overlooked. */
const FRAME = '='.repeat(80);
const hindrances = new Hindrances((line) => say([FRAME, line, FRAME].join('\n')));

/** Reason for the end of the demo; `code` is the exit code. */
interface Ending {
  readonly code: number;
  readonly message: string;
}

let finish: (ending: Ending) => void = () => undefined;
/** Cancels pending starts. */
const isEnding = new AbortController();
const ending = new Promise<Ending>((resolveEnding) => {
  finish = (of) => {
    resolveEnding(of);
    isEnding.abort();
  };
});

/** Cleanup steps, run newest first. */
const undo: (() => Promise<void> | void)[] = [];

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => finish({ code: signal === 'SIGINT' ? 0 : 143, message: 'Ended.' }));
}

try {
  await start();
} catch (error) {
  finish({ code: 1, message: `demo: ${messageOf(error)}` });
}
const { code, message } = await ending;
for (const step of undo.reverse()) await step();
say(message);
process.exitCode = code;

async function start(): Promise<void> {
  // The shell removes it too; this covers a killed shell.
  undo.push(() => rmSync(dir, { recursive: true, force: true }));
  rmSync(snapshotDir, { recursive: true, force: true });
  mkdirSync(snapshotDir, { recursive: true });
  const config = join(dir, 'vigie.yaml');
  copyFileSync(DEMO_CONFIG, config);
  const trackHour = new TrackHour(config, source, isEnding.signal);

  const { authorities, broker } = await roomBroker(dir, [{ site: SITE, box: BOX }]);
  const { ca } = authorities.boxes;
  const [ofBox, ofArchive, ofDesk] = await Promise.all([
    authorities.boxes.client(BOX),
    authorities.programs.client(ARCHIVE),
    authorities.programs.client('desk.room'),
  ]);
  undo.push(() => broker.stop());
  process.on('exit', () => broker.kill());
  await broker.start();
  say(`Broker   ${broker.url}, mutual TLS (a private Mosquitto, for this demo only)`);

  const feed = new AlertFeed(snapshotDir, onEvent);
  undo.push(() => feed.stop());
  const room = roomOf(broker.archiveUrl, ofArchive, ca, feed);
  undo.push(() => room.stop());
  await room.start();

  const signer = new RoomSigner({
    dir,
    outDir,
    site: SITE,
    timeZone: localTimeZone(),
    url: broker.programsUrl,
    ca,
    pair: ofDesk,
  });
  const consoleProcess = await showConsole(signer);

  const stateDir = join(dir, 'state');
  const environment = agentEnvironment(broker.url, ofBox, ca, stateDir);
  signer.addKeys(config);
  const loaded = loadConfig(config, { env: environment, mode: 'run', files: false });
  const { authorisation, tracks, problem } = await trackHour.written(stateDir, loaded, signer.approvers);
  isEnding.signal.throwIfAborted();
  if (problem !== undefined) say(`Passages of the clip could not be made: ${printable(problem, 500)}`);
  const authorisedEnvironment = {
    ...environment,
    ...ownAuthorisation(loaded, source, dir, 'demonstration', authorisation),
  };
  const agent = new AgentProcess(
    [process.execPath, '--enable-source-maps', PROGRAM, 'run', '--config', config],
    authorisedEnvironment,
    logPath,
  );
  undo.push(() => agent.stop());
  const agentExit = agent.start();
  say(`Agent    on ${shownSource(source)}; its log: ${relative(process.cwd(), logPath)}`);
  if (values.page) {
    const page = await startPage({ program: PROGRAM, dir, stateDir, outDir });
    undo.push(() => page.stop());
    say(
      `Page     ${page.url} as a technician has it; the browser warns: the page made its certificate itself`,
    );
    say(
      '         its steps 3 to 7 say that the configuration cannot be read: that takes vigie-root on a box',
    );
  }
  const isOwnClip = values.source === undefined;
  for (const [index, line] of tryLines({ tracks, isOwnClip }).entries())
    say(`${index === 0 ? 'Try     ' : '        '} ${line}`);
  if (tracks !== undefined) explainApproval(signer);
  say(`Expect   ${expectationLine(loaded, isOwnClip)}`);
  say('Alerts   as they reach the room’s archive (Ctrl-C ends everything):');
  if (isOwnClip) void closeFirstAlerts(consoleProcess);
  void agentExit.then(({ code: exitCode, signal, reason }) =>
    finish({
      code: exitCode ?? 1,
      message: `demo: the agent ended (${signal ?? `exit code ${exitCode}`}): ${reason}`,
    }),
  );
}

/**
 * Shows the operators' console on the demo's archive, with the signer of their questions; both run until the demo ends.
 */
async function showConsole(roomSigner: RoomSigner): Promise<RunningConsole> {
  const plan = join(dir, 'plan.geojson');
  writeFileSync(plan, JSON.stringify(demoPlan(SITE, BOX)));
  const consoleProcess = new ConsoleProcess({ database, outDir, signer: roomSigner.socket, plan });
  undo.push(() => Promise.all([consoleProcess.stop(), roomSigner.stop()]).then(() => undefined));
  const [running, signer] = await Promise.all([consoleProcess.start(), roomSigner.start()]);
  const { url, exitReason } = running;
  void signer.exitReason.then((reason) => finish({ code: 1, message: `demo: the signer ended: ${reason}` }));
  say(`Console  ${url} for the operators of the room; anyone who has this link can sign in`);
  if (values.open) openInBrowser(url, dir, process.env, say);
  void exitReason.then((reason) => finish({ code: 1, message: `demo: the console ended: ${reason}` }));
  return running;
}

/** Gives the list of closed incidents its first entries. */
async function closeFirstAlerts({ origin, token }: RunningConsole): Promise<void> {
  try {
    const count = await new MadeVerdicts(origin, token, isEnding.signal).give();
    if (!isEnding.signal.aborted)
      say(`         the demo’s program has closed ${count} alerts, as examples for g l`);
  } catch (error) {
    say(`         no alert could be closed as an example: ${printable(messageOf(error), 300)}`);
  }
}

/** Tells how to ask about persons. */
function explainApproval({ room, magistrate }: RoomSigner): void {
  say('Passages of vehicles need one key; a question about persons that was saved there is approved by:');
  say(
    `         ./scripts/room tracks --room ${room} --sign ${magistrate} --question question.json --approve approval.json`,
  );
}

function roomOf(url: string, { cert, key }: KeyPair, ca: string, feed: AlertFeed): Room {
  return new Room({
    url,
    tls: { ca: readFileSync(ca), cert: readFileSync(cert), key: readFileSync(key) },
    // The broker is private, and there is only this box.
    register: undefined,
    archive: new Archive(new SqliteDatabase(database), {
      timeZone: localTimeZone(),
      now: Date.now,
      instanceId: 'this',
      onNotice: () => undefined,
    }),
    onStored: (arrivals) => {
      feed.take(arrivals);
      for (const arrival of arrivals) onReport(arrival);
    },
    brokerProblem: (error) => roomBrokerProblem(error, url),
    // On one machine no part recovers: an outage that a room would wait out ends the demo.
    onNotice: (line) => finish({ code: 1, message: `demo: ${printable(line, 500)}` }),
    onStandby: (line) => finish({ code: 1, message: `demo: ${printable(line, 500)}` }),
  });
}

function agentEnvironment(url: string, pair: KeyPair, ca: string, stateDir: string): NodeJS.ProcessEnv {
  // Settings of the caller's own box must not reach the demo's.
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('VIGIE_'));
  return {
    ...Object.fromEntries(inherited),
    VIGIE_LOG: 'info',
    VIGIE_STATE_DIR: stateDir,
    VIGIE_CAMERA_SOURCE: source,
    VIGIE_BOX: BOX,
    // The zone of the room, so that picture and screen show one time.
    VIGIE_TIME_ZONE: localTimeZone(),
    VIGIE_MQTT_URL: url,
    VIGIE_MQTT_CA: ca,
    VIGIE_MQTT_CERT: pair.cert,
    VIGIE_MQTT_KEY: pair.key,
  };
}

function onEvent(event: VigieEvent, picture: string | undefined, note: string | undefined): void {
  // Alerts that arrive while the agent is being stopped are ignored.
  if (isMomentaryEnd(event) || alerts >= alertsWanted) return;
  const evidence =
    picture === undefined
      ? note === undefined
        ? ''
        : `  (no snapshot: ${printable(note)})`
      : `  ${relative(process.cwd(), picture)}`;
  say(`${alertLine(event, Date.now(), true)}${evidence}`);
  hindrances.take(event);
  if (event.data.severity !== 'alert' || event.data.phase !== 'start') return;
  alerts += 1;
  if (alerts >= alertsWanted)
    finish({ code: 0, message: `Ended after ${alerts} alert${alerts === 1 ? '' : 's'}.` });
}

/** Shows the agent's state, and its unset clock once instead of with each alert. */
function onReport(arrival: Arrival): void {
  if (arrival.kind !== 'report') return;
  const { state, clock } = Object(jsonOf(arrival.body)) as { state?: unknown; clock?: { synced?: unknown } };
  if (arrival.topic === 'health' && clock?.synced === false && !isClockTold) {
    isClockTold = true;
    say('         this machine’s clock is not set by the network: the times below may be wrong');
  }
  if (arrival.topic !== 'status') return;
  const afterS = ((performance.now() - began) / 1000).toFixed(1);
  say(`         the agent is ${printable(String(state))} (${afterS} s after the start)`);
}

/** The agent resolves a relative path from its own folder; users mean theirs. */
function absolute(from: string): string {
  return from.startsWith('file:') && !from.startsWith('file://') ? `file:${resolve(from.slice(5))}` : from;
}

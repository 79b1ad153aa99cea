/** `vigie-root enrol`, `renew` and `certificates`: obtain and renew the box's certificate. Called by units. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { systemClock } from '../../../../agent/base/clock.ts';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { print } from '../../../../agent/cli/print.ts';
import { stateDir } from '../../../../agent/cli/state-dir.ts';
import { type OwnOptions, ownConfig } from '../restraint.ts';
import { RoomCommand } from '../room-command.ts';
import { enrol } from './enrol.ts';
import { EnrolFiles } from './enrol-files.ts';
import { EnrolReport } from './enrol-report.ts';
import { endOf, type Renewal, type RenewOptions, renewBox, renewPage } from './renew.ts';

const SYSTEMCTL_WITHIN_MS = 20_000;
const run = promisify(execFile);

export interface EnrolCommandOptions {
  readonly from: string;
  readonly to: string;
  readonly status: string;
}

export interface RenewCommandOptions extends OwnOptions {
  readonly to: string;
  readonly status: string;
  readonly now?: true;
  /** Renews at once too if the room has commanded it. */
  readonly ordered?: true;
}

/** Runs until the box is enrolled; returns the exit code. */
export async function provisionEnrol({ from, to, status }: EnrolCommandOptions): Promise<number> {
  const files = new EnrolFiles(to);
  const report = new EnrolReport({ from, statusFile: status, say: print });
  const stopping = stopSignal();
  const boxClock = { say: print };
  const common = { files, boxClock, signal: stopping };
  try {
    const state = await enrol({ ...common, report, clock: systemClock });
    const end = endOf(files);
    if (state === 'nothing') print(`${files.requestFile}: not there, nothing to enrol`);
    if (state !== 'enrolled' || end === undefined) return 0;
    report.tell('enrolled', null, end);
  } catch (error) {
    if (!(error instanceof AgentError) || error.kind !== 'config') throw error;
    report.tell('refused', error.message);
    return 2;
  }
  await systemctl('--no-block', 'start', 'vigie.service');
  await pageCertificate(common);
  return 0;
}

/** Runs one renewal, started by the timer; returns the exit code. */
export async function provisionRenew(options: RenewCommandOptions): Promise<number> {
  const { to, status } = options;
  const now = options.now === true || (options.ordered === true && isOrdered(options));
  const files = new EnrolFiles(to);
  const report = new EnrolReport({ statusFile: status, say: print });
  const common = { files, boxClock: { say: print }, signal: stopSignal() };
  const renewal = await renewBox({ ...common, ...(now && { force: true }) });
  const end = endOf(files);
  if (end === undefined) {
    print(`${files.box().certFile}: no certificate with its key, nothing to renew`);
    return 0;
  }
  if (renewal === undefined || renewal.state === 'renewed') report.tell('enrolled', null, end);
  else report.tell(renewal.state === 'refused' ? 'refused' : 'enrolled', `renewal: ${renewal.reason}`, end);
  if (renewal?.state === 'renewed') {
    print('the certificate is renewed, with a new key');
    await systemctl('try-reload-or-restart', 'vigie.service');
  }
  await pageCertificate(common);
  return renewal === undefined || renewal.state === 'renewed' ? 0 : 1;
}

/** Reports whether the room has commanded a renewal, verified against root's own configuration. */
function isOrdered({ config, state, folder }: RenewCommandOptions): boolean {
  const command = new RoomCommand({
    op: 'renew-certificate',
    stateDir: stateDir(state, process.env),
    folder,
    clock: systemClock,
    config: () => ownConfig(config),
  });
  const request = command.newCommand();
  if (request === undefined) return false;
  if ('args' in request) {
    print('the room’s command: renew now');
    return true;
  }
  // A replayed command was obeyed when it came, and its file stays until the next one.
  if (request.code !== 'replayed') print(`the room’s command is refused: ${request.refusal}`);
  return false;
}

/** Completes an interrupted installation of key and certificate. */
export function provisionCertificates({ to }: { to: string }): void {
  const files = new EnrolFiles(to);
  if (files.box().finish()) print('key and certificate: an installation that was cut off is finished');
}

/** Renews the page's certificate. Without one the page makes its own. */
async function pageCertificate(options: RenewOptions): Promise<void> {
  const renewal: Renewal | undefined = await renewPage(options);
  if (renewal === undefined) return;
  if (renewal.state === 'renewed') {
    print(`the page has a certificate of the room, until ${renewal.notAfter.toISOString()}`);
  } else print(`no certificate for the page (${renewal.reason}); the page continues without it`);
}

async function systemctl(...words: readonly string[]): Promise<void> {
  try {
    await run('systemctl', [...words], { timeout: SYSTEMCTL_WITHIN_MS });
  } catch (error) {
    print(`systemctl ${words.join(' ')}: ${messageOf(error)}`);
  }
}

function stopSignal(): AbortSignal {
  const stopping = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stopping.abort());
  return stopping.signal;
}

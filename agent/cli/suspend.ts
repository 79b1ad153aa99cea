/**
 * `vigie suspend`, `vigie resume` and `vigie pin`: on the box, through its state folder. The running agent sees what
 * lies there within a second; without one, it is there for the next start.
 */
import { createHash } from 'node:crypto';
import { chownSync, existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Value } from '@sinclair/typebox/value';
import { writeAtomically } from '../base/atomic-file.ts';
import { AgentError, messageOf } from '../base/errors.ts';
import { loadConfig } from '../config/load.ts';
import { LocalMode } from '../contract/mode.ts';
import { readAuthorityKey } from '../restraint/authorisation.ts';
import { keyIdOf } from '../restraint/envelope.ts';
import { PIN_FILE, readPin, writePin } from '../restraint/pin.ts';
import { LOCAL_MODE_FILE, RESUME_REQUEST_FILE } from '../restraint/places.ts';
import { signResume } from '../restraint/resume.ts';
import { SUSPENSION_FILE, Suspension } from '../restraint/suspension.ts';
import { print } from './print.ts';
import { resumeKeys } from './signing-key.ts';
import { stateDir } from './state-dir.ts';

export interface SuspendOptions {
  readonly reason: string;
  readonly state?: string;
}

export interface ResumeOptions {
  readonly key: readonly string[];
  readonly reason: string;
  readonly state?: string;
}

export interface PinOptions {
  readonly config: string;
  readonly state?: string;
}

const REASON_CHARS_MAX = 500;
/** The agent looks twice a second, and vision has 2 s to end. */
const ANSWER_WITHIN_MS = 20_000;
const LOOK_EVERY_MS = 100;
/** A request to resume is for now. */
const VALID_MS = 3_600_000;

/** Returns the exit code: 1 when it is not certain that the box has stopped looking. */
export async function suspend(options: SuspendOptions): Promise<number> {
  const reason = checkedReason(options.reason);
  const dir = existingDir(options.state);
  const file = join(dir, SUSPENSION_FILE);
  const suspension = new Suspension(file);
  if (existsSync(file) && suspension.read().suspended) {
    const { since, reason: why } = suspension.read();
    say(`already suspended${since === null ? '' : ` since ${since}`}: ${why}`);
    return 0;
  }
  // Whoever cannot read what is there can still suspend.
  const { id, since } = suspension.suspend(reason, 'box', Date.now());
  giveToOwner(file, dir);
  say(`suspended since ${since}: it is on disk, and outlives restarts and updates`);
  if (runningAgent(dir) === undefined) {
    say('no agent runs here; the next one starts suspended');
    return 0;
  }
  const local = await answered(dir, ({ statement }) => statement.suspension === id);
  if (local === undefined) {
    process.stderr.write(`the agent has not said within ${ANSWER_WITHIN_MS / 1000} s that it has stopped\n`);
    return 1;
  }
  say(`the agent has stopped looking; frames read since its start: ${local.statement.framesRead}`);
  return 0;
}

/** Returns the exit code. */
export async function resume(options: ResumeOptions): Promise<number> {
  const reason = checkedReason(options.reason);
  const dir = existingDir(options.state);
  const keys = resumeKeys(options.key);
  const { suspended, id } = new Suspension(join(dir, SUSPENSION_FILE)).read();
  if (!suspended) throw new AgentError('config', 'this box is not suspended');
  const local = readLocalMode(dir);
  if (local === undefined) {
    throw new AgentError(
      'config',
      `${join(dir, LOCAL_MODE_FILE)} does not tell which box this is: start the agent`,
    );
  }
  const { site, box } = local.statement;
  const [notBefore, notAfter] = [Date.now() - 60_000, Date.now() + VALID_MS].map((ms) =>
    new Date(ms).toISOString(),
  ) as [string, string];
  const request = signResume({ site, box, suspension: id, reason, notBefore, notAfter }, keys);
  const file = join(dir, RESUME_REQUEST_FILE);
  writing(file, () => writeAtomically(file, request));
  giveToOwner(file, dir);
  if (runningAgent(dir) === undefined) {
    say(`no agent runs here; the next one judges the request if it starts before ${notAfter}`);
    return 0;
  }
  const sha256 = createHash('sha256').update(request).digest('hex');
  const after = await answered(dir, ({ answer }) => answer?.request === sha256);
  if (after === undefined) {
    process.stderr.write(`the agent has not answered within ${ANSWER_WITHIN_MS / 1000} s\n`);
    return 1;
  }
  if (after.answer?.refused != null) {
    process.stderr.write(`vigie: refused, the box stays suspended: ${after.answer.refused}\n`);
    return 1;
  }
  say(`resumed; the box is now ${after.statement.mode}`);
  return 0;
}

/** Takes the authority's key of the configuration, and the time, as they are now. */
export function pin(options: PinOptions): void {
  const dir = existingDir(options.state);
  const { authorityKey } = loadConfig(options.config, { env: process.env, mode: 'check', files: false });
  if (authorityKey === undefined)
    throw new AgentError('config', `${options.config}: authorityKey is not set`);
  const keyid = keyIdOf(readAuthorityKey(authorityKey));
  const file = join(dir, PIN_FILE);
  const before = keyBefore(file);
  writePin(file, { keyid, before, told: false });
  giveToOwner(file, dir);
  const was = before === null ? '' : before === keyid ? ', as before' : `, no longer ${before}`;
  say(`this box obeys ${keyid}${was}; valid times are judged from ${new Date().toISOString()} on`);
  say('the agent takes it within a minute, or at its start, and its journal tells it');
}

/** A damaged pin is what this command mends. */
function keyBefore(file: string): string | null {
  try {
    return readPin(file)?.keyid ?? null;
  } catch (error) {
    if (!(error instanceof AgentError) || error.kind !== 'corrupt') throw error;
    return null;
  }
}

/** What the agent says, once it fits; undefined when it does not in time. */
async function answered(dir: string, fits: (local: LocalMode) => boolean): Promise<LocalMode | undefined> {
  const untilMs = performance.now() + ANSWER_WITHIN_MS;
  while (performance.now() < untilMs) {
    const local = readLocalMode(dir);
    if (local !== undefined && fits(local)) return local;
    await sleep(LOOK_EVERY_MS);
  }
  return undefined;
}

function runningAgent(dir: string): LocalMode | undefined {
  const local = readLocalMode(dir);
  if (local === undefined) return undefined;
  try {
    process.kill(local.pid, 0);
    return local;
  } catch (error) {
    // EPERM: it is there, of another user.
    return error instanceof Error && 'code' in error && error.code === 'EPERM' ? local : undefined;
  }
}

function readLocalMode(dir: string): LocalMode | undefined {
  const file = join(dir, LOCAL_MODE_FILE);
  if (!existsSync(file)) return undefined;
  let local: unknown;
  try {
    local = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new AgentError('config', `${file} cannot be read: ${messageOf(error)}; use sudo -u vigie`, error);
  }
  return Value.Check(LocalMode, local) ? local : undefined;
}

function existingDir(asked: string | undefined): string {
  const dir = stateDir(asked, process.env);
  const made = asked !== undefined && !existsSync(dir);
  writing(dir, () => made && mkdirSync(dir, { mode: 0o700 }));
  if (existsSync(dir)) return dir;
  throw new AgentError('config', `${dir} does not exist; name the state folder with --state`);
}

/** What root writes here must be readable to the agent. */
function giveToOwner(file: string, dir: string): void {
  if (process.geteuid?.() !== 0) return;
  const { uid, gid } = statSync(dir);
  writing(file, () => chownSync(file, uid, gid));
}

function writing(file: string, act: () => unknown): void {
  try {
    act();
  } catch (error) {
    const message = `${file} cannot be written: ${messageOf(error)}; use sudo -u vigie`;
    throw new AgentError('config', message, error);
  }
}

function checkedReason(reason: string): string {
  const text = reason.trim();
  if (text !== '' && text.length <= REASON_CHARS_MAX) return text;
  throw new AgentError('config', `--reason: 1 to ${REASON_CHARS_MAX} characters; the journal keeps it`);
}

function say(line: string): void {
  print(line);
}

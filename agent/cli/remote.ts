/**
 * `vigie remote`: from the room, by a signed command, one box is suspended, let go on, told that its clock is right, or opened
 * for a technician's phone: its hotspot, or the lock after wrong codes.
 */
import { AgentError } from '../base/errors.ts';
import { argsFault, type CommandArgs, type CommandResult } from '../contract/commands.ts';
import { signResume } from '../restraint/resume.ts';
import { print, printNote } from './print.ts';
import { askBox, assertBox } from './room/ask-box.ts';
import { type RoomOptions, roomOf } from './room/room-file.ts';
import { resumeKeys, signingKey } from './signing-key.ts';

export interface RemoteOptions extends RoomOptions {
  readonly sign: string;
  readonly box: string;
  readonly timeout: number;
}

export interface RemoteSuspendOptions extends RemoteOptions {
  readonly reason: string;
}

export interface RemoteOpenHotspotOptions extends RemoteOptions {
  readonly minutes: number;
}

export interface RemoteResumeOptions extends RemoteSuspendOptions {
  readonly key: readonly string[];
  readonly suspension: string;
}

/** What holders of keys have signed is for now. */
const VALID_MS = 3_600_000;

/** Throws AgentError, one line. */
export async function remoteSuspend(options: RemoteSuspendOptions): Promise<void> {
  const { box, timeout: timeoutS } = options;
  const room = roomOf(options);
  const args = checked(options);
  const result = await askBox(room, {
    op: 'suspend',
    args,
    box,
    timeoutS,
    key: signingKey(options.sign),
  });
  tell(box, result);
}

/** Throws AgentError, one line. */
export async function remoteResume(options: RemoteResumeOptions): Promise<void> {
  const { box, timeout: timeoutS, suspension } = options;
  const room = roomOf(options);
  const { reason } = checked(options);
  const keys = resumeKeys(options.key);
  const [notBefore = '', notAfter = ''] = [Date.now() - VALID_MS, Date.now() + VALID_MS].map((ms) =>
    new Date(ms).toISOString(),
  );
  const signedByBoth = signResume({ site: room.site, box, suspension, reason, notBefore, notAfter }, keys);
  const args = { envelope: JSON.parse(signedByBoth) as CommandArgs<'resume'>['envelope'] };
  const result = await askBox(room, {
    op: 'resume',
    args,
    box,
    timeoutS,
    key: signingKey(options.sign),
  });
  tell(box, result);
}

/** Throws AgentError, one line. */
export async function remoteResetTime(options: RemoteOptions): Promise<void> {
  const { box, timeout: timeoutS } = options;
  assertBox(box);
  const result = await askBox(roomOf(options), {
    op: 'reset-time',
    args: {},
    box,
    timeoutS,
    key: signingKey(options.sign),
  });
  print(`${box}: what is valid is judged from ${result.after} on, no longer from ${result.before}`);
}

/** Throws AgentError, one line. */
export async function remoteOpenHotspot(options: RemoteOpenHotspotOptions): Promise<void> {
  const { box, timeout: timeoutS, minutes } = options;
  assertBox(box);
  const result = await askBox(roomOf(options), {
    op: 'open-hotspot',
    args: { minutes },
    box,
    timeoutS,
    key: signingKey(options.sign),
  });
  print(`${box}: its root was given the command to open the hotspot for ${result.minutes} min`);
}

/** Throws AgentError, one line. */
export async function remoteUnlockPairing(options: RemoteOptions): Promise<void> {
  const { box, timeout: timeoutS } = options;
  assertBox(box);
  await askBox(roomOf(options), {
    op: 'unlock-pairing',
    args: {},
    box,
    timeoutS,
    key: signingKey(options.sign),
  });
  print(`${box}: phones that were locked for wrong codes may try again`);
}

function checked({ box, reason }: RemoteSuspendOptions): CommandArgs<'suspend'> {
  assertBox(box);
  if (argsFault('suspend', { reason }) === undefined) return { reason };
  throw new AgentError('config', '--reason: 1 to 500 characters are needed');
}

function tell(box: string, result: CommandResult<'suspend'>): void {
  const { mode, since, framesRead, suspension, recorded = true } = result;
  const id = suspension === null ? '' : `, suspension ${suspension}`;
  print(`${box}: ${mode} since ${since}, ${framesRead} frames read${id}`);
  if (!recorded)
    printNote(
      `vigie: root’s record on ${box} does not have it: until it does, the agent’s own user could undo it`,
    );
}

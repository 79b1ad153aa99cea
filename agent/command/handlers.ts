/** Which part of the agent obeys each signed command. */
import type { CommandOp, SignedCommand } from '../contract/command.ts';

/** Takes a command that was accepted; returns its result, or a promise of it, or throws CommandRefused. */
export type CommandHandler = (command: SignedCommand) => unknown;
interface Answering {
  answer(command: SignedCommand): unknown;
}

export interface CommandParts {
  readonly search: Answering;
  readonly sealed: Answering;
  readonly tracks: Answering;
  readonly restraint: Readonly<Record<'suspend' | 'resume' | 'resetTime', CommandHandler>>;
  readonly technician: { unlockPairing: CommandHandler };
  readonly diagnosis: Readonly<Record<'logs' | 'doctor' | 'renew', CommandHandler>> & {
    readConfiguration(): unknown;
  };
  readonly openHotspot: CommandHandler;
}

export function commandHandlers(parts: CommandParts): Readonly<Record<CommandOp, CommandHandler>> {
  const { search, sealed, tracks, restraint, technician, diagnosis, openHotspot } = parts;
  return {
    search: (command) => search.answer(command),
    suspend: (command) => restraint.suspend(command),
    resume: (command) => restraint.resume(command),
    unseal: (command) => sealed.answer(command),
    'reset-time': (command) => restraint.resetTime(command),
    'open-hotspot': openHotspot,
    'unlock-pairing': (command) => technician.unlockPairing(command),
    logs: (command) => diagnosis.logs(command),
    doctor: (command) => diagnosis.doctor(command),
    'renew-certificate': (command) => diagnosis.renew(command),
    'read-configuration': () => diagnosis.readConfiguration(),
    tracks: (command) => tracks.answer(command),
  };
}

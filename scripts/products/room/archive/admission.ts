/**
 * Decides whose messages are stored: those of enrolled boxes. Messages of other boxes are counted, and the data of
 * revoked boxes is withdrawn.
 */
import type { Archive } from './archive.ts';
import { isName } from './message.ts';
import type { Register } from './register.ts';
import type { UnknownSenders } from './unknown-senders.ts';
import type { Withdrawal } from './withdrawal.ts';

export class Admission {
  readonly #register: Register;
  readonly #unknownSenders: UnknownSenders;
  readonly #withdrawal: Withdrawal;

  constructor(register: Register, archive: Archive) {
    this.#register = register;
    this.#unknownSenders = archive.unknownSenders();
    this.#withdrawal = archive.withdrawal(register);
  }

  /** Starts the withdrawal and the watch on the register. The archive must be open. */
  start(): void {
    this.#withdrawal.start();
    this.#register.start(() => this.#withdrawal.wake());
  }

  /** Idempotent. */
  async stop(): Promise<void> {
    this.#register.stop();
    await this.#withdrawal.stop();
    await this.#unknownSenders.stop();
  }

  /** Returns the reason to leave out a message of this box, and counts it; undefined if the message is to be stored. */
  refusal(site: string, box: string, bytes: number): string | undefined {
    // A later check refuses names that no box can have.
    if (!isName(site) || !isName(box) || this.#register.isEnrolled(site, box)) return undefined;
    this.#unknownSenders.note(site, box, bytes);
    return this.#register.isRevoked(box) ? 'the box is revoked' : 'the box is not enrolled there';
  }
}

/**
 * Decides whose messages are stored: those of boxes on the list of enrolled ones. Of the others it counts what came, and of
 * those that are revoked it takes out what is there.
 */
import type { Archive } from './archive.ts';
import { isName } from './message.ts';
import type { Register } from './register.ts';
import type { Strangers } from './strangers.ts';
import type { Withdrawal } from './withdrawal.ts';

export class Admission {
  readonly #register: Register;
  readonly #strangers: Strangers;
  readonly #withdrawal: Withdrawal;

  constructor(register: Register, archive: Archive) {
    this.#register = register;
    this.#strangers = archive.strangers();
    this.#withdrawal = archive.withdrawal(register);
  }

  /** The archive is open. */
  start(): void {
    this.#withdrawal.start();
    this.#register.start(() => this.#withdrawal.wake());
  }

  /** Idempotent. */
  async stop(): Promise<void> {
    this.#register.stop();
    await this.#withdrawal.stop();
    await this.#strangers.stop();
  }

  /** Why a message of this box is left out, which is counted; undefined: it is to be stored. */
  refusal(site: string, box: string, bytes: number): string | undefined {
    // What no box can be called is refused as such.
    if (!isName(site) || !isName(box) || this.#register.isEnrolled(site, box)) return undefined;
    this.#strangers.note(site, box, bytes);
    return this.#register.isRevoked(box) ? 'the box is revoked' : 'the box is not enrolled there';
  }
}

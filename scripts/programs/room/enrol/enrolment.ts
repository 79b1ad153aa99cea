/** The folder of an enrolment as programs open it: authority, store, and the list of revocations for the broker. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { writeAtomically } from '../../../../agent/base/atomic-file.ts';
import { AgentError } from '../../../../agent/base/errors.ts';
import { type Authority, OpensslAuthority } from './authority.ts';
import { EnrolStore } from './store.ts';

const STORE = 'enrolment.db';
const CRL = 'revoked.pem';

export class Enrolment {
  readonly authority: Authority;
  readonly store: EnrolStore;
  readonly #dir: string;

  /** Throws AgentError `config` where the folder holds no authority. */
  constructor(dir: string) {
    if (!existsSync(join(dir, 'ca.key')) || !existsSync(join(dir, STORE))) {
      throw new AgentError('config', `${dir}: holds no authority; make one with \`init --dir ${dir}\``);
    }
    this.#dir = dir;
    this.authority = new OpensslAuthority(dir);
    this.store = new EnrolStore(join(dir, STORE));
  }

  /** Makes the store where there is none. */
  static make(dir: string): void {
    new EnrolStore(join(dir, STORE)).close();
  }

  close(): void {
    this.store.close();
  }

  /** All certificates and tokens of the box, and the list is written; how many certificates that was. */
  revoke(box: string, nowMs: number): { readonly count: number; readonly crlFile: string } {
    const count = this.store.revoke(box, nowMs);
    return { count, crlFile: this.writeCrl(nowMs) };
  }

  writeCrl(nowMs: number): string {
    const file = join(this.#dir, CRL);
    writeAtomically(file, this.authority.crl(this.store.revoked(nowMs), nowMs), 0o644);
    return file;
  }
}

/** Runs `work` on what is in the folder, and closes it. */
export function withEnrolment<T>(dir: string, work: (enrolment: Enrolment) => T): T {
  const enrolment = new Enrolment(dir);
  try {
    return work(enrolment);
  } finally {
    enrolment.close();
  }
}

/**
 * Opens the folder of an enrolment: authorities, store, and the files that broker and archive read.
 *
 * INVARIANT: a list is built and written while no other program changes the store. Of two concurrent writers, the later
 * list contains the changes of the earlier one, so an outdated list never readmits a revoked box.
 */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeAtomically } from '../../../../agent/base/atomic-file.ts';
import { AgentError } from '../../../../agent/base/errors.ts';
import { brokerAcl, PROGRAM_RULES, readersAcl } from '../../../lib/broker-acl.ts';
import type { EnrolledBoxes } from '../contract/enrolled.ts';
import { type Authority, OpensslAuthority } from './authority.ts';
import { EnrolStore } from './store.ts';

const STORE = 'enrolment.db';
/** Folder of the authority of the room's programs. */
const PROGRAMS = 'programs';
/** Broker permissions of the room's programs; a town may edit this file. */
const RULES = 'programs.acl';
/** Folder of files without secrets. Broker and archive read it, each as its own user. */
const BOXES = 'boxes';
/**
 * Readable for the users of broker and archive. If Mosquitto cannot read its access rules at a reload, it continues
 * without any, and each box may do everything.
 */
const LIST_MODE = 0o644;

export class Enrolment {
  readonly authority: Authority;
  /** Authority of the room's programs. It issues no certificates for boxes, so no box can pass for a program. */
  readonly programs: Authority;
  readonly store: EnrolStore;
  readonly #dir: string;

  /**
   * Opens the enrolment.
   * @throws {AgentError} `config` if the folder holds no authority
   */
  constructor(dir: string) {
    // The programs' key may be stored offline, because only new program certificates need it.
    const needed = ['ca.key', STORE, join(PROGRAMS, 'ca.crt'), RULES, BOXES];
    const missing = needed.find((name) => !existsSync(join(dir, name)));
    if (missing !== undefined) {
      throw new AgentError('config', `${join(dir, missing)}: is missing; make it with \`init --dir ${dir}\``);
    }
    this.#dir = dir;
    this.authority = new OpensslAuthority(dir);
    this.programs = new OpensslAuthority(join(dir, PROGRAMS));
    this.store = new EnrolStore(join(dir, STORE));
  }

  /** Creates missing parts. Returns true if the authority of the boxes is new. */
  static make(dir: string, name: string, nowMs: number): boolean {
    const isNew = OpensslAuthority.make(dir, name);
    const programs = join(dir, PROGRAMS);
    const isKeyUnavailable = existsSync(join(programs, 'ca.crt')) && !existsSync(join(programs, 'ca.key'));
    if (!isKeyUnavailable) OpensslAuthority.make(programs, `${name}, programs`);
    // The folder may also be a link to another place.
    if (!existsSync(join(dir, BOXES))) mkdirSync(join(dir, BOXES), { mode: 0o755 });
    if (!existsSync(join(dir, RULES))) writeAtomically(join(dir, RULES), PROGRAM_RULES, 0o644);
    new EnrolStore(join(dir, STORE)).close();
    withEnrolment(dir, (enrolment) => {
      enrolment.writeLists(nowMs);
      if (!isKeyUnavailable) enrolment.writePrograms(nowMs);
    });
    return isNew;
  }

  close(): void {
    this.store.close();
  }

  /** Revokes all certificates and tokens of the box, and writes the lists. Returns the number of certificates. */
  revoke(box: string, nowMs: number): { readonly count: number; readonly folder: string } {
    const count = this.store.revoke(box, nowMs);
    return { count, folder: this.writeLists(nowMs) };
  }

  /**
   * Revokes the certificates of a program, or the one with a serial, and writes the lists.
   * @throws {AgentError} `config` if there is none
   */
  revokeProgram(
    name: string,
    serial: string | undefined,
    nowMs: number,
  ): { readonly count: number; readonly folder: string } {
    const count = this.store.revokeProgram(name, serial, nowMs);
    if (count === 0) {
      const serialText = serial === undefined ? '' : ` with the serial ${serial}`;
      throw new AgentError('config', `${name}: no valid certificate${serialText}; see list`);
    }
    return { count, folder: this.writePrograms(nowMs) };
  }

  /** Writes the revocation list of boxes, the access rules and the list of boxes. Returns the folder. */
  writeLists(nowMs: number): string {
    return this.store.alone(() => {
      const list = this.authority.crl(this.store.revoked('boxes', nowMs), nowMs);
      writeAtomically(join(this.#dir, BOXES, 'revoked.pem'), list, LIST_MODE);
      this.#writeBoxes();
      return join(this.#dir, BOXES);
    });
  }

  /** Writes the revocation list of programs and the access rules. Returns the folder. */
  writePrograms(nowMs: number): string {
    return this.store.alone(() => {
      const list = this.programs.crl(this.store.revoked('programs', nowMs), nowMs);
      writeAtomically(join(this.#dir, BOXES, 'programs-revoked.pem'), list, LIST_MODE);
      this.#writeBoxes();
      return join(this.#dir, BOXES);
    });
  }

  /**
   * Writes access rules and the list of boxes if they have changed, because a broker reloads its files after each
   * change.
   */
  writeBoxes(): void {
    this.store.alone(() => this.#writeBoxes());
  }

  #writeBoxes(): void {
    const rows = this.store.boxes();
    const list: EnrolledBoxes = {
      version: 1,
      boxes: rows.map(({ site, box, enrolled_at, revoked_at }) => ({
        site,
        box,
        state: revoked_at === null ? 'enrolled' : 'revoked',
        changedAt: new Date(revoked_at ?? enrolled_at).toISOString(),
      })),
    };
    // Written first, so that the archive never refuses a box that the broker accepts.
    this.#write('boxes.json', `${JSON.stringify(list, null, 1)}\n`);
    const rules = readFileSync(join(this.#dir, RULES), 'utf8');
    const programs = this.store.programs();
    this.#write('readers.acl', readersAcl(rules, programs));
    this.#write(
      'broker.acl',
      brokerAcl(
        rules,
        programs,
        rows.filter(({ revoked_at }) => revoked_at === null),
        rows.filter(({ revoked_at }) => revoked_at !== null),
      ),
    );
  }

  #write(name: string, text: string): void {
    const file = join(this.#dir, BOXES, name);
    if (!existsSync(file) || readFileSync(file, 'utf8') !== text) writeAtomically(file, text, LIST_MODE);
  }
}

/** Opens an enrolment, runs `work` and closes it. */
export function withEnrolment<T>(dir: string, work: (enrolment: Enrolment) => T): T {
  const enrolment = new Enrolment(dir);
  try {
    return work(enrolment);
  } finally {
    enrolment.close();
  }
}

/**
 * The folder of an enrolment as programs open it: authorities, store, and the files that broker and archive read.
 *
 * INVARIANT: a list is made of the store and written while nobody else changes the store: of two programs that write at
 * once, the later one's list has what the earlier one did. A box that was revoked does not come back by an older list.
 */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeAtomically } from '../../../../agent/base/atomic-file.ts';
import { AgentError } from '../../../../agent/base/errors.ts';
import { brokerAcl, PROGRAM_RULES } from '../../../lib/broker-acl.ts';
import type { EnrolledBoxes } from '../contract/enrolled.ts';
import { type Authority, OpensslAuthority } from './authority.ts';
import { EnrolStore } from './store.ts';

const STORE = 'enrolment.db';
/** Of the authority of the room's programs. */
const PROGRAMS = 'programs';
/** What the room's programs may do at the broker; a town changes it here. */
const RULES = 'programs.acl';
/** Nothing in it is secret: broker and archive read it, each as its own user. */
const BOXES = 'boxes';
/**
 * Broker and archive read the lists as users of their own. Mosquitto that cannot read its access rules when it is reloaded has
 * none from then on, and each box may do everything.
 */
const LIST_MODE = 0o644;

export class Enrolment {
  readonly authority: Authority;
  /** Of the room's programs: a box has no certificate of it, so that none can be taken for a program. */
  readonly programs: Authority;
  readonly store: EnrolStore;
  readonly #dir: string;

  /** Throws AgentError `config` where the folder holds no authority. */
  constructor(dir: string) {
    // The programs' key may lie where no network is: it is needed for a certificate of theirs only.
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

  /** Makes what is missing; whether the authority of the boxes is new. */
  static make(dir: string, name: string, nowMs: number): boolean {
    const isNew = OpensslAuthority.make(dir, name);
    const programs = join(dir, PROGRAMS);
    const isKeyAway = existsSync(join(programs, 'ca.crt')) && !existsSync(join(programs, 'ca.key'));
    if (!isKeyAway) OpensslAuthority.make(programs, `${name}, programs`);
    // A link to a folder elsewhere is as good.
    if (!existsSync(join(dir, BOXES))) mkdirSync(join(dir, BOXES), { mode: 0o755 });
    if (!existsSync(join(dir, RULES))) writeAtomically(join(dir, RULES), PROGRAM_RULES, 0o644);
    new EnrolStore(join(dir, STORE)).close();
    withEnrolment(dir, (enrolment) => {
      if (!isKeyAway) enrolment.writePrograms(nowMs);
      enrolment.writeLists(nowMs);
    });
    return isNew;
  }

  close(): void {
    this.store.close();
  }

  /** All certificates and tokens of the box, and the lists are written; how many certificates that was. */
  revoke(box: string, nowMs: number): { readonly count: number; readonly folder: string } {
    const count = this.store.revoke(box, nowMs);
    return { count, folder: this.writeLists(nowMs) };
  }

  /** One certificate of a program, and the list is written. Returns the folder, undefined where there is none. */
  revokeProgram(name: string, serial: string, nowMs: number): string | undefined {
    return this.store.revokeProgram(name, serial, nowMs) ? this.writePrograms(nowMs) : undefined;
  }

  /** Which boxes may connect no more, access rules, and who is enrolled. Returns the folder. */
  writeLists(nowMs: number): string {
    return this.store.alone(() => {
      const list = this.authority.crl(this.store.revoked('boxes', nowMs), nowMs);
      writeAtomically(join(this.#dir, BOXES, 'revoked.pem'), list, LIST_MODE);
      this.#writeBoxes();
      return join(this.#dir, BOXES);
    });
  }

  /** Which programs may connect no more. Returns the folder. */
  writePrograms(nowMs: number): string {
    return this.store.alone(() => {
      const list = this.programs.crl(this.store.revoked('programs', nowMs), nowMs);
      writeAtomically(join(this.#dir, BOXES, 'programs-revoked.pem'), list, LIST_MODE);
      return join(this.#dir, BOXES);
    });
  }

  /** Access rules and the list of boxes, where they have changed: a broker reads its files again after each change. */
  writeBoxes(): void {
    this.store.alone(() => this.#writeBoxes());
  }

  #writeBoxes(): void {
    const rows = this.store.boxes();
    const list: EnrolledBoxes = {
      version: 1,
      boxes: rows.map(({ site, box, since, revoked }) => ({
        site,
        box,
        state: revoked === null ? 'enrolled' : 'revoked',
        since: new Date(revoked ?? since).toISOString(),
      })),
    };
    // This one first: the archive must not take for a stranger whom the broker lets in.
    this.#write('boxes.json', `${JSON.stringify(list, null, 1)}\n`);
    this.#write(
      'broker.acl',
      brokerAcl(
        readFileSync(join(this.#dir, RULES), 'utf8'),
        rows.filter(({ revoked }) => revoked === null),
        rows.filter(({ revoked }) => revoked !== null),
      ),
    );
  }

  #write(name: string, text: string): void {
    const file = join(this.#dir, BOXES, name);
    if (!existsSync(file) || readFileSync(file, 'utf8') !== text) writeAtomically(file, text, LIST_MODE);
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

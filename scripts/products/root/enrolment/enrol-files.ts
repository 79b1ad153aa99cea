/**
 * Files of the enrolment below /etc/vigie: the open request from the card, the record of which key belongs to which
 * request, and the certificates. The record ensures that the same request is repeated after a power cut.
 */
import { createHash } from 'node:crypto';
import { chmodSync, chownSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Static, type TSchema, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { writeAtomically } from '../../../../agent/base/atomic-file.ts';
import { AgentError } from '../../../../agent/base/errors.ts';
import { jsonOf } from '../../../../agent/base/json.ts';
import { ENROL_FILE, EnrolRequest } from '../../../../agent/contract/enrolment.ts';
import { SetupCode } from '../../../../agent/contract/setup-code.ts';
import { CertificatePair } from './certificate-pair.ts';

/** Stores the room's address for renewal, after enrol.json is removed. */
const RECORD_NAME = 'enrolment.json';
const PAGE_GROUP = 'vigie-page';
const REQUEST_BYTES_MAX = 16 * 1024;

const EnrolRecord = Type.Object(
  {
    version: Type.Literal(1),
    ...Type.Pick(EnrolRequest, ['site', 'box', 'url']).properties,
    request: Type.String({ pattern: '^[0-9a-f]{64}$' }),
    /** SHA-256 of the public key in the request. */
    key: Type.String({ pattern: '^[0-9a-f]{64}$' }),
  },
  { additionalProperties: false },
);
export type EnrolRecord = Static<typeof EnrolRecord>;

export interface OpenRequest {
  readonly request: EnrolRequest;
  readonly sha256: string;
}

export class EnrolFiles {
  /** /etc/vigie, or its replacement in a test. */
  readonly dir: string;

  constructor(dir: string) {
    this.dir = dir;
  }

  get requestFile(): string {
    return join(this.dir, ENROL_FILE);
  }

  get caFile(): string {
    return join(this.dir, 'pki', 'ca.crt');
  }

  /** Returns the box's own pair, owned by root and readable by the agent's group. */
  box(): CertificatePair {
    const { uid, gid } = statSync(this.dir);
    return new CertificatePair({ dir: join(this.dir, 'pki'), name: 'box', uid, gid, certMode: 0o640 });
  }

  /** Returns the pair of the technician's page. Makes its folder if it is missing. */
  page(): CertificatePair {
    const { dir, uid, gid } = this.pageFolder();
    return new CertificatePair({ dir, name: 'page', uid, gid, certMode: 0o644 });
  }

  /**
   * Returns the page's folder, readable by the page's user, or by everyone if there is no such user. Makes it if it is
   * missing.
   */
  pageFolder(): { dir: string; uid: number; gid: number; everybody: boolean } {
    const dir = join(this.dir, 'page');
    const { uid, gid: ownGid } = statSync(this.dir);
    const pageGid = gidOf(PAGE_GROUP);
    const gid = pageGid ?? ownGid;
    if (statSync(dir, { throwIfNoEntry: false }) === undefined) {
      mkdirSync(dir);
      chownSync(dir, uid, gid);
      chmodSync(dir, pageGid === undefined ? 0o755 : 0o750);
    }
    return { dir, uid, gid, everybody: pageGid === undefined };
  }

  /**
   * Returns the open request; undefined if there is none.
   *
   * @throws AgentError config: the file is not a valid request
   */
  request(): OpenRequest | undefined {
    const text = readSmall(this.requestFile);
    if (text === undefined) return undefined;
    const request = parsed(EnrolRequest, text);
    if (request === undefined) {
      throw new AgentError('config', `${this.requestFile}: ${NOT_A_REQUEST}`);
    }
    return { request, sha256: createHash('sha256').update(text).digest('hex') };
  }

  /** Returns undefined if there was no enrolment, or if its record cannot be read. */
  record(): EnrolRecord | undefined {
    const text = readSmall(join(this.dir, RECORD_NAME));
    return text === undefined ? undefined : parsed(EnrolRecord, text);
  }

  keep(record: EnrolRecord): void {
    const file = join(this.dir, RECORD_NAME);
    writeAtomically(file, `${JSON.stringify(record)}\n`, 0o640, statSync(this.dir));
  }
}

const NOT_A_REQUEST =
  'is not an enrolment request; must be JSON with version 1, site, box, url (https://host[:port]) and token (or null)';

/** Returns the validation error of an enrol.json for this box, or undefined. */
export function requestProblem(text: string, site: string, box: string): string | undefined {
  const request = parsed(EnrolRequest, text);
  if (request === undefined) return NOT_A_REQUEST;
  if (request.site === site && request.box === box) return undefined;
  return `is for ${request.box} at ${request.site}; must be for ${box} at ${site}, as vigie.yaml says`;
}

/** Returns the validation error of a setup-code.json, or undefined. */
export function setupCodeProblem(text: string): string | undefined {
  if (parsed(SetupCode, text) !== undefined) return undefined;
  return 'is not a setup code; must be the file that was written to the card with its label';
}

function parsed<T extends TSchema>(schema: T, text: string): Static<T> | undefined {
  const value = jsonOf(text);
  return Value.Check(schema, value) ? value : undefined;
}

function readSmall(file: string): string | undefined {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat === undefined) return undefined;
  return stat.size > REQUEST_BYTES_MAX ? '' : readFileSync(file, 'utf8');
}

/** Returns undefined if there is no such group. */
function gidOf(group: string): number | undefined {
  const line = readFileSync('/etc/group', 'utf8')
    .split('\n')
    .find((one) => one.startsWith(`${group}:`));
  return line === undefined ? undefined : Number(line.split(':')[2]);
}

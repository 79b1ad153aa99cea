/** Creates the files of one box for its boot partition or stick, and the codes on its label. */
import { Value } from '@sinclair/typebox/value';
import { AgentError } from '../../../agent/base/errors.ts';
import { ENROL_FILE, EnrolRequest } from '../../../agent/contract/enrolment.ts';
import { HOTSPOT_KEY_FILE } from '../../../agent/contract/hotspot.ts';
import {
  makeSetupCode,
  SETUP_CODE_FILE,
  type SetupCode,
  setupCodeHash,
} from '../../../agent/contract/setup-code.ts';
import type { BootFile } from './fat.ts';

export interface Codes {
  /** Printed on the label; the card holds only its hash. */
  readonly setupCode: string;
  /** Printed on the label and stored on the card. */
  readonly hotspotKey: string;
}

export function makeCodes(): Codes {
  return { setupCode: makeSetupCode(), hotspotKey: makeSetupCode().replaceAll('-', '').toLowerCase() };
}

export interface Enrolment {
  readonly site: string;
  readonly box: string;
  readonly url: string;
  /** Null if the room accepts the box by hand. */
  readonly token: string | null;
}

/** @throws AgentError `config` if URL or token are malformed */
export function enrolFile(enrolment: Enrolment): BootFile {
  const request = { version: 1, ...enrolment };
  if (Value.Check(EnrolRequest, request)) return json(`vigie/${ENROL_FILE}`, request);
  // The message does not repeat the token.
  const { path } = [...Value.Errors(EnrolRequest, request)][0] ?? { path: '' };
  const right =
    path === '/token' ? '--token: 27 to 64 letters, digits, - and _' : '--room: https://host[:port]';
  throw new AgentError('config', `${right} is expected`);
}

export function codeFiles({ setupCode, hotspotKey }: Codes, now: Date): BootFile[] {
  return [
    setupCodeFile(setupCode, now),
    { path: `vigie/${HOTSPOT_KEY_FILE}`, content: Buffer.from(`${hotspotKey}\n`) },
  ];
}

export function setupCodeFile(code: string, now: Date): BootFile {
  const content: SetupCode = { version: 1, sha256: setupCodeHash(code), made: now.toISOString() };
  return json(`vigie/${SETUP_CODE_FILE}`, content);
}

export function json(path: string, content: object): BootFile {
  return { path, content: Buffer.from(`${JSON.stringify(content, null, 2)}\n`) };
}

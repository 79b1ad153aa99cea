/**
 * Issues certificates on an operator's command: for servers, for programs of the room, and for a box whose request was
 * brought by hand.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { writeAtomically } from '../../../../agent/base/atomic-file.ts';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import type { Authority, Profile } from './authority.ts';
import type { Enrolment } from './enrolment.ts';
import { readRequest } from './request.ts';
import type { EnrolStore } from './store.ts';

/** Creates a key (PEM, EC on P-256) and a signing request (DER). */
export function newRequest(commonName: string): { readonly key: string; readonly csr: Buffer } {
  const output = openssl([
    ...['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', '-'],
    ...['-subj', `/CN=${commonName}`],
  ]);
  const [key] = /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----\n/.exec(output) ?? [];
  const csr = requestIn(output);
  if (key === undefined || csr === undefined) throw new AgentError('unavailable', 'openssl req made no key');
  return { key, csr };
}

/** Extracts a request from a PEM text, as DER. */
function requestIn(text: string): Buffer | undefined {
  const pem = /-----BEGIN (?:NEW )?CERTIFICATE REQUEST-----([^-]+)-----END/.exec(text)?.[1];
  return pem === undefined ? undefined : Buffer.from(pem, 'base64');
}

/** Returns `DNS:…` or `IP:…`, as certificates name a host. */
export function hostName(host: string): string {
  return `${isIP(host) === 0 ? 'DNS' : 'IP'}:${host}`;
}

/**
 * Issues key and certificate of a server for boxes, mainly the broker. Also writes the certificates of both authorities
 * for its configuration.
 */
export async function issueServer(
  { authority, programs, store }: Enrolment,
  host: string,
  { out, file, days }: { readonly out: string; readonly file: string; readonly days: number },
): Promise<string[]> {
  const commonName = host.slice(0, 64);
  const profile = { use: 'server', commonName, names: [hostName(host)], days } as const;
  const { key, pem } = await issuePair(store, 'host', authority, profile);
  return [
    write(out, `${file}.key`, key, 0o600),
    write(out, `${file}.crt`, pem, 0o644),
    write(out, 'ca.crt', authority.certificate, 0o644),
    write(out, 'programs-ca.crt', programs.certificate, 0o644),
  ];
}

/**
 * Issues key and certificate of a program of the room, from the authority that issues none for boxes, and gives it the
 * rights of its role. `name` is `ROLE.NAME`.
 */
export async function issueProgram(
  enrolment: Enrolment,
  name: string,
  { out, days }: { readonly out: string; readonly days: number },
): Promise<string[]> {
  const { programs, store } = enrolment;
  const { key, pem } = await issuePair(store, 'program', programs, { use: 'client', commonName: name, days });
  enrolment.writeBoxes();
  return [write(out, `${name}.key`, key, 0o600), write(out, `${name}.crt`, pem, 0o644)];
}

/** Creates a key and its certificate (PEM), and records the certificate. */
async function issuePair(
  store: EnrolStore,
  use: 'host' | 'program',
  authority: Authority,
  profile: Profile,
): Promise<{ readonly key: string; readonly pem: string }> {
  const { key, csr } = newRequest(profile.commonName);
  const { key: hash } = await readRequest(csr.toString('base64'));
  const nowMs = Date.now();
  const asking = {
    box: profile.commonName,
    key: hash,
    nowMs,
    issue: () => authority.issue(csr, profile, nowMs),
  };
  return { key, pem: store.record(use, asking).pem };
}

/**
 * Signs a request that was brought by hand (PEM or DER).
 * @throws {AgentError} if the request is not from this box
 */
export async function signRequest(
  enrolment: Enrolment,
  { site, box }: { readonly site: string; readonly box: string },
  { file, days }: { readonly file: string; readonly days: number },
): Promise<string> {
  const { csr, commonName, key } = await readRequest(readFile(file).toString('base64'));
  if (commonName !== box) {
    throw new AgentError('config', `${file}: asks for ${commonName}, and the box is ${box}`);
  }
  const nowMs = Date.now();
  const { authority, store } = enrolment;
  const pem = store.byOperator(site, {
    box,
    key,
    nowMs,
    issue: () => authority.issue(csr, { use: 'client', commonName, days }, nowMs),
  });
  enrolment.writeBoxes();
  return pem;
}

/** Reads a request as DER. */
function readFile(file: string): Buffer {
  try {
    const content = readFileSync(file);
    return requestIn(content.toString('latin1')) ?? content;
  } catch (error) {
    throw new AgentError('config', `${file}: cannot be read: ${messageOf(error)}`, error);
  }
}

function write(folder: string, name: string, text: string, mode: number): string {
  const file = join(folder, name);
  try {
    writeAtomically(file, text, mode);
  } catch (error) {
    throw new AgentError('config', `${file}: cannot be written: ${messageOf(error)}`, error);
  }
  return file;
}

function openssl(args: readonly string[]): string {
  try {
    return execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    throw new AgentError('unavailable', `openssl ${args[0] ?? ''} failed: ${messageOf(error)}`, error);
  }
}

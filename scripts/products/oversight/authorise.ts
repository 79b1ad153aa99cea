/** `vigie-oversight authorise`: signs an authorisation on the authority's offline machine, not on a box. */
import { createPublicKey } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { isMap, isScalar, parseDocument } from 'yaml';
import { systemClock } from '../../../agent/base/clock.ts';
import { AgentError, messageOf } from '../../../agent/base/errors.ts';
import { authorisationLines } from '../../../agent/cli/authorisation-lines.ts';
import { print } from '../../../agent/cli/print.ts';
import { signingKey } from '../../../agent/cli/signing-key.ts';
import { oneOf } from '../../../agent/config/words.ts';
import { AUTHORISATION_TYPE, type Authorisation } from '../../../agent/contract/authorisation.ts';
import { authorisedForm, configuredStream } from '../../../agent/contract/camera-address.ts';
import { CommandRefused } from '../../../agent/contract/command.ts';
import { isRuleKind, RULE_KINDS } from '../../../agent/contract/rule-config.ts';
import { authorisedAddress, newSalt } from '../../../agent/orders/camera-pin.ts';
import { keyIdOf, signEnvelope } from '../../../agent/orders/dsse.ts';
import { checkedAuthorisation, openAuthorisation } from '../../../agent/orders/signed-authorisation.ts';

export interface AuthoriseOptions {
  readonly sign: string;
  readonly out: string;
}

/** ISO 8601 with an offset: an authorisation must mean the same time on every machine. */
const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2})$/;

export function authorise(file: string, { sign, out }: AuthoriseOptions): void {
  const key = signingKey(sign);
  const content = readAuthorisation(file);
  const nowMs = systemClock.wallMs();
  if (!(nowMs < Date.parse(content.notAfter))) {
    const now = new Date(nowMs).toISOString();
    throw new AgentError(
      'config',
      `${file}: notAfter: ${content.notAfter} is in the past (this machine’s clock: ${now}); write a later time`,
    );
  }
  const envelope = signEnvelope(AUTHORISATION_TYPE, JSON.stringify(content), key);
  openAuthorisation(Buffer.from(envelope), createPublicKey(key));
  try {
    writeFileSync(out, envelope, { mode: 0o644 });
  } catch (error) {
    throw new AgentError('config', `--out: ${out} cannot be written: ${messageOf(error)}`, error);
  }
  print(`${out}: signed by ${keyIdOf(key)}`, ...authorisationLines(content));
}

function readAuthorisation(file: string): Authorisation {
  let parsed: unknown;
  let written: unknown;
  try {
    const document = parseDocument(readFileSync(file, 'utf8'));
    const [error] = [...document.errors, ...document.warnings];
    if (error !== undefined) throw error;
    parsed = document.toJS();
    const number = isMap(document.contents) ? document.contents.get('order', true) : undefined;
    written = isScalar(number) ? number.source : undefined;
  } catch (error) {
    throw new AgentError('config', `${file} cannot be read (${messageOf(error).slice(0, 300)})`, error);
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new AgentError('config', `${file}: not an authorisation; see docs/guide/authorisation.md`);
  }
  const fields = parsed as Record<string, unknown>;
  if ('payloadType' in fields) {
    throw new AgentError('config', `${file}: already signed; name the unsigned authorisation, in YAML`);
  }
  const content = {
    ...fields,
    // Keeps the number as written: 2026.10 is not 2026.1.
    ...('order' in fields && { order: String(written ?? fields['order']) }),
    ...pinnedStreams(fields),
    ...Object.fromEntries(
      ['notBefore', 'notAfter'].map((name) => [name, timeOf(`${file}: ${name}`, fields[name])]),
    ),
  };
  const checked = refusedAsConfig(file, () => checkedAuthorisation(content));
  for (const [index, { kind }] of checked.rules.entries()) {
    if (isRuleKind(kind)) continue;
    throw new AgentError(
      'config',
      `${file}: /rules/${index}/kind: "${kind}" is not a rule; use ${oneOf(RULE_KINDS)}`,
    );
  }
  return checked;
}

/** Returns the streams whose keys the clerk wrote themselves, with digests of this authorisation instead. */
function pinnedStreams(fields: Record<string, unknown>): Record<string, string> {
  const salt = newSalt();
  const streams = ['camera', 'substream'].flatMap((name): [string, string][] => {
    const text = String(fields[name]);
    const stream = configuredStream(text);
    // Another form, and a login, are refused afterwards.
    const isPinned = stream?.kind === 'rtsp' && authorisedForm(stream, (value) => value) === text;
    return isPinned ? [[name, authorisedAddress(text, salt)]] : [];
  });
  return Object.fromEntries(streams);
}

function timeOf(place: string, value: unknown): string {
  if (value === undefined) {
    throw new AgentError('config', `${place}: is missing; write 2026-11-24T00:00:00+01:00`);
  }
  const text = value instanceof Date ? value.toISOString() : String(value);
  const ms = TIME.test(text) ? Date.parse(text) : Number.NaN;
  // Otherwise 30 February would be read as 2 March, and 24:00 as the next day.
  const wallMs = Date.parse(text.replace(/[+-]\d{2}:\d{2}$/, 'Z'));
  if (!Number.isNaN(ms) && new Date(wallMs).toISOString().startsWith(text.slice(0, 16)))
    return new Date(ms).toISOString();
  throw new AgentError('config', `${place}: invalid time "${text}"; use 2026-11-24T00:00:00+01:00`);
}

function refusedAsConfig<T>(file: string, operation: () => T): T {
  try {
    return operation();
  } catch (error) {
    if (!(error instanceof CommandRefused)) throw error;
    throw new AgentError('config', `${file}: ${error.message}`, error);
  }
}

/** `vigie authorise`: an order is signed, at the authority's desk, on no box. */
import { createPublicKey } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { isMap, isScalar, parseDocument } from 'yaml';
import { systemClock } from '../base/clock.ts';
import { AgentError, messageOf } from '../base/errors.ts';
import { oneOf } from '../config/words.ts';
import { AUTHORISATION_TYPE, type Authorisation } from '../contract/authorisation.ts';
import { CommandRefused } from '../contract/command.ts';
import { isRuleKind, RULE_KINDS } from '../contract/rule-config.ts';
import type { TrackGrade, TrackLogGrant } from '../contract/track-log.ts';
import { keyIdOf, publicKeyOf, signEnvelope } from '../orders/dsse.ts';
import { checkedAuthorisation, openAuthorisation } from '../orders/signed-order.ts';
import { print } from './print.ts';
import { signingKey } from './signing-key.ts';

export interface AuthoriseOptions {
  readonly sign: string;
  readonly out: string;
}

/** ISO 8601 with its offset: an order must not mean another hour on another machine. */
const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2})$/;

export function authorise(file: string, { sign, out }: AuthoriseOptions): void {
  const key = signingKey(sign);
  const content = readOrder(file);
  const nowMs = systemClock.wallMs();
  if (!(nowMs < Date.parse(content.notAfter))) {
    const now = new Date(nowMs).toISOString();
    throw new AgentError(
      'config',
      `${file}: notAfter: ${content.notAfter} is over, and it is ${now} by this machine’s clock: the order would allow nothing; write a later time`,
    );
  }
  const envelope = signEnvelope(AUTHORISATION_TYPE, JSON.stringify(content), key);
  openAuthorisation(Buffer.from(envelope), createPublicKey(key));
  try {
    writeFileSync(out, envelope, { mode: 0o644 });
  } catch (error) {
    throw new AgentError('config', `--out ${out} cannot be written: ${messageOf(error)}`, error);
  }
  print(`${out}: signed by ${keyIdOf(key)}`, ...orderLines(content));
}

/** What an order says, a line each; of its keys what can be compared with what their holders have read out. */
export function orderLines(content: Authorisation): string[] {
  const { order, authority, site, box, camera, rules, notBefore, notAfter, retention, resumeKeys } = content;
  const { substream, outlines = [], masks = [], ageRecipients: recipients = [], tracks } = content;
  const holders = resumeKeys.map(({ name, publicKey }) => [
    '',
    `${name}  ${keyIdOf(publicKeyOf(publicKey))}`,
  ]);
  return [
    [content.installation === true ? 'permit' : 'order', `${order} of ${authority}`],
    ['for', `${box} at ${site}, camera ${camera}${substream === undefined ? '' : ` or ${substream}`}`],
    ['valid', `from ${notBefore} until ${notAfter}`],
    ...rules.map(({ kind, zones, purpose, legalBasis, shadow }, index) => {
      const where = zones === 'all' ? 'everywhere' : `in ${zones.join(', ')}`;
      const how = shadow === true ? ', only counted (shadow)' : '';
      return [index === 0 ? 'allows' : '', `${kind} ${where} for ${purpose}${how}: ${legalBasis}`];
    }),
    ...(content.installation === true
      ? [['allows', 'to look while the box is installed; NO rule runs']]
      : []),
    ...outlines.map(({ id, polygon }, index) => [
      index === 0 ? 'outlines' : '',
      `${id} only inside ${cornersText(polygon)}`,
    ]),
    ...masks.map(({ id, polygon }, index) => [
      index === 0 ? 'masks' : '',
      `${id}: black in every picture: ${cornersText(polygon)}`,
    ]),
    [
      'keeps',
      `events ${retention.eventsDays} days at most, snapshots ${retention.snapshotsDays}, sealed evidence ${retention.sealedDays}`,
    ],
    ...trackLines(tracks),
    ['resumes', 'with two keys of:'],
    ...holders,
    ['seals', recipients.length === 0 ? 'nothing: no recipient is named' : 'evidence to:'],
    ...recipients.map((recipient) => ['', recipient]),
  ].map(([name = '', text = '']) => `  ${name.padEnd(9)} ${text}`);
}

const GRADES: Readonly<Record<TrackGrade, string>> = {
  counts: 'EVERYTHING that passes is kept; only numbers are told',
  vehicles: 'vehicles that pass are kept and told',
  persons: 'EVERYBODY and everything that passes is kept and told, persons to two who sign together',
};

/** What is kept of all that passes; none is the usual order. */
function trackLines(tracks: TrackLogGrant | undefined): string[][] {
  if (tracks === undefined) return [['tracks', 'none: what raises no alert is not kept']];
  const {
    grade,
    days,
    purpose,
    legalBasis,
    magistrate,
    zones,
    notKept = [],
    colour,
    spanHours,
    budget,
  } = tracks;
  const by = magistrate === undefined ? '' : `; authorised by ${magistrate}`;
  const { case: number, keyDay, day } = budget;
  return [
    ['tracks', `${GRADES[grade]}, for ${days} days, for ${purpose}: ${legalBasis}${by}`],
    ...(zones === 'all'
      ? []
      : zones.map(({ id, polygon }) => ['', `${id}: only inside ${cornersText(polygon)}`])),
    ...notKept.map(({ id, polygon }) => ['', `${id}: nothing that touches ${cornersText(polygon)}`]),
    ...(colour === true ? [['', 'with the names of the colours of vehicles']] : []),
    [
      '',
      `a question looks at ${spanHours} h; ${number} tracks a case, ${keyDay} a key and day, ${day} a day`,
    ],
  ];
}

/** `(0.1, 0.25) (0.9, 0.25) (0.9, 0.8)` */
const cornersText = (polygon: readonly (readonly number[])[]): string =>
  polygon.map(([x = 0, y = 0]) => `(${rounded(x)}, ${rounded(y)})`).join(' ');
const rounded = (share: number): number => Number(share.toFixed(4));

function readOrder(file: string): Authorisation {
  let order: unknown;
  let written: unknown;
  try {
    const document = parseDocument(readFileSync(file, 'utf8'));
    const [fault] = [...document.errors, ...document.warnings];
    if (fault !== undefined) throw fault;
    order = document.toJS();
    const number = isMap(document.contents) ? document.contents.get('order', true) : undefined;
    written = isScalar(number) ? number.source : undefined;
  } catch (error) {
    throw new AgentError('config', `${file} cannot be read (${messageOf(error).slice(0, 300)})`, error);
  }
  if (typeof order !== 'object' || order === null || Array.isArray(order)) {
    throw new AgentError('config', `${file}: no order; docs/guide/authorisation.md shows one`);
  }
  const given = order as Record<string, unknown>;
  if ('payloadType' in given) {
    throw new AgentError('config', `${file}: is signed already; give the order as it was written, in YAML`);
  }
  const content = {
    ...given,
    // Numbers of orders often look like numbers: 2026.10 is not 2026.1.
    ...('order' in given && { order: String(written ?? given['order']) }),
    ...Object.fromEntries(
      ['notBefore', 'notAfter'].map((name) => [name, timeOf(`${file}: ${name}`, given[name])]),
    ),
  };
  const checked = refusedAsConfig(file, () => checkedAuthorisation(content));
  for (const [index, { kind }] of checked.rules.entries()) {
    if (isRuleKind(kind)) continue;
    throw new AgentError(
      'config',
      `${file}: /rules/${index}/kind: "${kind}" is no rule; use ${oneOf(RULE_KINDS)}`,
    );
  }
  return checked;
}

function timeOf(where: string, value: unknown): string {
  if (value === undefined) {
    throw new AgentError('config', `${where}: is missing; write 2026-11-24T00:00:00+01:00`);
  }
  const text = value instanceof Date ? value.toISOString() : String(value);
  const ms = TIME.test(text) ? Date.parse(text) : Number.NaN;
  // 30 February would be read as 2 March, and 24:00 as the next day.
  const wallMs = Date.parse(text.replace(/[+-]\d{2}:\d{2}$/, 'Z'));
  if (!Number.isNaN(ms) && new Date(wallMs).toISOString().startsWith(text.slice(0, 16)))
    return new Date(ms).toISOString();
  throw new AgentError('config', `${where}: "${text}" is no time; write 2026-11-24T00:00:00+01:00`);
}

function refusedAsConfig<T>(file: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (!(error instanceof CommandRefused)) throw error;
    throw new AgentError('config', `${file}: ${error.message}`, error);
  }
}

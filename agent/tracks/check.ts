/**
 * Checks a question to the log of tracks.
 *
 * INVARIANT: a question that exceeds the authorisation's grade is refused as a whole; no part of it is answered.
 */
import type { KeyObject } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { CommandRefused } from '../contract/command.ts';
import type { CommandKey, Config } from '../contract/config.ts';
import { covers, polygonFault } from '../contract/polygon.ts';
import {
  COUNT_STEP_MS,
  type FoundTrack,
  isKept,
  PERSONS_SPAN_HOURS_MAX,
  TRACK_APPROVAL_BYTES_MAX,
  TRACK_APPROVAL_TYPE,
  TrackApproval,
  type TrackArgs,
  type TrackLogGrant,
  type TrackPlace,
  type TrackQuestion,
} from '../contract/track-log.ts';
import { envelopeOpener, keyIdOf, ofForm, parseJson, publicKeyOf } from '../orders/dsse.ts';
import { CLASSES } from './rows.ts';

const HOUR_MS = 3_600_000;
/** Longest possible retention, plus a day. */
const COVERAGE_HOURS_MAX = 744;

const refused = (path: string, message: string): CommandRefused =>
  new CommandRefused('bad-arguments', `tracks: /question/${path}: ${message}`);
const beyond = (message: string): CommandRefused => new CommandRefused('not-permitted', `tracks: ${message}`);

/** Returns the classes that the question concerns. Throws CommandRefused. */
export function checkedQuestion(question: TrackQuestion, grant: TrackLogGrant): FoundTrack['class'][] {
  const { from, to, view, where, answer } = question;
  const spanMs = Date.parse(to) - Date.parse(from);
  if (!(spanMs > 0)) throw refused('to', `${to} is not after from ${from}`);
  if (where !== undefined && view === undefined)
    throw refused('view', 'is needed with where: the view that the place was drawn on');
  if (answer === 'coverage' && where !== undefined)
    throw refused('where', 'coverage is of the whole picture; leave where out');
  checkPlace(where, grant);
  checkColours(question, grant);
  const classes = classesOf(question, grant);
  checkSpan(spanMs, question, classes, grant);
  if (grant.grade === 'counts') checkCounts(question);
  return classes;
}

/** True if the question lists individual persons, which requires the signature of a second key. */
export function needsApproval(
  { answer }: TrackQuestion,
  classes: readonly FoundTrack['class'][],
  { grade }: TrackLogGrant,
): boolean {
  return answer !== 'coverage' && grade === 'persons' && !classes.every((name) => isKept('vehicles', name));
}

function classesOf({ classes }: TrackQuestion, { grade }: TrackLogGrant): FoundTrack['class'][] {
  const allowed = CLASSES.filter((name) => isKept(grade, name));
  const other = classes?.find((name) => !allowed.includes(name));
  if (other !== undefined)
    throw beyond(`the order keeps ${allowed.join(', ')} only (grade ${grade}), not ${other}`);
  return classes ?? allowed;
}

function checkSpan(
  spanMs: number,
  question: TrackQuestion,
  classes: readonly FoundTrack['class'][],
  grant: TrackLogGrant,
): void {
  const ofPersons = needsApproval(question, classes, grant);
  const allowed = question.answer === 'coverage' ? COVERAGE_HOURS_MAX : grant.spanHours;
  const hours = ofPersons ? Math.min(allowed, PERSONS_SPAN_HOURS_MAX) : allowed;
  if (spanMs <= hours * HOUR_MS) return;
  const whom = ofPersons ? ' about persons' : '';
  throw beyond(
    `one question${whom} may look at ${hours} h at most; from and to are ${(spanMs / HOUR_MS).toFixed(1)} h apart`,
  );
}

function checkCounts({ from, to, daily, answer }: TrackQuestion): void {
  if (answer === 'tracks') throw beyond('the order allows counts only (grade counts); ask with answer count');
  if (answer === 'coverage') return;
  for (const [name, text] of Object.entries({ from, to })) {
    if (Date.parse(text) % COUNT_STEP_MS !== 0)
      throw refused(name, `under the grade counts it must be a whole multiple of ten minutes; it is ${text}`);
  }
  for (const text of daily === undefined ? [] : [daily.from, daily.to]) {
    if (!text.endsWith('0'))
      throw refused(
        'daily',
        `under the grade counts its times must be whole multiples of ten minutes; one is ${text}`,
      );
  }
}

function checkColours({ colours, answer }: TrackQuestion, { colour = false }: TrackLogGrant): void {
  if (colours === undefined) return;
  if (!colour) throw beyond('the order does not allow colours (tracks.colour)');
  if (answer !== 'tracks')
    throw refused('colours', 'they only put tracks in order; leave them out of a count');
}

function checkPlace(where: TrackPlace | undefined, { zones }: TrackLogGrant): void {
  if (where === undefined) return;
  const points = 'line' in where ? where.line : where.polygon;
  const fault = 'line' in where ? lineFault(where.line) : polygonFault(where.polygon);
  if (fault !== undefined) throw refused('where', fault);
  if ('does' in where && where.atLeastS > 0 && (where.does === 'enters' || where.does === 'leaves'))
    throw refused('where/atLeastS', `must be 0 for ${where.does}`);
  if (zones === 'all' || zones.some(({ polygon }) => covers(polygon, points))) return;
  const names = zones.map(({ id }) => id).join(', ');
  throw beyond(`the place must lie inside one area in which the order lets the box keep tracks: ${names}`);
}

function lineFault([from, to]: readonly [readonly [number, number], readonly [number, number]]) {
  return from[0] === to[0] && from[1] === to[1] ? 'the two ends of the line are the same point' : undefined;
}

const openApproval = envelopeOpener({
  payloadType: TRACK_APPROVAL_TYPE,
  bytesMax: TRACK_APPROVAL_BYTES_MAX,
  signatures: 1,
  keysIn: 'commands.keys of this box',
});

/**
 * Returns the name of the second key, which has signed the same question in the same case. Throws CommandRefused.
 * @param asker name of the key of the command
 */
export function approvedBy(
  { approval, case: number, reason, question }: TrackArgs,
  asker: string,
  { site, box, commands }: Pick<Config, 'site' | 'box' | 'commands'>,
  nowMs: number,
): string {
  if (approval === undefined)
    throw beyond('a question about persons needs the approval of a second key (args.approval)');
  const known = new Map<string, CommandKey>();
  const publicKeys = new Map<string, KeyObject>();
  for (const key of commands.keys.filter(({ may }) => may.includes('tracks'))) {
    const publicKey = publicKeyOf(key.publicKey);
    known.set(keyIdOf(publicKey), key);
    publicKeys.set(keyIdOf(publicKey), publicKey);
  }
  const { keyids, payload } = openEnvelope(approval, publicKeys);
  const said = ofForm(TrackApproval, parseJson(payload, 'the approval'), 'not an approval');
  const name = known.get(keyids[0] ?? '')?.name ?? '';
  const asked = { case: number, reason, question };
  const approved = { case: said.case, reason: said.reason, question: said.question };
  if (name === asker) throw beyond('the approval must be of another key than the question');
  if (said.site !== site || said.box !== box) throw beyond(`the approval is for ${said.box} at ${said.site}`);
  if (!(Date.parse(said.notBefore) <= nowMs && nowMs <= Date.parse(said.notAfter)))
    throw beyond(`the approval is valid from ${said.notBefore} to ${said.notAfter}`);
  if (!isDeepStrictEqual(asked, approved))
    throw beyond('the approval is of another question, case or reason');
  return name;
}

function openEnvelope(approval: NonNullable<TrackArgs['approval']>, keys: ReadonlyMap<string, KeyObject>) {
  return openApproval(Buffer.from(JSON.stringify(approval)), keys);
}

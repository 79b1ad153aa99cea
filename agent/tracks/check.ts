/**
 * Checks a question to the log of tracks.
 *
 * INVARIANT: a question that exceeds the authorisation's grade is refused as a whole; no part of it is answered.
 */
import type { KeyObject } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { CommandRefused } from '../contract/command.ts';
import type { Config, Keyholder } from '../contract/config.ts';
import { covers, polygonProblem } from '../contract/polygon.ts';
import { approvalProblem, TRACK_APPROVAL_TYPE, TrackApproval } from '../contract/track-approval.ts';
import {
  COUNT_STEP_MS,
  type FoundTrack,
  isKept,
  PERSONS_SPAN_HOURS_MAX,
  TRACK_APPROVAL_BYTES_MAX,
  type TrackArgs,
  type TrackLogGrant,
  type TrackPlace,
  type TrackQuestion,
} from '../contract/track-log.ts';
import { envelopeOpener, keyIdOf, ofForm, parseJson, publicKeyOf } from '../orders/dsse.ts';
import { CLASSES } from './rows.ts';

/** Time by which a question may end after the box's time, in ms: the difference between clocks that are set. */
const AHEAD_MS_MAX = 60_000;
const HOUR_MS = 3_600_000;
/** Longest possible retention, plus a day. */
const COVERAGE_HOURS_MAX = 744;

const badArgument = (path: string, message: string): CommandRefused =>
  new CommandRefused('bad-arguments', `tracks: /question/${path}: ${message}`);
const notPermitted = (message: string): CommandRefused =>
  new CommandRefused('not-permitted', `tracks: ${message}`);

/** Returns the classes that the question concerns. Throws CommandRefused. */
export function checkedQuestion(
  question: TrackQuestion,
  grant: TrackLogGrant,
  nowMs: number,
): FoundTrack['class'][] {
  const { from, to, view, where: place, answer } = question;
  const spanMs = Date.parse(to) - Date.parse(from);
  if (!(spanMs > 0)) throw badArgument('to', `${to} is not after from ${from}`);
  // An approved question whose end lies ahead, sent again and again, would tell where people are now.
  if (Date.parse(to) > nowMs + AHEAD_MS_MAX)
    throw badArgument('to', `${to} lies ahead; this box’s clock says ${new Date(nowMs).toISOString()}`);
  if (place !== undefined && view === undefined)
    throw badArgument('view', 'is needed with where: the view that the place was drawn on');
  if (answer === 'coverage' && place !== undefined)
    throw badArgument('where', 'coverage applies to the complete picture; leave where out');
  checkPlace(place, grant);
  checkColours(question, grant);
  const classes = classesOf(question, grant);
  checkSpan(spanMs, question, classes, grant);
  if (grant.grade === 'counts') checkCounts(question);
  return classes;
}

/** True if the question is about persons, which requires the signature of an approver. */
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
    throw notPermitted(`the authorisation stores ${allowed.join(', ')} only (grade ${grade}), not ${other}`);
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
  const subjectText = ofPersons ? ' about persons' : '';
  throw notPermitted(
    `one question${subjectText} may cover at most ${hours} h; from and to are ${(spanMs / HOUR_MS).toFixed(1)} h apart`,
  );
}

function checkCounts({ from, to, daily, answer }: TrackQuestion): void {
  if (answer === 'tracks')
    throw notPermitted('the authorisation allows only counts (grade counts); ask with answer count');
  if (answer === 'coverage') return;
  for (const [name, text] of Object.entries({ from, to })) {
    if (Date.parse(text) % COUNT_STEP_MS !== 0)
      throw badArgument(name, `under the grade counts it must be a multiple of ten minutes; it is ${text}`);
  }
  for (const text of daily === undefined ? [] : [daily.from, daily.to]) {
    if (!text.endsWith('0'))
      throw badArgument(
        'daily',
        `under the grade counts its times must be multiples of ten minutes; one is ${text}`,
      );
  }
}

function checkColours({ colours, answer }: TrackQuestion, { colour = false }: TrackLogGrant): void {
  if (colours === undefined) return;
  if (!colour) throw notPermitted('the authorisation does not allow colours (tracks.colour)');
  if (answer !== 'tracks') throw badArgument('colours', 'they only sort tracks; leave them out of a count');
}

function checkPlace(place: TrackPlace | undefined, { zones }: TrackLogGrant): void {
  if (place === undefined) return;
  const points = 'line' in place ? place.line : place.polygon;
  const problem = 'line' in place ? lineProblem(place.line) : polygonProblem(place.polygon);
  if (problem !== undefined) throw badArgument('where', problem);
  if ('does' in place && place.atLeastS > 0 && (place.does === 'enters' || place.does === 'leaves'))
    throw badArgument('where/atLeastS', `must be 0 for ${place.does}`);
  if (zones === 'all' || zones.some(({ polygon }) => covers(polygon, points))) return;
  const names = zones.map(({ id }) => id).join(', ');
  throw notPermitted(`the place must lie inside one area in which the authorisation allows tracks: ${names}`);
}

function lineProblem([from, to]: readonly [readonly [number, number], readonly [number, number]]) {
  return from[0] === to[0] && from[1] === to[1] ? 'the two ends of the line are the same point' : undefined;
}

const openApproval = envelopeOpener({
  payloadType: TRACK_APPROVAL_TYPE,
  bytesMax: TRACK_APPROVAL_BYTES_MAX,
  signatures: 1,
  keysIn: 'tracks.approvers of the authorisation',
});

/**
 * Returns the name of the approver, who has signed the same question in the same case. The authorisation names the
 * approvers, so the keys of the configuration are not enough. Throws CommandRefused.
 * @param asker name of the key of the command
 */
export function approvedBy(
  { approval, case: number, reason, question }: TrackArgs,
  asker: string,
  { site, box, commands }: Pick<Config, 'site' | 'box' | 'commands'>,
  approvers: readonly Keyholder[],
  nowMs: number,
): string {
  if (approvers.length === 0)
    throw notPermitted(
      'the authorisation lacks tracks.approvers, so no question about persons is answered; ask the authority for one that names approvers',
    );
  // Keys are compared and not names, because the configuration may name the same key otherwise.
  const askingKeys = commands.keys.filter(({ name }) => name === asker).map(({ publicKey }) => publicKey);
  const asking = approvers.find(({ publicKey }) => askingKeys.includes(publicKey));
  if (asking !== undefined)
    throw notPermitted(
      `the asking key ${asker} is the approver ${asking.name} of the authorisation; an approver does not ask, so ask with another key`,
    );
  if (approval === undefined) {
    const names = approvers.map(({ name }) => name).join(', ');
    throw notPermitted(
      `a question about persons needs the approval of a second key (args.approval), of one approver in the authorisation: ${names}`,
    );
  }
  const keys = new Map<string, KeyObject>();
  const approversById = new Map<string, Keyholder>();
  for (const approver of approvers) {
    const publicKey = publicKeyOf(approver.publicKey);
    keys.set(keyIdOf(publicKey), publicKey);
    approversById.set(keyIdOf(publicKey), approver);
  }
  const { keyids, payload } = openApproval(Buffer.from(JSON.stringify(approval)), keys);
  const approver = approversById.get(keyids[0] ?? '');
  if (approver === undefined) throw notPermitted('the approval is of no approver');
  const content = ofForm(TrackApproval, parseJson(payload, 'the approval'), 'not an approval');
  if (content.site !== site || content.box !== box)
    throw notPermitted(`the approval is for ${content.box} at ${content.site}`);
  const validity = approvalProblem(content, nowMs);
  if (validity !== undefined) throw notPermitted(`the approval ${validity}`);
  const request = { case: number, reason, question };
  const approved = { case: content.case, reason: content.reason, question: content.question };
  if (!isDeepStrictEqual(request, approved))
    throw notPermitted('the approval is of another question, case or reason');
  return approver.name;
}

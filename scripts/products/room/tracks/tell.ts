/** Prints the answer of a track log for a person: a line for each track or gap, and a summary. */
import { printable } from '../../../../agent/base/printable.ts';
import { durationText, numberText, type SiteTime } from '../../../../agent/base/site-time.ts';
import { print, printNote } from '../../../../agent/cli/print.ts';
import type {
  Colour,
  FoundTrack,
  TrackArgs,
  TrackQuestion,
  TrackView,
} from '../../../../agent/contract/track-log.ts';
import { roundedRatio } from '../contract/rounded-ratio.ts';
import type { FetchedTracks } from '../questions/tracks/fetch.ts';
import { type Gap, timelineOf } from '../questions/tracks/timeline.ts';
import { GAP_WORDS } from './words.ts';

export function tell(args: TrackArgs, question: TrackQuestion, fetched: FetchedTracks, time: SiteTime): void {
  const { result, tracks } = fetched;
  const { coverage, views, matches } = result;
  if (question.answer === 'count') print(`${numberText(matches)} track${matches === 1 ? '' : 's'}`);
  if (question.answer === 'coverage') print(...views.map((view) => viewLine(view, time)));
  const wantedColours = question.colours ?? [];
  for (const row of timelineOf(tracks, coverage.gaps)) {
    print(row.kind === 'gap' ? gapLine(row.gap, time) : trackLine(row.track, wantedColours, time));
  }
  printNote(...summary(args, question, fetched, time));
}

/** Returns the summary lines for standard error. */
function summary(args: TrackArgs, question: TrackQuestion, fetched: FetchedTracks, time: SiteTime): string[] {
  const { result, tracks, restCount, stopped } = fetched;
  const { coverage, left, kept, matches } = result;
  const { from, to } = question;
  const span = [from, to].map((text) => time.rfc3339(Date.parse(text))).join(' to ');
  const givenText = {
    tracks: `${numberText(tracks.length)} of ${numberText(matches)} matches given`,
    count: `${numberText(matches)} matches counted`,
    coverage: 'coverage only',
  }[question.answer];
  const gapRatio = Math.max(0, 1 - coverage.seen - coverage.watched);
  const wantedColours = question.colours ?? [];
  const hits = tracks.filter(({ colours }) => colours.some((name) => wantedColours.includes(name))).length;
  return [
    `case ${args.case}: ${givenText}, ${span}; ${percent(coverage.seen, 'down')} of the time seen, ` +
      `${percent(coverage.watched, 'down')} only watched, ${percent(gapRatio, 'up')} a gap`,
    `authorisation ${printable(result.order, 100)}, grade ${result.grade}, tracks are kept for ${kept.days} days` +
      `${kept.oldest === null ? '; none is there' : `, the oldest of ${time.rfc3339(Date.parse(kept.oldest))}`}`,
    ...(result.grade === 'persons' ? [approversLine(result.approvers)] : []),
    `left of the budgets: ${numberText(left.case)} tracks in this case, ${numberText(left.keyDay)} for this key and ` +
      `${numberText(left.day)} for all keys in 24 hours`,
    ...(wantedColours.length > 0 && question.answer === 'tracks'
      ? [
          `* has a colour that was asked for: ${hits} of ${tracks.length}; names of colours are often wrong, so none is left out`,
        ]
      : []),
    ...(coverage.more > 0 ? [`${numberText(coverage.more)} more gaps are not listed`] : []),
    ...(stopped !== undefined ? [`the rest was not given: ${printable(stopped, 800)}`] : []),
    ...(restCount > 0 && stopped === undefined
      ? [`${numberText(restCount)} matches were not fetched (--max)`]
      : []),
  ];
}

function approversLine(approvers: readonly string[]): string {
  if (approvers.length > 0)
    return `a question about persons needs the approval of one of: ${approvers.join(', ')}`;
  return 'no question about persons is answered: the authorisation names no approvers (tracks.approvers)';
}

/** Formats a track: time, class, colours (requested ones marked *), duration, span, track number and score. */
function trackLine(track: FoundTrack, wantedColours: readonly Colour[], time: SiteTime): string {
  const { at, from, to, colours, durationS, stoppedS, seen: isSeen, cut: isCut } = track;
  const colourNames = colours.map((name) => (wantedColours.includes(name) ? `${name}*` : name)).join(' ');
  const facts = [
    ...(durationS > 0 ? [`for ${durationText(durationS * 1000)}`] : []),
    ...(stoppedS > 0 ? [`stopped ${durationText(stoppedS * 1000)}`] : []),
    ...(isSeen ? [] : ['out of sight at that moment']),
    ...(isCut ? ['cut'] : []),
  ].join(', ');
  const span = `${time.rfc3339(Date.parse(from))} to ${time.rfc3339(Date.parse(to))}`;
  return [
    ...[time.rfc3339(Date.parse(at)), track.class, colourNames || '-', facts || '-', span],
    `track ${track.track}`,
    `score ${track.score.toFixed(2)}`,
  ].join('  ');
}

function gapLine({ from, to, why: reason }: Gap, time: SiteTime): string {
  const [fromMs, toMs] = [Date.parse(from), Date.parse(to)];
  return `${time.rfc3339(fromMs)}  GAP  ${durationText(toMs - fromMs)}, to ${time.rfc3339(toMs)}: ${GAP_WORDS[reason]}`;
}

/** Formats a view: `view 2026-11-24T08:00:00.000Z  2026-11-24T09:00:00+01:00 to now`. --view takes its name. */
function viewLine({ view, to }: TrackView, time: SiteTime): string {
  const end = to === null ? 'now' : time.rfc3339(Date.parse(to));
  return `view ${view}  ${time.rfc3339(Date.parse(view))} to ${end}`;
}

const percent = (ratio: number, round: 'down' | 'up'): string =>
  `${(roundedRatio(ratio, round) * 100).toFixed(1)} %`;

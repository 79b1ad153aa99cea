/** Turns a timeline into plain sentences and lists, for the text report and the page. */

import { durationText, numberText, type SiteTime } from '../../../../agent/base/site-time.ts';
import type { JournalContent } from '../../../../agent/contract/journal.ts';
import type { Uncounted } from '../timeline/frames.ts';
import type { MissingResume } from '../timeline/suspensions.ts';
import { type AtEnd, type Period, STATES, type State, type Timeline } from '../timeline/timeline.ts';
import { counted, short } from './counted.ts';
import { redrawnText } from './place-change-text.ts';
import { purgeText, searchText, tracksText, unsealText } from './record-texts.ts';
import { rolloutText } from './rollouts.ts';

export const STATE_NAMES: Readonly<Record<State, string>> = {
  active: 'Active: camera in use',
  suspended: 'Suspended: camera not in use',
  unauthorised: 'Not authorised: camera not in use',
  down: 'Down: the program did not run',
  unproved: 'Not proved: no entry says what it did',
};

/** Maximum number of lines of a list; longer ones are for programs. */
const LINES_MAX = 200;
const DETAILS_MAX = 300;
/** Entry types that are counted, since they are too many to list. */
const COUNTED = new Set(['heartbeat', 'alert']);

export interface Line {
  /** Time of the entry, if it has one. */
  readonly atMs: number | undefined;
  readonly timeText: string;
  readonly text: string;
}

export interface Section {
  readonly title: string;
  readonly lines: readonly Line[];
  /** Number of omitted lines. */
  readonly omittedCount: number;
}

export interface Account {
  /** Violations, one sentence each. */
  readonly alarms: readonly string[];
  readonly summary: readonly string[];
  readonly totals: Readonly<Record<State, number>>;
  readonly alerts: { readonly present: number; readonly erased: number };
  readonly sections: readonly Section[];
}

/** Returns the account; `atEnd` is the state at the journal's last entry. */
export function accountOf(timeline: Timeline, atEnd: AtEnd | undefined, time: SiteTime): Account {
  const totals = Object.fromEntries(STATES.map((state) => [state, 0])) as Record<State, number>;
  for (const { state, fromMs, toMs } of timeline.periods) totals[state] += toMs - fromMs;
  const alerts = { present: ofType(timeline, 'alert').length, erased: timeline.erased.get('alert') ?? 0 };
  return {
    totals,
    alerts,
    alarms: alarmsOf(timeline, time),
    summary: [...summaryOf(timeline, totals, alerts, time), ...endOf(timeline, atEnd, time)],
    sections: [
      section('When the camera was not in use', periodLines(timeline.periods, time)),
      section('What could not be proved', unprovedLines(timeline, time)),
      section('Suspensions, resumes and authorisations', restraintLines(timeline, time)),
      section('Searches in its archive', linesOf(timeline, time, searchText)),
      section('Questions to its log of tracks', linesOf(timeline, time, tracksText)),
      section('Unredacted stills that were asked for', linesOf(timeline, time, unsealText)),
      section('Changes: program, configuration, zones, model', linesOf(timeline, time, changeText)),
      section('Deleted and erased', linesOf(timeline, time, purgeText)),
      section('All other entries', otherLines(timeline, time)),
    ],
  };
}

type Of<T extends JournalContent['type']> = Extract<JournalContent, { type: T }>;

function ofType<T extends JournalContent['type']>(timeline: Timeline, type: T): Of<T>[] {
  return timeline.entries.flatMap(({ content }) => (content.type === type ? [content as Of<T>] : []));
}

function summaryOf(
  timeline: Timeline,
  totals: Readonly<Record<State, number>>,
  alerts: Account['alerts'],
  time: SiteTime,
): string[] {
  const { framesAtEdges, framesWhileOff, fromMs, toMs } = timeline;
  const off = totals.suspended + totals.unauthorised;
  const erasedText =
    alerts.erased > 0
      ? ` (${counted(alerts.erased, 'of their entries is', 'of their entries are')} erased)`
      : '';
  const phrases = STATES.filter((state) => totals[state] > 0).map((state) =>
    phrase(state, timeline, totals[state], time),
  );
  return [
    `From ${time.span(fromMs, toMs)} the box ${framesText(timeline)} and raised ${counted(alerts.present + alerts.erased, 'alert', 'alerts')}${erasedText}.`,
    `It was ${phrases.join('; ')}.`,
    ...trackLogText(timeline),
    ...(framesAtEdges > 0
      ? [
          `${counted(framesAtEdges, 'further frame', 'further frames')} were read between two counts, one of which lies outside of this interval.`,
        ]
      : []),
    ...(off > 0 && framesWhileOff === 0
      ? ['While it was suspended or not authorised, the counters of frames did not move.']
      : []),
  ];
}

/** Returns whether tracks were stored, according to the heartbeats. */
function trackLogText(timeline: Timeline): string[] {
  const reports = ofType(timeline, 'heartbeat').map(({ tracks }) => tracks);
  if (reports.length === 0) return [];
  return reports.every(({ state }) => state === 'off')
    ? [
        `It kept no log of what passed: each of ${counted(reports.length, 'heartbeat says', 'heartbeats says')} so.`,
      ]
    : ['It kept a log of what passed.'];
}

/** Returns a text such as `read at least 7,200 frames, analysed at least 6,000`. */
function framesText({ frames, uncounted, analysedUnknown }: Timeline): string {
  if (frames.read === 0 && uncounted.length > 0) {
    const surely = uncounted.some(({ alerts }) => alerts > 0);
    return `${surely ? 'read' : 'may have read'} frames of which no entry has a count,`;
  }
  const read = `${uncounted.length > 0 ? 'at least ' : ''}${counted(frames.read, 'frame', 'frames')}`;
  const watched = frames.watched > 0 ? `, watched ${numberText(frames.watched)} more undecoded` : '';
  return `read ${read}, analysed ${analysedUnknown ? 'at least ' : ''}${numberText(frames.analysed)}${watched}`;
}

function alarmsOf({ framesWhileOff, missingResumes }: Timeline, time: SiteTime): string[] {
  return [
    ...missingResumes.map(
      ({ suspension, sinceMs, atMs }) =>
        `WENT ON WITHOUT A SIGNED RESUME: at ${time.text(atMs)} the box used its camera again, and no entry says that two keys have ended the suspension ${suspension} of ${time.text(sinceMs)}.`,
    ),
    ...(framesWhileOff > 0
      ? [
          `CONTRADICTION: the counters of frames moved by ${numberText(framesWhileOff)} while the box was suspended or not authorised.`,
        ]
      : []),
  ];
}

const ENDS: Readonly<Record<State, string>> = {
  active: 'active',
  suspended: 'suspended',
  unauthorised: 'not authorised',
  down: 'down',
  unproved: 'in a state that no entry proves',
};

/** Returns nothing if the interval ends before the journal does. */
function endOf({ toMs }: Timeline, atEnd: AtEnd | undefined, time: SiteTime): string[] {
  if (atEnd === undefined || atEnd.lastMs >= toMs) return [];
  const { state, sinceMs, lastMs } = atEnd;
  return [
    `At its last entry, ${time.text(lastMs)}, the box was ${ENDS[state]}, since ${time.text(sinceMs)}. The journal does not show what came later.`,
  ];
}

const PHRASES: Readonly<Record<State, string>> = {
  active: 'active for',
  suspended: 'suspended for',
  unauthorised: 'not authorised for',
  down: 'down for',
  unproved: 'without proof for',
};

/** Returns a text such as `suspended for 2 h (24 Nov 2026, 14:00 to …)`, with the times if there is one period. */
function phrase(state: State, { periods }: Timeline, ms: number, time: SiteTime): string {
  const own = periods.filter((period) => period.state === state);
  const [only] = own;
  if (state === 'active') return `${PHRASES[state]} ${durationText(ms)}`;
  if (own.length > 1 || only === undefined)
    return `${PHRASES[state]} ${durationText(ms)} in ${own.length} periods`;
  return `${PHRASES[state]} ${lastedText(ms)} (${time.span(only.fromMs, only.toMs)})`;
}

/** A state that began with the last entry has no measurable duration. */
const lastedText = (ms: number): string => (ms < 500 ? 'less than 1 s' : durationText(ms));

function periodLines(periods: readonly Period[], time: SiteTime): Line[] {
  return periods
    .filter(({ state }) => state !== 'active' && state !== 'unproved')
    .map(({ state, fromMs, toMs, why: reason }) => ({
      atMs: fromMs,
      timeText: time.span(fromMs, toMs),
      text: `${STATE_NAMES[state].split(':')[0]} for ${lastedText(toMs - fromMs)}${reason === '' ? '' : ` – ${reason}`}`,
    }));
}

function unprovedLines(timeline: Timeline, time: SiteTime): Line[] {
  const gaps = timeline.periods.filter(({ state }) => state === 'unproved');
  const missed = ofType(timeline, 'missed').reduce((sum, { count }) => sum + count, 0);
  const lines: Line[] = [
    ...gaps.map(({ fromMs, toMs, why: reason }) => ({
      atMs: fromMs,
      timeText: time.span(fromMs, toMs),
      text: `what the box did is not proved for ${durationText(toMs - fromMs)}: ${reason}`,
    })),
    ...timeline.brokenOff.map((ms) => ({
      atMs: ms,
      timeText: time.text(ms),
      text: 'last sign of a run that ended without a stop',
    })),
    ...timeline.uncounted.map((uncounted) => ({
      atMs: uncounted.fromMs,
      timeText: time.span(uncounted.fromMs, uncounted.toMs),
      text: uncountedText(uncounted),
    })),
    ...timeline.unsynced.map(({ fromMs, toMs }) => ({
      atMs: fromMs,
      timeText: time.span(fromMs, toMs),
      text: 'the clock was not synchronised: the sequence of entries is certain, their times are not',
    })),
    ...timeline.entries.flatMap(({ atMs, content }) =>
      content.type === 'clock-step'
        ? [
            {
              atMs,
              timeText: time.text(atMs),
              text: `the clock was put ${steps(content.stepMs)}: times before it are off by that`,
            },
          ]
        : [],
    ),
    ...[...timeline.erased].map(([kind, count]) =>
      timeless(
        `${counted(count, 'entry', 'entries')} of the kind “${kind}” can no longer be read: erased, as the journal says; that they were there is proved`,
      ),
    ),
    ...(timeline.undated === 0
      ? []
      : [
          timeless(
            `${counted(timeline.undated, 'entry bears', 'entries bear')} no time; listed at the time of the entry before`,
          ),
        ]),
    ...(missed === 0
      ? []
      : [timeless(`${counted(missed, 'entry', 'entries')} could not be written, because of a disk error`)]),
  ];
  const last = Number.POSITIVE_INFINITY;
  return lines.sort((a, b) => Math.sign((a.atMs ?? last) - (b.atMs ?? last)) || 0);
}

function uncountedText({ why: reason, alerts }: Uncounted): string {
  const because =
    reason === 'killed' ? 'the run ended without a stop' : 'the journal ends before the next count';
  const raised = alerts === 0 ? '' : `; ${counted(alerts, 'alert was', 'alerts were')} raised meanwhile`;
  return `what it read meanwhile is not counted: ${because}${raised}`;
}

const steps = (ms: number): string => `${ms < 0 ? 'back' : 'forward'} by ${durationText(Math.abs(ms))}`;

function linesOf(
  timeline: Timeline,
  time: SiteTime,
  textOf: (content: JournalContent, time: SiteTime) => string | undefined,
): Line[] {
  return timeline.entries.flatMap(({ atMs, content }) => {
    const text = textOf(content, time);
    return text === undefined ? [] : [{ atMs, timeText: time.text(atMs), text }];
  });
}

/** Includes missing resumes. */
function restraintLines(timeline: Timeline, time: SiteTime): Line[] {
  const missing = ({ suspension, atMs }: MissingResume): Line => ({
    atMs,
    timeText: time.text(atMs),
    text: `went on without a signed resume of the suspension ${suspension}`,
  });
  const lines = [...linesOf(timeline, time, restraintText), ...timeline.missingResumes.map(missing)];
  return lines.sort((a, b) => (a.atMs ?? 0) - (b.atMs ?? 0));
}

function restraintText(content: JournalContent, time: SiteTime): string | undefined {
  switch (content.type) {
    case 'suspend':
      return `suspended by ${content.by}: ${content.reason}`;
    case 'resume':
      return `resumed by the keys ${content.by.join(', ')}: ${content.reason}`;
    case 'authorisation':
      return `${content.installation === true ? 'installation authorisation, under which no rule runs:' : 'authorisation'} ${content.order}, valid ${time.span(Date.parse(content.notBefore), Date.parse(content.notAfter))}, SHA-256 ${short(content.sha256)}${content.tracks === undefined ? '' : `, with a log of tracks (${content.tracks.grade}, ${content.tracks.days} days)`}`;
    case 'authority':
      return `the authority’s key that the box accepts from now on: ${short(content.after)}${content.before === null ? '' : `, before ${short(content.before)}`}`;
    default:
      return undefined;
  }
}

export function changeText(content: JournalContent, time: SiteTime): string | undefined {
  switch (content.type) {
    case 'start':
      return `started with ${versions(content.versions)}; configuration ${short(content.config)}`;
    case 'stop':
      return 'stopped normally';
    case 'update':
      return `updated from ${versions(content.before)} to ${versions(content.after)}`;
    case 'config': {
      const by =
        content.by &&
        `file of ${content.by.user ?? `user ${content.by.uid}`}, written ${time.text(Date.parse(content.by.fileTime))}`;
      const zones = content.zones && `; zones ${short(content.zones.before)} → ${short(content.zones.after)}`;
      return `configuration changed: ${short(content.before)} → ${short(content.after)}${zones ?? ''}${by ? ` (${by})` : ''}`;
    }
    case 'geometry':
      return `redrawn: ${content.places.map(redrawnText).join('; ')}`;
    case 'model':
      return `model ${content.name}, SHA-256 ${short(content.sha256)}`;
    case 'connected':
      return `connected to ${content.to}${content.before === null ? '' : `, before to ${content.before}, with the same camera in the configuration`}`;
    case 'view-confirmed':
      return `the camera had moved (${time.text(Date.parse(content.movedSince))}); its new view was confirmed${content.by === null ? '' : ` by ${content.by}`}`;
    case 'preview-started':
      return `a technician started a preview of redacted pictures under the authorisation ${content.order} (session ${content.session})`;
    case 'preview-ended':
      return `the preview ended (session ${content.session}; ${content.why}): ${counted(content.frames, 'picture', 'pictures')}`;
    case 'receipt':
      return `a technician issued the receipt of the installation (session ${content.session}, event ${content.id})${content.picture === null ? ', without a picture' : `, with a redacted still, SHA-256 ${short(content.picture)}`}`;
    case 'mode':
      return `mode ${content.mode}${content.reason === null ? '' : `: ${content.reason}`}`;
    default:
      return rolloutText(content);
  }
}

const HANDLED = new Set([
  'suspend',
  'resume',
  'authorisation',
  'authority',
  'search',
  'unseal',
  'tracks',
  'start',
  'stop',
  'update',
  'rollout',
  'config',
  'geometry',
  'model',
  'connected',
  'mode',
  'view-confirmed',
  'preview-started',
  'preview-ended',
  'receipt',
  'purge',
  'erase',
  'clock-step',
  'missed',
]);

/** Includes types that this program does not know, with their content unchanged. */
function otherLines(timeline: Timeline, time: SiteTime): Line[] {
  const counts = new Map<string, number>();
  const unknown = linesOf(timeline, time, (content) => {
    if (HANDLED.has(content.type)) return undefined;
    if (!COUNTED.has(content.type)) return `${content.type}: ${detailsOf(content)}`;
    counts.set(content.type, (counts.get(content.type) ?? 0) + 1);
    return undefined;
  });
  const numbers = [...counts].map(([type, count]) =>
    timeless(`${type}: ${counted(count, 'entry', 'entries')}`),
  );
  return [...unknown, ...numbers];
}

function detailsOf({ at: _at, type: _type, ...details }: JournalContent): string {
  const text = JSON.stringify(details);
  return text.length > DETAILS_MAX ? `${text.slice(0, DETAILS_MAX)}…` : text;
}

const timeless = (text: string): Line => ({ atMs: undefined, timeText: '', text });

function section(title: string, lines: readonly Line[]): Section {
  return { title, lines: lines.slice(0, LINES_MAX), omittedCount: Math.max(0, lines.length - LINES_MAX) };
}

const versions = (of: Readonly<Record<string, string>>): string =>
  Object.entries(of)
    .map(([name, version]) => `${name} ${version}`)
    .join(', ');

/** Formats the status as lines of text, for a terminal or a phone. */
import { withoutControls } from '../../base/printable.ts';
import type { Finding } from '../../contract/finding.ts';
import type { LocalEvent, LocalStatus } from '../../contract/local-status.ts';
import type { TrackLogReport } from '../../contract/track-log.ts';
import { clockText } from '../../local/findings.ts';

export interface Screen {
  /** Width in characters; a phone held upright shows 40. */
  readonly width: number;
  readonly colours: boolean;
}

const WIDTH_MIN = 40;
const WIDTH_MAX = 100;
const LABEL = 12;
/** Number of active and of recent events shown; `--json` has more. */
const LATEST = 3;

/** SGR codes (ECMA-48, 8.3.117). */
const PAINT = { ok: 32, failed: 31, unknown: 33 } as const;
const MARKS = { ok: '✓', failed: '✗', unknown: '?' } as const;

export function statusText(status: LocalStatus, findings: readonly Finding[], screen: Screen): string {
  const width = Math.min(WIDTH_MAX, Math.max(WIDTH_MIN, screen.width));
  const paint = (state: Finding['state'], text: string): string =>
    screen.colours ? `\x1b[${PAINT[state]}m${text}\x1b[0m` : text;
  const wrong = findings.filter(({ state }) => state === 'failed').length;
  const { site, box } = status.report;
  const verdict =
    wrong === 0 ? 'no problems' : `${wrong} ${wrong === 1 ? 'problem needs' : 'problems need'} attention`;
  const lines = [
    ...wrapped(`${box} at ${site}:`, width, 0),
    paint(wrong === 0 ? 'ok' : 'failed', verdict),
    '',
  ];
  for (const { name, state, detail, fix } of findings) {
    const label = `${MARKS[state]} ${name} `.padEnd(LABEL);
    const [first = '', ...rest] = wrapped(detail, width - LABEL, 0);
    if (label.length > LABEL) lines.push(paint(state, label.trimEnd()), `${' '.repeat(LABEL)}${first}`);
    else lines.push(`${paint(state, label)}${first}`);
    lines.push(...rest.map((line) => `${' '.repeat(LABEL)}${line}`));
    if (fix !== undefined) lines.push(...wrapped(`→ ${fix}`, width, 4));
  }
  if (status.connected !== null)
    lines.push('', ...wrapped(`camera: connected to ${status.connected}`, width, 0));
  const { timeZone } = status.report.clock;
  lines.push('', ...wrapped(tracksText(status.report.tracks, timeZone), width, 0));
  lines.push(
    ...eventLines('standing', status.standing, timeZone, width),
    ...eventLines('last', status.recent, timeZone, width),
  );
  return lines.join('\n');
}

/** Describes whether passing objects are stored without an alert. */
function tracksText({ state, grade, days, oldest }: TrackLogReport, timeZone: string): string {
  if (state === 'off') return 'log of tracks: off';
  const startText = oldest === null ? '' : `, since ${clockText(oldest, timeZone)}`;
  return `log of tracks: ${grade}, ${days} days${startText}${state === 'paused' ? '; paused' : ''}`;
}

function eventLines(title: string, events: readonly LocalEvent[], timeZone: string, width: number): string[] {
  if (events.length === 0) return [];
  const newest = [...events].reverse().slice(0, LATEST);
  return [
    '',
    `${title}:`,
    ...newest.flatMap(({ time, kind, subject }) =>
      wrapped(
        `${clockText(time, timeZone)} ${kind} ${subject === 'camera' ? '' : subject}`.trimEnd(),
        width,
        2,
      ),
    ),
  ];
}

/**
 * Wraps words in lines of at most `width` characters and cuts only longer words. Cameras and brokers supply parts of
 * the text.
 */
function wrapped(text: string, width: number, indent: number): string[] {
  const room = width - indent;
  const words = text
    .split(/\s+/)
    .flatMap((word) => withoutControls(word).match(new RegExp(`.{1,${room}}`, 'gu')) ?? []);
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= room)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines.map((line) => `${' '.repeat(indent)}${line}`);
}

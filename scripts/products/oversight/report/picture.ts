/** Draws the interval as SVG: a band of all states, a row for each, alerts as columns, and marks for changes. */

import { durationText, type SiteTime } from '../../../../agent/base/site-time.ts';
import { escaped } from '../../../lib/html.ts';
import { type Period, STATES, type State, type Timeline } from '../timeline/timeline.ts';
import { changeText, STATE_NAMES } from './account.ts';
import { counted } from './counted.ts';

const ROW = 40;
const BAR = 16;
const TOP = 8;
/** Minimum bar width in percent; smaller bars cannot be seen or pointed at. */
const LEAST = 0.35;
/** Gaps in percent that are drawn over, since shorter pauses between periods of one state are invisible. */
const MERGE = 0.3;
const COLUMNS = 120;
const TICKS_MAX = 8;

export function pictureOf(
  timeline: Timeline,
  time: SiteTime,
  totals: Readonly<Record<State, number>>,
): string {
  const { fromMs, toMs, periods } = timeline;
  const spanMs = toMs - fromMs;
  const x = (ms: number): number => ((ms - fromMs) / spanMs) * 100;
  const scale: Scale = { x, time };
  const shownStates = STATES.filter(
    (state) => totals[state] > 0 || state === 'active' || state === 'suspended',
  );
  const rows = [
    { label: 'All states together', body: band(periods, scale) },
    ...shownStates.map((state) => ({
      label: `${STATE_NAMES[state]} – ${durationText(totals[state])} (${((totals[state] / spanMs) * 100).toFixed(1)} %)`,
      swatch: state,
      body: bars(
        periods.filter((period) => period.state === state),
        scale,
      ),
    })),
    alertRow(timeline, scale),
    { label: 'Starts and changes (dark), searches (violet)', body: marks(timeline, scale) },
  ];
  const bottom = TOP + rows.length * ROW;
  const ticks = time.ticks(fromMs, toMs, TICKS_MAX);
  const grid = ticks.map(({ ms, label }, i) => {
    const at = x(ms);
    const anchor = at < 4 ? 'start' : at > 96 ? 'end' : 'middle';
    const minor = i % 2 === 1 ? ' minor' : '';
    return `<line class="grid${minor}" x1="${pc(at)}" x2="${pc(at)}" y1="${TOP}" y2="${bottom}"/><text class="tick${minor}" x="${pc(at)}" y="${bottom + 18}" text-anchor="${anchor}">${escaped(label)}</text>`;
  });
  const groups = rows.map(({ label, body, ...rest }, i) => {
    const y = TOP + i * ROW;
    const swatch = 'swatch' in rest && rest.swatch !== undefined ? rest.swatch : undefined;
    const square = swatch === undefined ? '' : `<rect class="${swatch}" x="0" y="2" width="11" height="11"/>`;
    return `<g transform="translate(0 ${y})">${square}<text class="label" x="${square === '' ? 0 : 17}" y="12">${escaped(label)}</text><g transform="translate(0 18)"><rect class="track" x="0" y="0" width="100%" height="${BAR}"/>${body}</g></g>`;
  });
  const title = `What the box did, ${time.span(fromMs, toMs)}`;
  return `<svg role="img" aria-label="${escaped(title)}; the lists below say the same in words" width="100%" height="${bottom + 26}">${PATTERNS}${grid.join('')}${groups.join('')}</svg>`;
}

interface Scale {
  x(ms: number): number;
  readonly time: SiteTime;
}

/** Draws rare states last, so that they are not hidden. */
function band(periods: readonly Period[], scale: Scale): string {
  return STATES.map((state) =>
    bars(
      periods.filter((period) => period.state === state),
      scale,
    ),
  ).join('');
}

function bars(periods: readonly Period[], scale: Scale): string {
  const groups: Period[][] = [];
  for (const period of periods) {
    const last = groups.at(-1);
    const gap = last === undefined ? 100 : scale.x(period.fromMs) - scale.x(last.at(-1)?.toMs ?? 0);
    if (last !== undefined && gap < MERGE) last.push(period);
    else groups.push([period]);
  }
  return groups.map((group) => bar(group, scale)).join('');
}

function bar(group: readonly Period[], { x, time }: Scale): string {
  const [first, last] = [group[0], group.at(-1)];
  if (first === undefined || last === undefined) return '';
  const width = Math.max(LEAST, x(last.toMs) - x(first.fromMs));
  const left = Math.min(x(first.fromMs), 100 - width);
  const lasted = durationText(group.reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0));
  const name = STATE_NAMES[first.state];
  const span = time.span(first.fromMs, last.toMs);
  const spanText =
    group.length > 1 ? `${group.length} times within ${span}, together ${lasted}` : `${span}, ${lasted}`;
  const reason = group.length === 1 && first.why !== '' ? ` (${first.why})` : '';
  return rect(first.state, left, width, 0, BAR, `${name}: ${spanText}${reason}`);
}

function alertRow(timeline: Timeline, scale: Scale): { label: string; body: string } {
  const { fromMs, toMs, entries, erased } = timeline;
  const widthMs = (toMs - fromMs) / COLUMNS;
  const counts = Array.from({ length: COLUMNS }, () => 0);
  for (const { atMs, content } of entries) {
    if (content.type !== 'alert') continue;
    const column = Math.min(COLUMNS - 1, Math.floor((atMs - fromMs) / widthMs));
    counts[column] = (counts[column] ?? 0) + 1;
  }
  const countMax = Math.max(...counts);
  const body = counts
    .map((count, i) => {
      if (count === 0) return '';
      const height = Math.max(2, (count / countMax) * BAR);
      const at = fromMs + i * widthMs;
      const title = `${counted(count, 'alert', 'alerts')} ${scale.time.span(at, at + widthMs)}`;
      return rect('alert', scale.x(at), 100 / COLUMNS, BAR - height, height, title);
    })
    .join('');
  const all = counts.reduce((sum, count) => sum + count, 0);
  const erasedCount = erased.get('alert') ?? 0;
  const label =
    erasedCount === 0 ? `Alerts – ${all}` : `Alerts – ${all}, and ${erasedCount} whose time is erased`;
  return { label: countMax > 1 ? `${label}; at most ${countMax} in ${durationText(widthMs)}` : label, body };
}

function marks({ entries }: Timeline, scale: Scale): string {
  return entries
    .flatMap(({ atMs, content }) => {
      const text =
        content.type === 'search'
          ? `search, case ${content.record.record === 'search' ? content.record.case : ''}`
          : changeText(content, scale.time);
      if (text === undefined) return [];
      const left = Math.min(scale.x(atMs), 100 - LEAST);
      const kind = content.type === 'search' ? 'search' : 'change';
      return [rect(kind, left, LEAST, 0, BAR, `${scale.time.text(atMs)}: ${text}`)];
    })
    .join('');
}

function rect(kind: string, x: number, width: number, y: number, height: number, title: string): string {
  return `<rect class="${kind}" x="${pc(x)}" y="${y.toFixed(1)}" width="${pc(width)}" height="${height.toFixed(1)}"><title>${escaped(title)}</title></rect>`;
}

const pc = (percent: number): string => `${percent.toFixed(3)}%`;

/** Patterns that distinguish the states without colour, on paper and for colour-blind readers. */
const PATTERNS = `<defs>
<pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="6" height="6" fill="#2b6cb0"/><rect width="2" height="6" fill="#bcd7f0"/></pattern>
<pattern id="cross" width="6" height="6" patternUnits="userSpaceOnUse"><rect width="6" height="6" fill="#c05621"/><path d="M0 0L6 6M6 0L0 6" stroke="#fbd9b5" stroke-width="1"/></pattern>
<pattern id="dots" width="6" height="6" patternUnits="userSpaceOnUse"><rect width="6" height="6" fill="#fff5f5"/><circle cx="3" cy="3" r="1.4" fill="#9b2c2c"/></pattern>
</defs>`;

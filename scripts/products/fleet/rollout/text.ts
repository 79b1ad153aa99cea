/** Formats a rollout as lines for people. */
import { bytesText } from '../release/words.ts';
import { KIND_NAMES } from './kinds.ts';
import type { BoxState } from './states.ts';
import { ago, type Column, someOf, tableOf } from './table.ts';
import type { BoxView, RolloutView, WaveView } from './view.ts';

/** Minimum duration without a change that is shown, ms; boxes take minutes. */
const QUIET_SHOWN_MS = 3_600_000;

export const waveName = ({ wave }: Pick<WaveView, 'wave'>): string =>
  wave === 0 ? 'canaries' : `wave ${wave}`;

/** Returns a text such as `2 rolled-back, 12 offline`, without the confirmed ones. */
export function restOf({ states, offline, mute, silent }: WaveView): string {
  return Object.entries({ ...states, offline, mute, silent })
    .filter(([state, n]) => n > 0 && state !== 'confirmed')
    .map(([state, n]) => `${n} ${state}`)
    .join(', ');
}

const WAVE_COLUMNS: readonly Column<WaveView>[] = [
  ['', waveName],
  ['BOXES', ({ boxes }) => boxes],
  ['CONFIRMED', ({ states }) => states.confirmed],
  ['BACK', ({ states }) => states['rolled-back']],
  ['FAILED', ({ states }) => states.failed],
  ['TRYING', ({ states }) => states.begun + states.switched],
  ['ORDERED', ({ states }) => states.ordered],
  ['OFFLINE', ({ offline }) => offline],
  ['MUTE', ({ mute }) => mute],
  ['SILENT', ({ silent }) => silent],
  ['WITHDRAWN', ({ states }) => states.withdrawn],
  ['EXPIRED', ({ states }) => states.expired],
  ['PARKED', ({ states }) => states.parked],
  ['SKIPPED', ({ states }) => states.skipped],
  ['DELTA', ({ bytes }) => bytesText(bytes.delta)],
  ['FULL', ({ bytes }) => bytesText(bytes.full)],
  ['BEGAN', ({ beganAt }) => beganAt ?? '-'],
];

export function viewLines(view: RolloutView, nowMs: number): string[] {
  const { state, reason, wave, waves, nextWave, explanation } = view;
  const failures = view.boxes.filter((box) => box.state === 'rolled-back' || box.state === 'failed');
  return [
    `${view.rollout}: ${KIND_NAMES[view.kind]} ${view.description}, ${state}${reason === null ? '' : ` (${reason})`}, wave ${wave} of ${waves.length - 1}; by ${view.createdBy}, made ${view.createdAt}, ends ${view.notAfter}`,
    ...tableOf(WAVE_COLUMNS, waves),
    ...(nextWave === null ? [] : [`the next wave begins at ${nextWave}`]),
    ...(state === 'running' && explanation !== null ? [`waits: ${explanation}`] : []),
    ...stuckLines(view, nowMs),
    ...(state === 'halted' || state === 'incomplete' ? leftLines(view.boxes) : []),
    ...failures
      .slice(0, 10)
      .map((box) => `${box.site}/${box.box}: ${box.state}: ${box.reason ?? 'no reason given'}`),
    ...(failures.length > 10 ? [`and ${failures.length - 10} more (--json names them)`] : []),
  ];
}

/** Returns lines about what the wave waits for, since when, and when it halts. */
function stuckLines({ wave, waves, stuck }: RolloutView, nowMs: number): string[] {
  if (stuck === null) return [];
  const { lastChangeAt, haltsAt, isAlarm } = stuck;
  const name = waveName(waves[wave] ?? { wave });
  const sinceMs = Date.parse(lastChangeAt);
  const howLong = `nothing has changed since ${lastChangeAt}; without progress it halts at ${haltsAt}`;
  if (isAlarm)
    return [
      `STUCK in ${name} for ${ago(sinceMs, nowMs)}: ${howLong} (\`fleet rollout skip\` leaves boxes out)`,
    ];
  return nowMs - sinceMs >= QUIET_SHOWN_MS ? [`${name}: ${howLong}`] : [];
}

const LEFT_STATES = {
  planned: 'never sent for',
  withdrawn: 'called back',
  expired: 'expired, not done in time',
  parked: 'parked until the analysis resumes',
} satisfies Partial<Record<BoxState, string>>;

const LEFT: readonly (readonly [string, (box: BoxView) => boolean])[] = [
  ['silent since it began', ({ silent }) => silent],
  ...(['planned', 'withdrawn', 'expired', 'parked'] as const).map(
    (state) => [LEFT_STATES[state], (box: BoxView) => box.state === state && !box.silent] as const,
  ),
];

/** Returns the names of unconfirmed boxes; failures have their own lines. */
function leftLines(boxes: readonly BoxView[]): string[] {
  return LEFT.flatMap(([label, isLeft]) => {
    const names = boxes.filter(isLeft).map(({ site, box }) => `${site}/${box}`);
    return names.length === 0 ? [] : [`${label}: ${names.length}: ${someOf(names)}`];
  });
}

/** Formats the result of a simulated rollout as lines for people. */
import { AgentError } from '../../../../agent/base/errors.ts';
import { counted } from '../../../lib/counted.ts';
import { bytesText } from '../release/words.ts';
import { boxCount, type Column, someOf, tableOf } from '../rollout/table.ts';
import { waveName } from '../rollout/text.ts';
import type { RolloutView, WaveView } from '../rollout/view.ts';
import type { Simulated } from './simulate.ts';

const HOUR_MS = 3_600_000;

export function simulatedLines({
  view,
  halfWay,
  missing,
  simulatedHours,
  wallS,
  deaths,
  truth,
  lostBoxes,
}: Simulated): string[] {
  const lostIds = new Set(lostBoxes);
  const lostIn = (wave: number): number =>
    view.boxes.filter((box) => box.wave === wave && lostIds.has(`${box.site}/${box.box}`)).length;
  const began = ({ beganAt }: WaveView): string =>
    beganAt === null ? '-' : ((Date.parse(beganAt) - Date.parse(view.createdAt)) / HOUR_MS).toFixed(1);
  const cells: readonly Column<WaveView>[] = [
    ['', waveName],
    ['BOXES', ({ boxes }) => boxes],
    ['CONFIRMED', ({ states }) => states.confirmed],
    ['BACK', ({ states }) => states['rolled-back']],
    ['OFFLINE', ({ offline, states, wave }) => offline + states.expired - muteIn(view, wave)],
    ['MUTE', ({ wave }) => muteIn(view, wave)],
    ['LOST', ({ wave }) => lostIn(wave)],
    ['WITHDRAWN', ({ states }) => states.withdrawn],
    ['NOT SENT', ({ states }) => states.planned],
    ['BEGAN h', began],
    ['DELTA', ({ bytes }) => bytesText(bytes.delta)],
    ['FULL', ({ bytes }) => bytesText(bytes.full)],
  ];
  const suspended = truth.filter(({ mode, phase }) => mode === 'suspended' && phase === 'confirmed').length;
  return [
    ...tableOf(cells, view.waves),
    `${view.state}${view.reason === null ? '' : `: ${view.reason}`}; ${simulatedHours.toFixed(1)} simulated hours`,
    `${lostBoxes.length} of ${view.boxes.length} boxes lost: the release has taken them off the network (${lostShare({ lostBoxes, view })})`,
    `wall seconds: ${wallS.connect.toFixed(1)} to connect, ${wallS.learn.toFixed(1)} to learn, ${wallS.rollout.toFixed(1)} for the rollout`,
    `${boxCount(missing)} missing at the broker; ${counted(deaths, 'death')} of the controller; ${counted(suspended, 'suspended box', 'suspended boxes')} updated and suspended still`,
    halfWay.length === 0 ? 'no box is left half way' : `LEFT HALF WAY: ${halfWay.join(', ')}`,
  ];
}

function muteIn({ boxes }: RolloutView, wave: number): number {
  return boxes.filter((box) => box.wave === wave && box.online && (box.state === 'expired' || box.mute))
    .length;
}

/** Throws AgentError `unavailable` if a box is left halfway. */
export function assertComplete({ halfWay }: Simulated): void {
  if (halfWay.length > 0)
    throw new AgentError('unavailable', `${boxCount(halfWay.length)} left half way: ${someOf(halfWay)}`);
}

/** Columns of a mix of faults: where it ended, and how many boxes were lost. */
export const MIX_COLUMNS: readonly Column<Simulated & { readonly name: string }>[] = [
  ['FAULTS', ({ name }) => name],
  ['STATE', ({ view }) => view.state],
  ['IN', ({ view }) => waveName(view)],
  ['LOST', ({ lostBoxes }) => lostBoxes.length],
  ['SHARE', lostShare],
  ['CONFIRMED', ({ view }) => view.waves.reduce((sum, { states }) => sum + states.confirmed, 0)],
  ['HOURS', ({ simulatedHours }) => simulatedHours.toFixed(1)],
  ['WALL s', ({ wallS }) => wallS.rollout.toFixed(0)],
  ['REASON', ({ view }) => view.reason ?? ''],
];

function lostShare({ lostBoxes, view }: Pick<Simulated, 'lostBoxes' | 'view'>): string {
  return `${((100 * lostBoxes.length) / view.boxes.length).toFixed(1)} %`;
}

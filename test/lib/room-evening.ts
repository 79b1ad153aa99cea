/** A room's queue on a busy evening, as rows of its database. */
import { createHash } from 'node:crypto';
import { iso, type Sql } from '../../scripts/products/room/database/sql.ts';
import { addIncidents, addStill, type Columns, insert } from './console-rows.ts';

const ago = (s: number): string => iso(Date.now() - s * 1000);

/** A car on a tram track, 20 s ago, with a number that a test can name. */
export function numbered(no: number, change: Columns = {}): Columns {
  return {
    no,
    site: 'centre',
    box: `cam-${no % 7}`,
    episode: `e-${no}`,
    kind: 'illegal-parking',
    rule: 'tram-track',
    place: 'zone/tram-stop',
    received: ago(20),
    objects: '[{"label":"car","track":94371}]',
    cause: '{"stationaryS":62.4,"presence":"seen"}',
    ...change,
  };
}

/** Differences of incidents 1 to 9 from a `numbered` one that was received that number of seconds ago. */
const EVENING: readonly (readonly [agoS: number, change: Columns])[] = [
  [
    140,
    {
      box: 'cam-bourse-3',
      priority: 1,
      kind: 'wrong-way',
      place: 'line/rue-neuve',
      cause: '{"headingDeg":180}',
    },
  ],
  [75, { box: 'cam-tram-12', rule: 'tram-track' }],
  [22, { box: 'cam-grand-place', priority: 1, kind: 'crowd-gathering', cause: '{"count":14,"dwellS":45}' }],
  [9, { kind: 'illegal-dumping', place: 'zone/quay', cause: '{"unattendedS":61}', clock_doubt: true }],
  [300, { severity: 'notice', priority: 3, kind: 'present-at-start', cause: '{"stationaryS":30}' }],
  [260, { kind: 'graffiti', cause: '{"nearbyS":24}', state: 'claimed', claimed_by: 'Nadia' }],
  [700, { kind: 'loitering', cause: '{"dwellS":190}', state: 'claimed', claimed_by: 'Omar' }],
  [1500, { state: 'dispatched', claimed_by: 'Omar', dispatched_by: 'Omar' }],
  [30, { kind: 'drone-overhead', cause: '{"reason":"a newer box"}' }],
];

const MOMENTS = ['before', 'deposit', 'snapshot'];

/** Adds the evening, with pictures, statistics, a note and a neighbour of number 2. */
export async function evening(db: Sql, jpeg: Buffer): Promise<void> {
  const sha256 = createHash('sha256').update(jpeg).digest('hex');
  const stills = MOMENTS.map((moment) => ({ moment, name: `${moment}.jpg`, time: ago(76), sha256 }));
  const detail = JSON.stringify({
    stills,
    purpose: 'tram traffic',
    legalBasis: 'Council decision 2026-114, §3',
    event: 'ev-1',
    validUntil: '2027-06-30T22:00:00.000Z',
    degraded: ['defocused'],
    sealed: true,
    timeZone: 'Indian/Reunion',
  });
  const rows = EVENING.map(([agoS, change], at) =>
    numbered(at + 1, {
      rule: `rule-${at}`,
      received: ago(agoS),
      detail,
      still: 'snapshot.jpg',
      ...('claimed_by' in change && { claimed_until: ago(-90) }),
      ...('dispatched_by' in change && { dispatched_at: ago(900), ended_at: ago(200) }),
      ...change,
    }),
  );
  const storm = Array.from({ length: 14 }, (_, at) => ({
    ...numbered(20 + at, { received: ago(30 - at), box: 'cam-gare-1', kind: 'line-crossing' }),
    rule: 'platform-edge',
    place: 'line/platform-2',
  }));
  const of2 = { site: 'centre', box: 'cam-tram-12' };
  await addIncidents(db, [
    ...rows,
    ...storm,
    numbered(10, {
      ...of2,
      received: ago(1800),
      kind: 'line-crossing',
      state: 'closed',
      verdict: 'false-alarm',
      closed_at: ago(1700),
    }),
  ]);
  for (const { name } of stills) await addStill(db, { name }, jpeg, Date.now() - 74_000, of2);
  await insert(db, 'note', {
    incident: 2,
    at: ago(40),
    account: 'Omar',
    text: 'The same delivery van as <b>yesterday</b>.',
  });
  await insert(db, 'day_figure', {
    day: ago(86_400).slice(0, 10),
    hour: 12,
    ...of2,
    rule: 'tram-track',
    kind: 'illegal-parking',
    alerts: 80,
    confirmed: 48,
    false_alarms: 9,
    unclear: 3,
    claims: 60,
    claim_s: 1500,
  });
}

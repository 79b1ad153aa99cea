/** A city of 1,500 cameras as rows of a room's database, and its map. */
import type { SearchState } from '../../scripts/products/room/contract/api.ts';
import type { AuditDraft } from '../../scripts/products/room/contract/audit.ts';
import { type Condition, priorityOf } from '../../scripts/products/room/contract/terms.ts';
import { record } from '../../scripts/products/room/database/audit.ts';
import { iso, type Sql } from '../../scripts/products/room/database/sql.ts';
import { addIncidents, type Columns, insert, putCameras } from './console-rows.ts';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

/** HTML, an escape sequence, and a character that reverses the direction of writing. */
export const HOSTILE = '<img src=x onerror=alert(1)>\u001b[31m\u202Etxt.exe';

const SITES = [
  'bellecour brotteaux cathedrale champ-vert confluence croix-paquet croix-rousse fourviere gare-de-vaise gerland',
  'gorge-de-loup grange-blanche guillotiere halle hotel-de-ville jean-mace la-doua mermoz monplaisir montchat',
  'montplaisir parc-est parc-ouest part-dieu perrache quai-nord quai-sud republique saxe terreaux',
].flatMap((line) => line.split(' '));

const OUT: readonly (readonly [every: number, Condition, readonly string[]])[] = [
  [211, 'offline', ['silent']],
  [173, 'blind', ['stream-lost']],
  [307, 'blind', ['covered']],
  [401, 'suspended', ['suspended']],
  [97, 'impaired', ['load-shed', 'defocused']],
  [113, 'ending', ['certificate-expiring']],
  [229, 'ending', ['authorisation-expiring']],
];

interface CameraRow extends Columns {
  readonly site: string;
  readonly box: string;
  readonly last_report: string;
}

/** Row of a camera with the basis of its condition, and the time since a blind one has been so. */
function camera(i: number, count: number, nowMs: number): CameraRow & { readonly blind: string | null } {
  const [, condition, reasons] = OUT.find(([every]) => i % every === every - 1) ?? [0, 'well', []];
  const isUnavailable = condition === 'offline';
  const at = (agoMs: number): string => iso(nowMs - agoMs);
  return {
    site: SITES[Math.floor((i * SITES.length) / count)] ?? 'elsewhere',
    box: `cam-${String(i).padStart(4, '0')}`,
    state: isUnavailable ? 'offline' : 'online',
    mode: condition === 'suspended' ? 'suspended' : 'active',
    conditions: JSON.stringify(['blind', 'impaired'].includes(condition) ? reasons : []),
    last_report: at(isUnavailable ? (i % 7) * 37 * MINUTE + 3 * MINUTE : (i % 30) * 1000),
    last_alert: i % 3 === 0 ? null : at((i % 900) * MINUTE),
    certificate_ends: at(-(reasons.includes('certificate-expiring') ? (i % 9) + 0.4 : 200) * DAY),
    order_ends:
      condition === 'suspended' ? null : at(-(reasons.includes('authorisation-expiring') ? 2.5 : 300) * DAY),
    version: i % 50 === 0 ? '0.9.4' : '1.0.0',
    blind: condition === 'blind' ? (reasons[0] ?? null) : null,
  };
}

const cameras = (nowMs: number, count = 1500) =>
  Array.from({ length: count }, (_, i) => camera(i, count, nowMs));

const KINDS = ['wrong-way', 'illegal-parking', 'illegal-dumping', 'crowd-gathering', 'loitering', 'graffiti'];

/** An alert of some camera, as many minutes ago as its number says. */
function incident(no: number, nowMs: number, count: number, change: Columns = {}): Columns {
  const { site, box } = camera((no * 131) % count, count, nowMs);
  const kind = KINDS[no % KINDS.length] ?? 'loitering';
  return {
    no,
    site,
    box,
    episode: `episode-${no}`,
    kind,
    priority: priorityOf('alert', kind),
    rule: 'quay',
    place: 'zone/quay',
    started_at: iso(nowMs - no * MINUTE - 900),
    received: iso(nowMs - no * MINUTE),
    ...change,
  };
}

/** Rules, how often each was right, and how long an alert waited. */
const STATISTICS = [
  ['bellecour', 'cam-0012', 'quay', 412, 301, 22, 8, 34],
  ['part-dieu', 'cam-1170', 'bus-lane', 268, 91, 44, 3, 71],
  ['parc-est', 'cam-1054', 'lawn', 61, 7, 5, 1, 48],
  ['saxe', 'cam-1404', 'wall', 12, 3, 0, 0, 25],
  ['mermoz', 'cam-0870', 'gate', 9, 0, 0, 0, null],
] as const;

const ACTIONS: readonly AuditDraft['act'][] = [
  ...(['see-still', 'claim', 'judge', 'login', 'refused', 'verdict-delivered'] as const),
];

/** Audit log entries that `city` makes. */
export const ENTRIES = 250;

/** Fills the room with `count` cameras, open and closed incidents, statistics, notes, and an audit log. */
export async function city(db: Sql, count = 1500): Promise<void> {
  const nowMs = Date.now();
  const all = cameras(nowMs, count);
  await putCameras(
    db,
    all.map(({ blind: _, ...row }) => row),
  );
  const at = (agoMs: number): string => iso(nowMs - agoMs);
  const system = { severity: 'system', priority: 3, rule: 'built-in', place: 'camera' };
  const open = { claimed_by: 'Nadia', claimed_until: at(-2 * MINUTE) };
  await addIncidents(db, [
    ...[3, 21, 34].map((no) => incident(no, nowMs, count)),
    incident(8, nowMs, count, { state: 'claimed', ...open }),
    incident(13, nowMs, count, {
      state: 'dispatched',
      ...open,
      dispatched_by: 'Nadia',
      dispatched_at: at(9 * MINUTE),
    }),
    ...Array.from({ length: 30 }, (_, i) =>
      incident(100 + i, nowMs, count, {
        state: 'closed',
        verdict: i < 18 ? 'confirmed' : i < 27 ? 'false-alarm' : 'unclear',
        closed_at: at(i * MINUTE),
      }),
    ),
    ...all.flatMap(({ site, box, blind }, i) =>
      blind === null ? [] : [{ ...system, site, box, kind: blind, received: at((5220 + i) * 1000) }],
    ),
    {
      ...system,
      site: 'part-dieu',
      box: 'cam-1170',
      kind: 'alert-limit',
      rule: 'bus-lane',
      received: at(3 * DAY),
      ended_at: at(3 * DAY - 20 * MINUTE),
      cause: '{"suppressed":37}',
    },
  ]);
  for (const [site, box, rule, alerts, yes, no, unclear, claimS] of STATISTICS) {
    await insert(db, 'day_figure', {
      day: at(DAY).slice(0, 10),
      hour: 12,
      site,
      box,
      rule,
      kind: 'illegal-parking',
      alerts,
      confirmed: yes,
      false_alarms: no,
      unclear,
      claims: claimS === null ? 0 : alerts,
      claim_s: (claimS ?? 0) * alerts,
    });
  }
  const patrol = 'Patrol 2 is on its way; the van blocks the tram.';
  await insert(db, 'note', { incident: 13, at: at(8 * MINUTE), account: 'Omar', text: patrol });
  await insert(db, 'note', { incident: 21, at: at(4 * MINUTE), account: 'Nadia', text: HOSTILE });
  await db.transaction(async (transaction) => {
    for (let no = 1; no <= ENTRIES; no += 1)
      await record(transaction, entry(no), nowMs - (ENTRIES - no) * MINUTE);
  });
}

function entry(no: number): AuditDraft {
  const action = ACTIONS[no % ACTIONS.length] ?? 'claim';
  const actor =
    action === 'verdict-delivered'
      ? ({ account: 'room', role: 'room' } as const)
      : ({ account: 'Omar', role: 'supervisor' } as const);
  if (action === 'login') return { ...actor, act: action };
  const about = { ...actor, act: action, site: 'saxe', box: 'cam-1404', incident: (no % 40) + 1 };
  if (action === 'see-still') return { ...about, more: { moment: 'deposit', sha256: 'ab'.repeat(32) } };
  return action === 'refused' ? { ...about, more: { reason: HOSTILE } } : about;
}

/** Streets around two rivers, districts, and the cameras by site. */
export function cityMapFile(count = 1500): { type: string; features: unknown[] } {
  const features: unknown[] = [];
  const [lon, lat] = [4.85, 45.757];
  const line = (points: number[][], name?: string) =>
    features.push({
      type: 'Feature',
      properties: name === undefined ? {} : { name },
      geometry: { type: 'LineString', coordinates: points },
    });
  const curve = (x: number, bend: number) =>
    Array.from({ length: 24 }, (_, i) => [lon + x + bend * Math.sin(i / 6), lat - 0.04 + i * 0.0035]);
  for (let i = -9; i <= 9; i++) {
    line(
      Array.from({ length: 12 }, (_, j) => [
        lon - 0.06 + j * 0.011,
        lat + i * 0.0042 + 0.001 * Math.sin(i + j),
      ]),
    );
    line(curve(i * 0.0064, 0.0012));
  }
  const band = [...curve(-0.012, 0.006), ...curve(-0.009, 0.006).reverse()];
  for (const [name, ring] of [
    ['Saône', band],
    ['Rhône', band.map(([x = 0, y = 0]) => [x + 0.021, y])],
  ] as const) {
    features.push({
      type: 'Feature',
      properties: { name },
      geometry: { type: 'Polygon', coordinates: [[...ring, ring[0]]] },
    });
  }
  for (const [i, { site, box }] of cameras(Date.now(), count).entries()) {
    const s = SITES.indexOf(site);
    const place = [
      lon - 0.05 + (s % 6) * 0.02 + (i % 10) * 0.0017,
      lat - 0.033 + Math.floor(s / 6) * 0.016 + (Math.floor(i / 10) % 5) * 0.0025,
    ];
    features.push({
      type: 'Feature',
      properties: { site, box },
      geometry: { type: 'Point', coordinates: place },
    });
  }
  return { type: 'FeatureCollection', features };
}

/** Result of a signer's search. */
export const SEARCH: SearchState = {
  id: 's-1',
  case: '2026/1432',
  reason: 'theft of a bicycle',
  isDone: false,
  askedCount: 1500,
  answeredCount: 1371,
  missing: [
    'bellecour/cam-0210: offline',
    `saxe/cam-1404: ${HOSTILE}`,
    'parc-est/cam-1054: refused, no order holds',
  ],
  matches: Array.from({ length: 240 }, (_, i) => ({
    box: `cam-${String(i).padStart(4, '0')}`,
    event: `e-${i}`,
    time: iso(Date.now() - i * 7 * MINUTE),
    kind: KINDS[i % 6] ?? '',
    place: 'zone/quay',
    phase: i % 3 === 0 ? 'end' : 'start',
    incident: i % 4 === 0 ? i + 1 : null,
    sealed: i % 5 === 0,
  })),
  more: 0,
  fault: null,
};

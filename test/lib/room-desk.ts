/** What a room's server says of a city of 1,500 cameras, for the console's screens, and a server that says it. */
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { SearchState, Session } from '../../scripts/programs/room/contract/api.ts';
import type { AuditEntry, AuditPage } from '../../scripts/programs/room/contract/audit.ts';
import type { Camera, Cameras } from '../../scripts/programs/room/contract/camera.ts';
import type { Figures, HandOver } from '../../scripts/programs/room/contract/figures.ts';
import type { Incident } from '../../scripts/programs/room/contract/incident.ts';
import { priorityOf } from '../../scripts/programs/room/contract/terms.ts';

export const NOW_MS = Date.parse('2026-11-27T14:00:00.000Z');
const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const at = (agoMs: number) => new Date(NOW_MS - agoMs).toISOString();

/** HTML, an escape sequence, and a letter that turns the direction of writing. */
export const HOSTILE = '<img src=x onerror=alert(1)>\u001b[31m\u202Etxt.exe';

export const SESSION: Session = {
  user: 'Camille',
  role: 'supervisor',
  ends: at(-8 * 60 * MINUTE),
  now: at(0),
  timeZone: 'Europe/Paris',
  people: ['Camille', 'Dominique'],
  signer: true,
  plan: true,
  demo: true,
};

const SITES = [
  'bellecour',
  'brotteaux',
  'cathedrale',
  'champ-vert',
  'confluence',
  'croix-paquet',
  'croix-rousse',
  'fourviere',
  'gare-de-vaise',
  'gerland',
  'gorge-de-loup',
  'grange-blanche',
  'guillotiere',
  'halle',
  'hotel-de-ville',
  'jean-mace',
  'la-doua',
  'mermoz',
  'monplaisir',
  'montchat',
  'montplaisir',
  'parc-est',
  'parc-ouest',
  'part-dieu',
  'perrache',
  'quai-nord',
  'quai-sud',
  'republique',
  'saxe',
  'terreaux',
];

const OUT: readonly (readonly [every: number, Camera['condition'], readonly string[]])[] = [
  [211, 'offline', ['silent']],
  [173, 'blind', ['stream-lost']],
  [307, 'blind', ['covered']],
  [401, 'suspended', ['suspended']],
  [97, 'impaired', ['load-shed', 'defocused']],
  [113, 'ending', ['certificate-ends']],
  [229, 'ending', ['order-ends']],
];

function camera(i: number, many: number): Camera {
  const [, condition, reasons] = OUT.find(([every]) => i % every === every - 1) ?? [0, 'well', []];
  return {
    site: SITES[Math.floor((i * SITES.length) / many)] ?? 'elsewhere',
    box: `cam-${String(i).padStart(4, '0')}`,
    condition: condition as Camera['condition'],
    reasons: [...(reasons as readonly string[])],
    state: condition === 'offline' ? 'offline' : 'online',
    mode: condition === 'suspended' ? 'suspended' : 'active',
    heard: at(condition === 'offline' ? (i % 7) * 37 * MINUTE + 3 * MINUTE : (i % 30) * 1000),
    lastAlert: i % 3 === 0 ? null : at((i % 900) * MINUTE),
    blindS: condition === 'blind' ? 5220 + i : i % 11 === 0 ? i % 240 : 0,
    certificateEnds: at(-(condition === 'ending' ? (i % 9) + 0.4 : 200) * DAY),
    orderEnds: condition === 'suspended' ? null : at(-(reasons.includes('order-ends') ? 2.5 : 300) * DAY),
    version: i % 50 === 0 ? '0.9.4' : '1.0.0',
  };
}

export const city = (many = 1500): Cameras => ({
  now: at(0),
  cameras: Array.from({ length: many }, (_, i) => camera(i, many)),
});

const KINDS = ['wrong-way', 'illegal-parking', 'illegal-dumping', 'crowd-gathering', 'loitering', 'graffiti'];

export function incident(no: number, more: Partial<Incident> = {}): Incident {
  const { site, box } = camera((no * 131) % 1500, 1500);
  const kind = KINDS[no % KINDS.length] ?? 'loitering';
  return {
    ...{ no, rev: no, revision: 0, site, box, episode: `episode-${no}`, severity: 'alert', kind },
    ...{
      priority: priorityOf('alert', kind),
      rule: 'quay',
      place: 'zone/quay',
      ended: null,
      clockDoubt: false,
    },
    ...{
      started: at(no * MINUTE),
      received: at(no * MINUTE - 900),
      objects: [],
      cause: {},
      events: 1,
      still: null,
    },
    ...{ state: 'new', claimedBy: null, claimedUntil: null, dispatchedBy: null, dispatchedAt: null },
    ...{ verdict: null, verdictAt: null, closedAt: null, reopens: null },
    ...more,
  } as Incident;
}

const OPEN = [
  incident(3),
  incident(8, { state: 'claimed', claimedBy: 'Camille' }),
  incident(13, { state: 'dispatched', dispatchedBy: 'Dominique', dispatchedAt: at(9 * MINUTE) }),
  incident(21),
  incident(34),
];

/** Streets around two rivers, districts, and the cameras by site. */
export function cityMapFile(many = 1500): { type: string; features: unknown[] } {
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
  for (const [i, { site, box }] of city(many).cameras.entries()) {
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

const ROWS: Figures['rows'] = [
  ['bellecour/cam-0012/quay', 412, 301, 22, 8, 0.932, 0.9, 0.955, 34],
  ['part-dieu/cam-1170/bus-lane', 268, 91, 44, 3, 0.674, 0.591, 0.747, 71],
  ['parc-est/cam-1054/lawn', 61, 7, 5, 1, 0.583, 0.32, 0.807, 48],
  ['saxe/cam-1404/wall', 12, 3, 0, 0, 1, 0.438, 1, 25],
  ['mermoz/cam-0870/gate', 9, 0, 0, 0, null, null, null, null],
].map(([key, alerts, yes, no, unclear, share, low, high, claim]) => ({
  ...{ key, alerts, true: yes, false: no, unclear, share, low, high, meanClaimS: claim },
})) as Figures['rows'];

const FIGURES: Figures = {
  ...{ from: at(30 * DAY), to: at(0), timeZone: 'Europe/Paris', rows: ROWS },
  muted: [
    {
      site: 'part-dieu',
      box: 'cam-1170',
      rule: 'bus-lane',
      kind: 'illegal-parking',
      heldBack: 37,
      at: at(3 * DAY),
    },
  ],
};

const HAND_OVER: HandOver = {
  ...{ from: at(8 * 60 * MINUTE), to: at(0), received: 214, closed: 196, stillsSeen: 173 },
  verdicts: { true: 121, false: 58, unclear: 17 },
  open: OPEN,
  dispatched: [OPEN[2] ?? incident(13)],
  more: 0,
  notes: [
    {
      incident: 13,
      at: at(8 * MINUTE),
      who: 'Dominique',
      text: 'Patrol 2 is on its way; the van blocks the tram.',
    },
    { incident: 21, at: at(4 * MINUTE), who: 'Camille', text: HOSTILE },
  ],
  camerasDown: city()
    .cameras.filter(({ condition }) => ['offline', 'blind', 'suspended'].includes(condition))
    .map(({ site, box, condition, reasons }) => ({ site, box, condition, reasons })),
};

const ACTS: readonly AuditEntry['act'][] = [
  'see-still',
  'claim',
  'judge',
  'login',
  'refused',
  'verdict-delivered',
];

function entry(no: number): AuditEntry {
  const act = ACTS[no % ACTS.length] ?? 'claim';
  const isRoom = act === 'verdict-delivered';
  return {
    ...{
      no,
      at: at((900 - no) * MINUTE),
      who: isRoom ? 'room' : 'Camille',
      role: isRoom ? 'room' : 'supervisor',
      act,
    },
    ...{ site: act === 'login' ? null : 'saxe', box: act === 'login' ? null : 'cam-1404' },
    incident: act === 'login' ? null : (no % 40) + 1,
    more:
      act === 'see-still'
        ? { picture: 'deposit', sha256: 'ab'.repeat(32) }
        : act === 'refused'
          ? { why: HOSTILE }
          : {},
    ...{ previous: '0'.repeat(64), hash: no.toString(16).padStart(64, 'c') },
  };
}

const AUDIT: AuditPage = {
  entries: Array.from({ length: 60 }, (_, i) => entry(880 - i)),
  ...{ next: 821, whole: true, fault: null },
};

export const SEARCH: SearchState = {
  ...{ id: 's-1', case: '2026/1432', reason: 'theft of a bicycle', done: false, asked: 1500, answered: 1371 },
  missing: [
    'bellecour/cam-0210: offline',
    `saxe/cam-1404: ${HOSTILE}`,
    'parc-est/cam-1054: refused, no order holds',
  ],
  found: Array.from({ length: 240 }, (_, i) => ({
    ...{
      box: `cam-${String(i).padStart(4, '0')}`,
      event: `e-${i}`,
      time: at(i * 7 * MINUTE),
      kind: KINDS[i % 6] ?? '',
    },
    ...{
      place: 'zone/quay',
      phase: i % 3 === 0 ? 'end' : 'start',
      incident: i % 4 === 0 ? i + 1 : null,
      sealed: i % 5 === 0,
    },
  })),
  ...{ more: 0, fault: null },
};

export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

const ok = (body: unknown): Answer => ({ status: 200, body });

export class CannedRoom {
  /** By path; what is here goes before what is canned. */
  readonly answers = new Map<string, Answer>();
  readonly asked: string[] = [];
  readonly posted: unknown[] = [];
  readonly #files: Readonly<Record<string, readonly [type: string, text: string]>>;
  readonly #server = createServer((request, response) => {
    void this.#answer(request).then(({ status, type, text }) => {
      response.writeHead(status, {
        'content-type': type,
        'content-security-policy':
          "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'",
      });
      response.end(text);
    });
  });

  constructor(script: string, style: string) {
    const html =
      '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Vigie</title><link rel="stylesheet" href="/style.css"><script type="module" src="/app.js"></script></head><body><div id="app"></div></body></html>';
    this.#files = {
      '/app.js': ['text/javascript', script],
      '/style.css': ['text/css', style],
      '/': ['text/html', html],
    };
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage): Promise<{ status: number; type: string; text: string }> {
    const url = new URL(request.url ?? '/', 'http://room');
    if (!url.pathname.startsWith('/api/')) {
      const [type, text] = this.#files[url.pathname] ?? this.#files['/'] ?? ['text/plain', ''];
      return { status: 200, type, text };
    }
    this.asked.push(`${request.method} ${url.pathname}${url.search}`);
    let sent = '';
    for await (const chunk of request) sent += String(chunk);
    if (sent !== '') this.posted.push(JSON.parse(sent));
    const { status, body } = this.answers.get(url.pathname) ?? this.#canned(url.pathname);
    return { status, type: 'application/json', text: typeof body === 'string' ? body : JSON.stringify(body) };
  }

  #canned(path: string): Answer {
    if (path.startsWith('/api/searches')) return ok(SEARCH);
    const bodies: Readonly<Record<string, unknown>> = {
      '/api/session': SESSION,
      '/api/cameras': city(),
      '/api/plan': cityMapFile(),
      '/api/queue': { rev: 34, incidents: OPEN, more: 0 },
      '/api/incidents': { incidents: OPEN.slice(0, 3), next: null },
      '/api/figures': FIGURES,
      '/api/hand-over': HAND_OVER,
      '/api/audit': AUDIT,
    };
    const body = bodies[path];
    return body === undefined
      ? { status: 404, body: { type: 'about:blank', title: 'no such thing', status: 404 } }
      : ok(body);
  }
}

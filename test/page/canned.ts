/**
 * Canned data of a box as a technician finds it: one zone and one line, under an authorisation that requires slightly
 * more.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LocalStatus } from '../../agent/contract/local-status.ts';
import type { AgentView, AuthorisationView, ReceiptView, SeenTrack } from '../../agent/contract/page-link.ts';
import type { Proposable } from '../../agent/contract/proposal.ts';
import { STATUS as WELL } from '../lib/local-status.ts';
import { VIEW } from '../lib/page.ts';
import { ROOT } from '../lib/paths.ts';
import { rectangle } from '../lib/shapes.ts';

const STATUS: LocalStatus = {
  ...WELL,
  report: {
    ...WELL.report,
    box: 'square-1',
    camera: { ...WELL.report.camera, widthPx: 768, heightPx: 576 },
    incidents: { standing: 0, episodes: 0, events: 0 },
    mqtt: null,
  },
  standing: [],
  recent: [],
};

export const CAMERA = 'rtsp://camera-1.local/stream1';

export const INSTALLED: Proposable = {
  cameraAddress: CAMERA,
  groundPlane: null,
  zones: [
    {
      id: 'lawn',
      polygon: [
        [0, 0.46],
        [0.2, 0.48],
        [0.5, 0.62],
        [0.96, 0.92],
        [0.96, 1],
        [0, 1],
      ],
    },
  ],
  lines: [{ id: 'east-road', from: [0.9, 0.34], to: [0.7, 0.75] }],
  masks: [],
  rules: [
    { id: 'stays', kind: 'loitering', zone: 'lawn', classes: ['person'], afterS: 3, purpose: 'public-order' },
    {
      id: 'passes',
      kind: 'line-crossing',
      line: 'east-road',
      classes: ['person'],
      direction: 'right',
      purpose: 'counting',
    },
  ],
};

export const AUTHORISATION: AuthorisationView = {
  order: '2026/17',
  authority: 'Ville de Marseille',
  camera: CAMERA,
  notAfter: '2027-11-24T00:00:00.000Z',
  installation: false,
  rules: [
    {
      kind: 'loitering',
      zones: ['lawn', 'square'],
      purpose: 'public-order',
      legalBasis: 'Decree 2026-1, article 3',
    },
    {
      kind: 'line-crossing',
      zones: ['east-road'],
      purpose: 'counting',
      legalBasis: 'Decree 2026-1, article 4',
    },
  ],
  outlines: [
    {
      id: 'square',
      polygon: rectangle(0.2, 0.25, 0.8, 0.7),
    },
  ],
  masks: [
    {
      id: 'houses',
      polygon: rectangle(0.42, 0.05, 0.75, 0.15),
    },
  ],
};

export const RECEIPT: ReceiptView = {
  id: 'b1-7',
  time: '2026-11-24T14:03:00.000Z',
  passed: true,
  still: createHash('sha256')
    .update(readFileSync(join(ROOT, 'docs/alert.jpg')))
    .digest('hex'),
  absent: null,
  delivered: false,
};

const ok = (name: string, detail: string) => ({ name, verdict: 'ok', detail, fix: null }) as const;
const FINDINGS = {
  en: [ok('camera', 'streaming, 25 pictures a second'), ok('clock', 'synchronised')],
  fr: [ok('camera', 'en marche, 25 images par seconde'), ok('clock', 'synchronisée')],
};
const BROKER = {
  en: { detail: 'not connected: no route to the broker', fix: 'check the cable and the broker’s address' },
  fr: {
    detail: 'non connecté : pas de route vers le broker',
    fix: 'vérifiez le câble et l’adresse du broker',
  },
};

export const cannedAgent = (language: 'fr' | 'en', brokerFails: boolean): AgentView => ({
  ...VIEW,
  box: 'square-1',
  order: AUTHORISATION,
  preview: { running: true, leftS: 500, leftTodayS: 3000, viewers: 1 },
  findings: [
    ...FINDINGS[language],
    ...(brokerFails ? [{ name: 'broker', verdict: 'failed', ...BROKER[language] } as const] : []),
  ],
  status: STATUS,
});

/** One person who stays on the lawn, and one who crosses the line to the right and back every 2 s. */
export function cannedTracks(frame: number): SeenTrack[] {
  const person = { group: 'person', label: 'person' } as const;
  const isRight = frame % 10 < 5;
  const crossing: SeenTrack['xyxyNorm'] = isRight ? [0.69, 0.3, 0.73, 0.45] : [0.84, 0.4, 0.88, 0.56];
  return [
    { track: 1, ...person, xyxyNorm: [0.37, 0.56, 0.43, 0.79] },
    { track: 2, ...person, xyxyNorm: crossing },
  ];
}

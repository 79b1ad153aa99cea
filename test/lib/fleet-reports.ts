/** Reports of many boxes, as their messages at the broker. */
import { generateKeyPairSync } from 'node:crypto';
import type { HealthReport } from '../../agent/contract/health.ts';
import { MODE_TYPE, type ModeStatement } from '../../agent/contract/mode.ts';
import { topicsOf } from '../../agent/contract/topics.ts';
import { CHANGE_PHASES, UPDATE_REPORT_TYPE, type UpdateReport } from '../../agent/contract/update.ts';
import { signEnvelope } from '../../agent/orders/dsse.ts';
import { STATUS } from './local-status.ts';

const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const key = publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
const at = (ms: number): string => new Date(ms).toISOString();

/** Conditions that boxes have in turn; `n` from 0. */
export const CONDITIONS = ['moved', 'covered', 'config-refused', 'identity-conflict'] as const;

export interface SimulatedBox {
  readonly site: string;
  readonly box: string;
  readonly n: number;
}

export function simulatedBoxes(count: number, sites = 5): SimulatedBox[] {
  return Array.from({ length: count }, (_, n) => ({ site: `site-${n % sites}`, box: `box-${n}`, n }));
}

export function healthOf({ site, box, n }: SimulatedBox, nowMs: number, round = 0): HealthReport {
  const { report } = STATUS;
  const { alert, bulk } = report.outbox.lanes;
  const dayMs = 86_400_000;
  return {
    ...report,
    site,
    box,
    time: at(nowMs),
    mode: n % 10 === 7 ? 'suspended' : 'active',
    restraint: { ...report.restraint, validUntil: at(nowMs + (n % 60) * dayMs) },
    frames: { read: 1000 + 150 * round, analysed: 1000 + 140 * round, dropped: 10 * round, watched: 0 },
    camera: { ...report.camera, state: n % 10 === 7 ? 'off' : 'streaming' },
    conditions: n % 12 < CONDITIONS.length ? [String(CONDITIONS[n % 12])] : [],
    outbox: {
      ...report.outbox,
      lanes: {
        alert: { ...alert, rows: n % 3, released: 18 + round * n },
        bulk: { ...bulk, expired: round },
      },
    },
    mqtt: report.mqtt && {
      ...report.mqtt,
      reconnects: round,
      fault: n % 20 === 3 ? { code: 'identity-conflict', message: 'another one' } : null,
    },
    certificate: { notAfter: at(nowMs + (n % 90) * dayMs), caNotAfter: at(nowMs + 3000 * dayMs) },
    temperatureC: 45 + (n % 40),
    // As many counters as a real report has.
    counters: Object.fromEntries(Array.from({ length: 60 }, (_, k) => [`counter_of_the_agent_${k}`, k * n])),
  };
}

function modeOf({ site, box, n }: SimulatedBox, nowMs: number): ModeStatement {
  return {
    site,
    box,
    boot: 'b00t',
    time: at(nowMs),
    mode: n % 10 === 7 ? 'suspended' : 'active',
    since: at(nowMs),
    reason: null,
    framesRead: 1,
    packetsWatched: 0,
    order: null,
    validUntil: null,
    installation: false,
    suspension: null,
  };
}

function reportOf({ site, box, n }: SimulatedBox, nowMs: number): UpdateReport {
  const phase = CHANGE_PHASES[n % CHANGE_PHASES.length] ?? 'idle';
  return {
    site,
    box,
    key,
    at: at(nowMs),
    boot: 'b00t',
    version: '0.2.0',
    updater: {
      at: at(nowMs),
      board: 'rpi5',
      arch: 'arm64',
      os: 'Debian 13.2',
      kernel: '6.12.57',
      node: '20.19.2',
      release: { seq: 400 + (n % 2), version: `0.2.${n % 2}` },
      previous: null,
      phase,
      since: at(nowMs - 60_000),
      rollout: 'october',
      target: { seq: 402, version: '0.2.2' },
      reason: null,
      bytes: phase === 'downloading' ? { done: 3, total: 10 } : null,
      metadata: null,
      osUpdates: { pending: n % 5, reboot: n % 5 === 4 },
      freeBytes: 8e9 - n * 1e6,
      history: 0,
      root: {
        release: { seq: 398 + (n % 2), version: '0.2.0' },
        phase: n % 10 === 6 ? 'rolled-back' : 'idle',
        since: at(nowMs - 30_000),
        rollout: n % 10 === 6 ? 'october-root' : null,
        target: n % 10 === 6 ? { seq: 403, version: '0.2.2' } : null,
        reason: null,
      },
    },
    order: 17,
    refused: n % 8 === 1 ? 'the order is for another site' : null,
    config: {
      sha256: null,
      phase: n % 9 === 5 ? 'rolled-back' : 'idle',
      rollout: null,
      revision: n % 4,
      reason: null,
      order: null,
      refused: null,
    },
    mode: 'active',
    authorisation: null,
    orderNotAfter: null,
    certNotAfter: at(nowMs + (n % 90) * 86_400_000),
    journalIndex: 900 + n,
  };
}

/** Retained messages of a box: topic and payload. */
export function messagesOf(box: SimulatedBox, nowMs: number): [string, string][] {
  const topics = topicsOf(box.site, box.box);
  const state = box.n % 15 === 14 ? 'offline' : box.n % 30 === 13 ? 'stopped' : 'online';
  const sign = (type: string, content: object): string =>
    signEnvelope(type, JSON.stringify(content), privateKey);
  return [
    [topics.status, JSON.stringify({ state, boot: 'b00t', time: at(nowMs) })],
    [topics.health, JSON.stringify(healthOf(box, nowMs))],
    [topics.mode, sign(MODE_TYPE, modeOf(box, nowMs))],
    [topics.updateReported, sign(UPDATE_REPORT_TYPE, reportOf(box, nowMs))],
  ];
}

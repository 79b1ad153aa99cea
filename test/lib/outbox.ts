/** Outboxes and items for tests. */
import { createHash } from 'node:crypto';
import type { Test } from 'tap';
import { type Clock, systemClock } from '../../agent/base/clock.ts';
import { type Logger, makeLogger } from '../../agent/base/log.ts';
import { receivedSnapshot } from '../../agent/contract/link.ts';
import { LANES, type Lane, type OutboxItem, type Rank } from '../../agent/contract/outbox.ts';
import type { RedactedJpeg } from '../../agent/contract/redacted-jpeg.ts';
import { DurableOutbox, type OutboxOptions } from '../../agent/outbox/outbox.ts';

export const SILENT = makeLogger('test', 'silent');

/** A log that stores its lines. */
export function keptLog(): { log: Logger; lines: string[] } {
  const lines: string[] = [];
  const keep = (level: string) => (fields: object, message: string) =>
    void lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
  return {
    log: { error: keep('error'), warn: keep('warn'), info: keep('info'), debug: keep('debug') },
    lines,
  };
}

export function makeOutbox(file: string, options: Partial<OutboxOptions> = {}): { outbox: DurableOutbox } {
  const outbox = new DurableOutbox({
    file,
    limitMiB: 4,
    boot: 'boot-1',
    clock: systemClock,
    log: SILENT,
    ...options,
  });
  return { outbox };
}

/** A text item whose body contains its number. */
export function text(lane: Lane, rank: Exclude<Rank, 'snapshot'>, bytes = 300): OutboxItem {
  return {
    lane,
    rank,
    topic: `vigie/site/box/evt/${rank}/loitering`,
    contentType: 'application/cloudevents+json; charset=utf-8',
    body: (seq) => JSON.stringify({ id: `${lane}-${seq}`, lane, seq, filler: 'x'.repeat(bytes) }),
  };
}

export function snapshot(lane: Lane, bytes: number, expiryS?: number): OutboxItem {
  return {
    lane,
    rank: 'snapshot',
    topic: 'vigie/site/box/snap/1',
    contentType: 'image/jpeg',
    jpeg: picture(bytes),
    ...(expiryS !== undefined && { expiryS }),
  };
}

/** A picture as the link hands it over; its bytes are noise, because the outbox must not interpret them. */
export function picture(bytes: number): RedactedJpeg {
  return redacted(new Uint8Array(bytes).map((_, i) => (i * 31) % 251));
}

export const REDACTION = { figures: 1, cleanPlate: { ratio: 0.03, maxAgeS: 5 }, mosaicShare: 0, masks: 0 };

/** A picture of a test's own making, typed as the link hands it over. */
export function redacted(jpeg: Uint8Array): RedactedJpeg {
  const sha256 = createHash('sha256').update(jpeg).digest('hex');
  const size = { widthPx: 1280, heightPx: 720 };
  const header = { kind: 'snapshot', request: 1, sha256, ...size, atMs: 0, redaction: REDACTION } as const;
  return receivedSnapshot(header, jpeg);
}

/** A clock that the test moves; `sleep` waits in real time. */
export class HandClock implements Clock {
  monoMs = 1000;
  epochMs = Date.UTC(2026, 10, 24);
  nowMs(): number {
    return this.monoMs;
  }
  wallMs(): number {
    return this.epochMs;
  }
  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return systemClock.sleep(delayMs, signal);
  }
  advance(ms: number): void {
    this.monoMs += ms;
    this.epochMs += ms;
  }
}

/** An outbox that stays open until the test is over. */
export function openedOutbox(t: Test, file: string, limitMiB = 64): DurableOutbox {
  const { outbox } = makeOutbox(file, { limitMiB });
  outbox.start();
  t.teardown(() => outbox.stop());
  return outbox;
}

/** Number of rows of all lanes that are still to be delivered. */
export function rowsOf(outbox: DurableOutbox): number {
  return LANES.reduce((sum, lane) => sum + outbox.counters.lanes[lane].rows, 0);
}

/**
 * Writes the output files of a replay:
 * - events.jsonl, summary.json and snapshots/<event-id>.jpg
 * - tracks.txt, tracks.classes.txt and detections.txt in the MOTChallenge 2D form, with 1-based frames and source
 *   pixels. The columns are frame, id, left, top, width, height, score, -1, -1, -1.
 */
import { closeSync, mkdirSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { AgentError, messageOf } from '../base/errors.ts';
import {
  type EventPicture,
  type EventSink,
  pictureName,
  type UnnumberedEvent,
} from '../contract/event-sink.ts';
import type { SizePx, XyxyNorm } from '../contract/geometry.ts';
import type { FromVision } from '../contract/link.ts';
import type { ObservedTrack } from '../contract/observation.ts';

/** Time in which the tracker's predicted box replaces a missed detection (docs/design/003-tracker.md). */
const BRIDGED_MS = 300;

type FrameMessage = Extract<FromVision, { kind: 'frame' }>;

export class ReplayFiles implements EventSink {
  readonly #dir: string;
  readonly #classes = new Map<number, string>();
  #events = 0;
  #open: { events: number; tracks: number; detections: number } | undefined;

  constructor(dir: string) {
    this.#dir = dir;
  }

  get events(): number {
    return this.#events;
  }

  /**
   * Creates the folder and removes the output of an earlier replay. Throws AgentError `config` if it cannot be written.
   */
  start(): void {
    try {
      mkdirSync(this.#dir, { recursive: true });
      rmSync(join(this.#dir, 'snapshots'), { recursive: true, force: true });
      rmSync(join(this.#dir, 'summary.json'), { force: true });
      mkdirSync(join(this.#dir, 'snapshots'));
      const open = (name: string): number => openSync(join(this.#dir, name), 'w');
      this.#open = {
        events: open('events.jsonl'),
        tracks: open('tracks.txt'),
        detections: open('detections.txt'),
      };
    } catch (error) {
      throw new AgentError(
        'config',
        `${this.#dir}: cannot write there (${messageOf(error)}); name another folder with --out`,
        error,
      );
    }
  }

  accept(event: UnnumberedEvent, pictures: readonly EventPicture[]): void {
    this.#events += 1;
    const numbered = { ...event, sequence: String(this.#events).padStart(10, '0') };
    for (const { moment, picture } of pictures) {
      writeFileSync(join(this.#dir, 'snapshots', `${pictureName(event.id, moment)}.jpg`), picture.bytes);
    }
    this.#write('events', `${JSON.stringify(numbered)}\n`);
  }

  remember(): void {
    // A replay starts without state and leaves none to a later one.
  }

  /** Adds one frame's detections, and its tracks that were seen in it or shortly before. */
  frame({ observation, detections }: FrameMessage): void {
    const { frame, source, tracks, atMs } = observation;
    const classes = this.#classes;
    let rows = '';
    for (let i = 0; i < tracks.length; i++) {
      const { id, label, seen: isSeen, lastMs, xyxyNorm, score } = tracks[i] as ObservedTrack;
      if (!isSeen && atMs - lastMs > BRIDGED_MS) continue;
      classes.set(id, label);
      rows += motLine(frame, id, xyxyNorm, source, score);
    }
    this.#write('tracks', rows);
    rows = '';
    for (let i = 0; i < detections.length; i++) {
      const { xyxyNorm, score } = detections[i] as FrameMessage['detections'][number];
      rows += motLine(frame, -1, xyxyNorm, source, score);
    }
    this.#write('detections', rows);
  }

  finish(summary: object): void {
    const classes = [...this.#classes].sort(([a], [b]) => a - b);
    writeFileSync(
      join(this.#dir, 'tracks.classes.txt'),
      classes.map(([id, label]) => `${id},${label}\n`).join(''),
    );
    writeFileSync(join(this.#dir, 'summary.json'), `${JSON.stringify(summary, null, 2)}\n`);
    this.stop();
  }

  stop(): void {
    for (const fd of Object.values(this.#open ?? {})) closeSync(fd);
    this.#open = undefined;
  }

  #write(file: 'events' | 'tracks' | 'detections', text: string): void {
    if (this.#open !== undefined && text !== '') writeSync(this.#open[file], text);
  }
}

/** Reads the box by index, because destructuring would call an iterator five times a row. */
function motLine(frame: number, id: number, box: XyxyNorm, size: SizePx, score: number): string {
  const { widthPx, heightPx } = size;
  const x1 = box[0];
  const y1 = box[1];
  const from = `${(x1 * widthPx).toFixed(2)},${(y1 * heightPx).toFixed(2)}`;
  const sides = `${((box[2] - x1) * widthPx).toFixed(2)},${((box[3] - y1) * heightPx).toFixed(2)}`;
  return `${frame},${id},${from},${sides},${score.toFixed(3)},-1,-1,-1\n`;
}

/**
 * Reads MOTChallenge text and pairs truth with tracks. Each line is one box, `frame,id,left,top,width,height,conf,…`,
 * with frames from 1 and pixels (Leal-Taixé et al., "MOTChallenge 2015: Towards a benchmark for multi-target
 * tracking").
 */
import { AgentError } from '../../../agent/base/errors.ts';
import { iou, type XyxyPx } from '../../../agent/contract/geometry.ts';

export interface MotRow {
  readonly frame: number;
  readonly id: number;
  readonly xyxyPx: XyxyPx;
  /** Confidence. In ground truth 0 means not counted; in tracks it is the score. */
  readonly conf: number;
}

/** Reads rows; `fileName` names the file in the error. Throws AgentError `corrupt` on an invalid line. */
export function parseMot(text: string, fileName: string): MotRow[] {
  const rows: MotRow[] = [];
  for (const [i, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    const fields = line.split(',').map(Number);
    const [frame, id, left, top, width, height, conf] = fields as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    if (fields.length < 7 || fields.slice(0, 7).some((f) => !Number.isFinite(f)) || frame < 1) {
      throw new AgentError(
        'corrupt',
        `${fileName}:${i + 1}: expected frame,id,left,top,width,height,conf, found "${line.slice(0, 80)}"`,
      );
    }
    rows.push({ frame, id, xyxyPx: [left, top, left + width, top + height], conf });
  }
  return rows;
}

export function formatMot(rows: readonly MotRow[]): string {
  return rows
    .map(({ frame, id, xyxyPx: [x1, y1, x2, y2], conf }) =>
      [
        frame,
        id,
        x1.toFixed(2),
        y1.toFixed(2),
        (x2 - x1).toFixed(2),
        (y2 - y1).toFixed(2),
        conf.toFixed(4),
        -1,
        -1,
        -1,
      ].join(','),
    )
    .map((line) => `${line}\n`)
    .join('');
}

/** One frame of a scored sequence: indices into the sequence's objects and tracks, and their overlaps. */
export interface ScoredFrame {
  readonly truth: readonly number[];
  readonly tracks: readonly number[];
  /** IoU, row-major, truth × found. */
  readonly overlaps: Float64Array;
}

/** Truth and tracks side by side, with identities numbered from 0. */
export interface Sequence {
  readonly frames: readonly ScoredFrame[];
  readonly truthIds: number;
  readonly foundIds: number;
}

/** Pairs ground truth with tracks over `frames` frames. Rows of conf 0 are left out, as in the benchmark. */
export function pairUp(truth: readonly MotRow[], tracks: readonly MotRow[], frames: number): Sequence {
  const counted = truth.filter((row) => row.conf !== 0);
  const truthIds = numbering(counted);
  const foundIds = numbering(tracks);
  const truthByFrame = byFrame(counted);
  const foundByFrame = byFrame(tracks);
  const scored: ScoredFrame[] = [];
  for (let frame = 1; frame <= frames; frame += 1) {
    const t = truthByFrame.get(frame) ?? [];
    const f = foundByFrame.get(frame) ?? [];
    scored.push({
      truth: t.map((row) => truthIds.get(row.id) as number),
      tracks: f.map((row) => foundIds.get(row.id) as number),
      overlaps: Float64Array.from(t.flatMap((a) => f.map((b) => iou(a.xyxyPx, b.xyxyPx)))),
    });
  }
  return { frames: scored, truthIds: truthIds.size, foundIds: foundIds.size };
}

function numbering(rows: readonly MotRow[]): Map<number, number> {
  const numbers = new Map<number, number>();
  for (const { id } of rows) if (!numbers.has(id)) numbers.set(id, numbers.size);
  return numbers;
}

function byFrame(rows: readonly MotRow[]): Map<number, MotRow[]> {
  const frames = new Map<number, MotRow[]>();
  for (const row of rows) {
    const sameFrame = frames.get(row.frame);
    if (sameFrame === undefined) frames.set(row.frame, [row]);
    else sameFrame.push(row);
  }
  return frames;
}

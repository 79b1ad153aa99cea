/** Runs a plain Python program for comparison: OpenCV decodes, ONNX Runtime detects, boxes are joined by overlap. */
import { join } from 'node:path';
import { AgentError } from '../../../agent/base/errors.ts';
import { packageRoot } from '../../../agent/base/package-root.ts';
import type { Input } from './gstreamer.ts';
import { costOf } from './measure.ts';

export interface PeerReport {
  /** CPU time per frame after the warm ones: decoding, detection and tracking, all threads. */
  readonly cpuMs: number;
  readonly rssPeakMiB: number;
  /** Versions of OpenCV and ONNX Runtime. */
  readonly versions: string;
}

export interface PeerOptions {
  readonly fullClip: string;
  readonly frames: number;
  readonly warmFrames: number;
  readonly modelFile: string;
  readonly input: Input;
}

/** @throws AgentError `unavailable` (Debian's packages are missing), `bug` (it saw other frames than the floor) */
export async function runPeer({
  fullClip,
  frames,
  warmFrames,
  modelFile,
  input,
}: PeerOptions): Promise<PeerReport> {
  const program = join(packageRoot(), 'scripts', 'workshop', 'bench', 'peer.py');
  const command = [
    '/usr/bin/python3',
    program,
    fullClip,
    modelFile,
    ...input.map(String),
    String(warmFrames),
  ];
  const { stdout, rssPeakMiB } = await costOf(command, (line) =>
    line.includes('peer.py') ? 'peer' : undefined,
  );
  const result = JSON.parse(stdout) as { frames: number; cpuMs: number; versions: string };
  if (result.frames !== frames)
    throw new AgentError('bug', `the peer saw ${result.frames} of ${frames} frames`);
  const { versions } = result;
  return { cpuMs: result.cpuMs / (frames - warmFrames), rssPeakMiB: rssPeakMiB['peer'] ?? 0, versions };
}

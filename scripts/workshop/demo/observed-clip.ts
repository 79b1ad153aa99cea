/** Replays a recorded clip once through a vision process of its own, frame by frame, and returns its observations. */
import { systemClock } from '../../../agent/base/clock.ts';
import { AgentError } from '../../../agent/base/errors.ts';
import type { Logger } from '../../../agent/base/log.ts';
import type { VisionSettings } from '../../../agent/contract/link.ts';
import type { Observation } from '../../../agent/contract/observation.ts';
import type { CapturePermit } from '../../../agent/contract/permit.ts';
import { type ReceivedFromVision, VisionProcess } from '../../../agent/supervisor/vision-process.ts';

export interface ClipReplay {
  /** Settings of the mode `replay`, with a file as its camera. */
  readonly settings: VisionSettings;
  readonly permit: CapturePermit;
  readonly log: Logger;
  /** Ends the replay early. */
  readonly signal?: AbortSignal;
  /** Called with each frame and the completed ratio of the clip, 0..1. */
  onProgress?(ratio: number): void;
}

/** Returns all observations of the clip, in order. Throws AgentError, one line. */
export function observeClip({
  settings,
  permit,
  log,
  signal,
  onProgress,
}: ClipReplay): Promise<Observation[]> {
  const observations: Observation[] = [];
  let durationMs: number | null = null;
  let hasEnded = false;
  let visionError: AgentError | undefined;
  return new Promise((resolve, reject) => {
    const take = ({ message }: ReceivedFromVision): void => {
      if (message.kind === 'opened') durationMs = message.durationMs;
      else if (message.kind === 'frame') {
        const { observation } = message;
        observations.push(observation);
        vision.send({ kind: 'ack', frame: observation.frame, evidence: [] });
        if (durationMs !== null) onProgress?.(Math.min(1, observation.atMs / durationMs));
      } else if (message.kind === 'ended') hasEnded = true;
      else if (message.kind === 'failed') visionError = new AgentError(message.error, message.message);
    };
    const stop = (): void => void vision.stop();
    const vision = new VisionProcess({
      restraintDir: undefined,
      clock: systemClock,
      log,
      onMessage: take,
      onExit: ({ code, signal: killedBy, isRequested, error }) => {
        signal?.removeEventListener('abort', stop);
        if (hasEnded && !isRequested) resolve(observations);
        else {
          const manner = isRequested ? 'interrupted' : (error?.message ?? killedBy ?? `exit code ${code}`);
          reject(visionError ?? new AgentError('unavailable', `vision ended before the clip (${manner})`));
        }
      },
    });
    vision.start(permit, settings);
    signal?.addEventListener('abort', stop);
    if (signal?.aborted === true) stop();
  });
}

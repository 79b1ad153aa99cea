/** Vision on a test's RTSP camera, kept alive as the agent keeps it, and its messages. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
import { VisionKeepAlive } from '../../agent/supervisor/keep-alive.ts';
import type { ReceivedFromVision } from '../../agent/supervisor/vision-process.ts';
import { SILENT } from './outbox.ts';
import { bareSettings, permitFor } from './vision.ts';

export class WatchedCamera {
  readonly vision: VisionKeepAlive;
  readonly messages: ReceivedFromVision['message'][] = [];
  readonly ends: string[] = [];
  frames = 0;
  losses = 0;
  looping = false;
  /** Conditions of the last frame. */
  conditions = '';

  constructor(t: Test, source: string, fps = 5) {
    const settings = bareSettings(source, fps);
    const { permit, restraintDir } = permitFor(t, source);
    this.vision = new VisionKeepAlive({
      clock: systemClock,
      log: SILENT,
      restraintDir,
      settings: () => settings,
      onMessage: (received) => this.#take(received),
      onEnd: ({ code, signal }) => this.ends.push(String(signal ?? code)),
      onCrashLoop: (looping) => {
        this.looping = looping;
      },
    });
    t.teardown(() => this.vision.stop());
    this.vision.start(permit);
  }

  /** Milliseconds until the condition holds; Infinity if it does not within `limitMs`. */
  async msUntil(condition: () => boolean, limitMs: number): Promise<number> {
    const beganMs = performance.now();
    while (!condition()) {
      if (performance.now() - beganMs > limitMs) return Number.POSITIVE_INFINITY;
      await sleep(20);
    }
    return Math.round(performance.now() - beganMs);
  }

  untilFrame(limitMs: number): Promise<number> {
    const before = this.frames;
    return this.msUntil(() => this.frames > before, limitMs);
  }

  untilLost(limitMs: number): Promise<number> {
    const before = this.losses;
    return this.msUntil(() => this.losses > before, limitMs);
  }

  #take({ message }: ReceivedFromVision): void {
    if (message.kind === 'frame') {
      this.frames += 1;
      this.conditions = (message.observation.camera ?? []).join();
      this.vision.send({ kind: 'ack', frame: message.observation.frame, evidence: [] });
      return;
    }
    if (message.kind === 'lost') this.losses += 1;
    this.messages.push(message);
  }
}

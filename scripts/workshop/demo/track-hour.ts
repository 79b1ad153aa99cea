/**
 * Prepares the demo's log of tracks: its grant in the authorisation, and one hour of data before the agent starts. The
 * hour is made from the clip, and the number of the authorisation labels it so. For a camera there is no hour, and its
 * authorisation permits no log.
 */

import { existsSync } from 'node:fs';
import { SingleBar } from 'cli-progress';
import { systemClock } from '../../../agent/base/clock.ts';
import { messageOf } from '../../../agent/base/errors.ts';
import { makeLogger } from '../../../agent/base/log.ts';
import { modelsDir } from '../../../agent/base/package-root.ts';
import { loadConfig } from '../../../agent/config/load.ts';
import type { Authorisation } from '../../../agent/contract/authorisation.ts';
import type { Config, Keyholder } from '../../../agent/contract/config.ts';
import type { Observation } from '../../../agent/contract/observation.ts';
import type { TrackLogGrant } from '../../../agent/contract/track-log.ts';
import { ClockSync } from '../../../agent/health/clock-sync.ts';
import { authorisedAddress } from '../../../agent/orders/camera-pin.ts';
import { permitReplay } from '../../../agent/restraint/permit.ts';
import { visionSettings } from '../../../agent/supervisor/vision-settings.ts';
import { writeHour } from './made-hour.ts';
import { observeClip } from './observed-clip.ts';

/** Same as for the demo's box (config.yaml). */
const FPS = 5;
const FILE = 'file:';

const GRANT: Omit<TrackLogGrant, 'approvers'> = {
  purpose: 'demonstration',
  legalBasis: 'none: a demonstration',
  grade: 'persons',
  magistrate: 'Demonstration: no one has authorised it',
  zones: 'all',
  colour: true,
  days: 1,
  spanHours: 24,
  budget: { case: 1_000_000, keyDay: 1_000_000, day: 1_000_000 },
};
const ORDER = 'demonstration-1';
const ORDER_OF_HOUR = `${ORDER}: the hour before its start was made from the clip`;

export interface Hour {
  /** Parts of the authorisation under which the agent is to run. */
  readonly authorisation: Pick<Authorisation, 'order' | 'tracks'>;
  /** Number of tracks written; undefined if there is no hour. */
  readonly tracks: number | undefined;
  /** Reason why there is none although there could have been. */
  readonly problem: string | undefined;
}

/** Replay of the clip, which takes some seconds in parallel with the other starts. */
export class TrackHour {
  readonly #source: string;
  readonly #log = makeLogger('demo', 'silent');
  readonly #observed: Promise<Observation[] | string | undefined>;
  readonly #clock = new ClockSync({ clock: systemClock, log: this.#log });
  #ratio = 0;
  #bar: SingleBar | undefined;

  /** Begins at once. `config` is the file of the demo's configuration, and `signal` ends the replay early. */
  constructor(config: string, source: string, signal: AbortSignal) {
    this.#source = source;
    this.#observed = this.#observe(config, signal).catch(messageOf);
  }

  /** Resolves when the hour is in the log of the agent with this state folder, which has not been started yet. */
  async written(
    stateDir: string,
    { retention }: Pick<Config, 'retention'>,
    approvers: Keyholder[],
  ): Promise<Hour> {
    const observed = await this.#observeWithBar();
    if (!Array.isArray(observed))
      return { authorisation: { order: ORDER }, tracks: undefined, problem: observed };
    await this.#clock.start();
    await this.#clock.stop();
    const grant = { ...GRANT, approvers };
    const tracks = writeHour(observed, {
      stateDir,
      limitMiB: retention.tracksMiB,
      grant,
      order: ORDER_OF_HOUR,
      camera: authorisedAddress(this.#source),
      endsMs: Date.now(),
      // The agent stores nothing until its clock is set.
      gapReason: this.#clock.synced ? 'not-running' : 'clock-not-set',
    });
    return { authorisation: { order: ORDER_OF_HOUR, tracks: grant }, tracks, problem: undefined };
  }

  async #observe(file: string, signal: AbortSignal): Promise<Observation[] | undefined> {
    // The agent reports problems of a clip.
    if (!this.#source.startsWith(FILE) || !existsSync(this.#source.slice(FILE.length))) return undefined;
    // The real broker comes later; a replay publishes nothing.
    const env = { VIGIE_CAMERA_SOURCE: this.#source, VIGIE_MQTT_URL: 'mqtt://localhost' };
    const config = loadConfig(file, { env, mode: 'replay' });
    const permit = permitReplay(config);
    const camera = { source: this.#source, fps: FPS };
    const settings = visionSettings(config, permit, { modelDir: modelsDir(), mode: 'replay', camera });
    return observeClip({
      permit,
      signal,
      log: this.#log,
      settings: { ...settings, detections: false, vehicleColours: true },
      onProgress: (ratio) => {
        this.#ratio = ratio;
        this.#bar?.update(ratio);
      },
    });
  }

  /** Waits for the replay, with a bar on a terminal. */
  async #observeWithBar(): Promise<Observation[] | string | undefined> {
    if (process.stderr.isTTY && this.#source.startsWith(FILE)) {
      const format = 'Passages {bar} {percentage}% of the clip, from which an hour of tracks is made';
      const stream = process.stderr;
      this.#bar = new SingleBar({ format, stream, hideCursor: true, clearOnComplete: true });
      this.#bar.start(1, this.#ratio);
    }
    try {
      return await this.#observed;
    } finally {
      this.#bar?.stop();
    }
  }
}

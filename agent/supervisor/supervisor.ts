/**
 * Vision, as far as it may exist: it lives under a permit, ends with it, and goes on where a new permit changes
 * nothing for it.
 */
import type { CameraConfig, Config } from '../contract/config.ts';
import type { VisionSettings } from '../contract/link.ts';
import type { CapturePermit } from '../contract/permit.ts';
import { type KeepAliveOptions, VisionKeepAlive } from './keep-alive.ts';
import { visionSettings } from './vision-settings.ts';

export interface VisionSupervisorOptions extends Omit<KeepAliveOptions, 'settings'> {
  readonly config: Config;
  readonly camera: CameraConfig;
  /** Folder of the model cards, where it is not the package's own. */
  readonly modelDir?: string | undefined;
  /** What vision knew before, for each start of it. */
  known(): Pick<VisionSettings, 'knownStanding' | 'knownView'>;
  /** The vision process has gone, asked or not. */
  onGone(): void;
}

export class VisionSupervisor {
  readonly #options: VisionSupervisorOptions;
  readonly #vision: VisionKeepAlive;
  /** What vision was started with; undefined while it does not exist. */
  #watching: string | undefined;
  #stopped = false;

  constructor(options: VisionSupervisorOptions) {
    this.#options = options;
    this.#vision = new VisionKeepAlive({
      ...options,
      settings: (permit) => ({ ...this.#settings(permit), ...options.known() }),
    });
  }

  /** Unasked ends since the start. */
  get ends(): number {
    return this.#vision.ends;
  }

  send(...args: Parameters<VisionKeepAlive['send']>): boolean {
    return this.#vision.send(...args);
  }

  /** Resolves when there is no vision process any more, or another one has been started. */
  async carryOut(permit: CapturePermit | undefined): Promise<void> {
    const watching = permit && JSON.stringify(this.#settings(permit));
    if (this.#stopped || watching === this.#watching) return;
    this.#watching = watching;
    await this.#vision.stop();
    this.#options.onGone();
    if (permit !== undefined && !this.#stopped) this.#vision.start(permit);
  }

  /** For ever. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#vision.stop();
  }

  #settings(permit: CapturePermit): VisionSettings {
    const { config, camera, modelDir } = this.#options;
    const settings = visionSettings(config, permit, { mode: 'live', camera });
    return modelDir === undefined ? settings : { ...settings, modelDir };
  }
}

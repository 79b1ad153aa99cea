/** What the agent has to do with vision beside its events: the camera's view over restarts, heat, and the pace. */
import { CameraView, type CameraViewOptions } from './supervisor/camera-view.ts';
import type { FromVision, Received, VisionSettings } from './contract/link.ts';
import { LoadControl, type LoadControlOptions } from './supervisor/load.ts';

export class VisionDesks {
  readonly #camera: CameraView;
  readonly #load: LoadControl;

  constructor(options: CameraViewOptions & LoadControlOptions) {
    this.#camera = new CameraView(options);
    this.#load = new LoadControl(options);
  }

  get counters(): Record<string, number> {
    return { ...this.#camera.counters, ...this.#load.counters };
  }

  /** For a vision process that starts. */
  get settings(): Pick<VisionSettings, 'knownView'> {
    return this.#camera.settings;
  }

  start(): void {
    this.#camera.start();
  }

  /** True for what belongs to no event. */
  take(received: Received<FromVision>): boolean {
    this.#load.take(received.message);
    return this.#camera.take(received);
  }

  /** Called about twice a second. */
  tick(): void {
    this.#camera.tick();
    this.#load.tick();
  }
}

/**
 * Records in the journal to which address vision is connected: at the very first opening, and at every change, also
 * across restarts.
 */

import type { Counters } from '../base/counters.ts';
import { cameraAddress } from '../contract/camera-address.ts';
import type { ConnectionKnown, JournalEntry } from '../contract/journal.ts';

export interface CameraConnectionOptions {
  readonly camera: { readonly source: string };
  readonly journal: {
    readonly recordedState: { readonly connection: ConnectionKnown | null } | undefined;
    enter(entry: JournalEntry): void;
  };
}

export class CameraConnection {
  readonly #options: CameraConnectionOptions;
  #changes = 0;

  constructor(options: CameraConnectionOptions) {
    this.#options = options;
  }

  /** Number of changes while the configuration named the same camera. */
  get counters(): Counters {
    return { camera_connection_changes: this.#changes };
  }

  /** Called when vision has opened its camera. */
  opened(to: string): void {
    const { camera, journal } = this.#options;
    const address = cameraAddress(camera.source);
    const stored = journal.recordedState?.connection ?? null;
    const before = stored?.camera === address ? stored.to : null;
    if (before === to) return;
    if (before !== null) this.#changes += 1;
    journal.enter({ type: 'connected', camera: address, to, before });
  }
}

/** Reads the room's command to open the hotspot, verified by root (room-command.ts). */
import { OPEN_HOTSPOT_FILE } from '../../../../agent/contract/hotspot.ts';
import { RoomCommand, type RoomCommandOptions } from '../room-command.ts';

export type HotspotAsked = { readonly minutes: number } | { readonly refusal: string };

export class HotspotRequest {
  readonly #command: RoomCommand<'open-hotspot'>;

  constructor(options: Omit<RoomCommandOptions<'open-hotspot'>, 'op' | 'file' | 'countersFile'>) {
    const { stateDir, folder, clock } = options;
    this.#command = new RoomCommand({
      op: 'open-hotspot',
      file: OPEN_HOTSPOT_FILE,
      countersFile: 'hotspot-counters.json',
      stateDir,
      folder,
      clock,
      config: () => options.config(),
    });
  }

  /** Returns a new request since the last call; undefined if there is none. */
  newRequest(): HotspotAsked | undefined {
    const request = this.#command.newCommand();
    if (request === undefined || 'refusal' in request) return request;
    return { minutes: request.args.minutes };
  }
}

/**
 * `vigie-root hotspot`: opens the box's own Wi-Fi for a technician's phone. Called by its unit at each start of the
 * box, and when the room has requested it.
 */
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { systemClock } from '../../../../agent/base/clock.ts';
import { AgentError, rethrowBug } from '../../../../agent/base/errors.ts';
import { print } from '../../../../agent/cli/print.ts';
import { stateDir } from '../../../../agent/cli/state-dir.ts';
import { usableConfig } from '../../../../agent/config/last-good.ts';
import type { Config } from '../../../../agent/contract/config.ts';
import { HOTSPOT_KEY_FILE } from '../../../../agent/contract/hotspot.ts';
import { RestraintFolder } from '../../../../agent/orders/restraint-folder.ts';
import { openAuthorisation } from '../../../../agent/orders/signed-authorisation.ts';
import { readAuthorisationFile } from '../../../../agent/restraint/authorisation.ts';
import { type OwnOptions, ownConfig } from '../restraint.ts';
import { RoomCommand } from '../room-command.ts';
import { Hotspot, readHotspotKey } from './hotspot.ts';

export interface HotspotCommandOptions extends OwnOptions {
  /** File for NetworkManager's profile. */
  readonly profile: string;
}

/** Returns after a quarter of an hour, when the room's time is over, or at SIGTERM. */
export async function provisionHotspot({
  config,
  state: agentState,
  folder,
  profile,
}: HotspotCommandOptions): Promise<void> {
  // As the agent does: if the file is refused, the last valid one with its authorisation is used.
  const read = (): Config | undefined => {
    try {
      const state = stateDir(agentState, process.env);
      return usableConfig(config, state, { env: process.env, mode: 'check', files: false }).config;
    } catch (error) {
      rethrowBug(error);
      return undefined;
    }
  };
  // Set if another unit has started this one (systemd.exec(5)).
  const onRequest = process.env['TRIGGER_UNIT'] !== undefined;
  const command = new RoomCommand({
    op: 'open-hotspot',
    stateDir: stateDir(agentState, process.env),
    folder,
    clock: systemClock,
    config: () => ownConfig(config),
  });
  let polls = 0;
  const hotspot = new Hotspot({
    box: read()?.box ?? (hostname().split('.')[0] ?? 'vigie').slice(0, 32),
    passphrase: readHotspotKey(join(dirname(config), 'page', HOTSPOT_KEY_FILE)),
    profileFile: profile,
    clock: systemClock,
    refusal: () => hotspotRefusal(read(), new RestraintFolder(folder), Date.now()),
    onRequest,
    requested: () => {
      polls += 1;
      const request = command.newCommand();
      if (request === undefined) return undefined;
      if ('args' in request) return request.args.minutes;
      // A command from before this start of the box was judged then.
      if (onRequest || polls > 1) print(`the room’s command is refused: ${request.refusal}`);
      return undefined;
    },
    say: (line) => print(line),
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => hotspot.stop());
  await hotspot.open();
}

/**
 * Returns why the hotspot is off, or undefined. An authorisation counts from its signature, not from its first day. A
 * box without a clock wakes up in the past, and must not open the hotspot for that reason.
 */
export function hotspotRefusal(
  config: Config | undefined,
  folder: Pick<RestraintFolder, 'authority'>,
  nowMs: number,
): string | undefined {
  if (config?.authorisation === undefined) return undefined;
  try {
    const authorisation = openAuthorisation(readAuthorisationFile(config.authorisation), folder.authority());
    const { site, box, rules, notAfter } = authorisation;
    // An installation authorisation names no rule.
    if (site !== config.site || box !== config.box || rules.length === 0) return undefined;
    if (nowMs >= Date.parse(notAfter)) return undefined;
    return `order ${authorisation.order} holds until ${notAfter}; the room opens it, or use a cable`;
  } catch (error) {
    // An authorisation that cannot be read or is not signed allows nothing, so no one is being filmed.
    if (error instanceof AgentError && error.kind !== 'bug') return undefined;
    throw error;
  }
}

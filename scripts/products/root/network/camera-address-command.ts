/**
 * `vigie-root camera-address`: allows vision to reach the address of its camera. Called by its unit at each start of
 * the agent.
 */
import { AgentError } from '../../../../agent/base/errors.ts';
import { print } from '../../../../agent/cli/print.ts';
import { stateDir } from '../../../../agent/cli/state-dir.ts';
import { usableConfig } from '../../../../agent/config/last-good.ts';
import { shownSource } from '../../../../agent/contract/camera-address.ts';
import { RestraintFolder } from '../../../../agent/orders/restraint-folder.ts';
import { writeCamera } from '../../../../agent/restraint/folder.ts';
import type { OwnOptions } from '../restraint.ts';
import { cameraReach, tellSystemd } from './camera-address.ts';

export async function provisionCameraAddress({ config: file, state, folder }: OwnOptions): Promise<void> {
  const { env } = process;
  // As the agent does: if the file is refused, the last valid one is used.
  const { config } = usableConfig(file, stateDir(state, env), { env, mode: 'check', files: false });
  const { camera, mqtt } = config;
  if (camera === undefined)
    throw new AgentError('config', `${file}: camera: must be given, or there is nothing to reach`);
  const reached = await cameraReach(camera.source, { broker: mqtt?.url });
  writeCamera(new RestraintFolder(folder), reached);
  await tellSystemd(reached);
  const { addresses, notForAgent } = reached;
  const source = shownSource(camera.source);
  const reach = addresses.length === 0 ? 'no address at all' : `only ${addresses.join(', ')}`;
  print(`vision may reach ${reach} (camera ${source})`);
  if (notForAgent.length > 0) print(`the agent may not reach ${notForAgent.join(', ')}`);
}

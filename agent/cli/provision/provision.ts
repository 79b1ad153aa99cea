/** `vigie provision`: what root does for the box before the agent starts; called by its units. */
import { spawnSync } from 'node:child_process';
import { hostname } from 'node:os';
import { AgentError } from '../../base/errors.ts';
import { printable } from '../../base/printable.ts';
import { certificateFaults } from '../../config/certificates.ts';
import { usableConfig } from '../../config/last-good.ts';
import { inspectConfig, problemText } from '../../config/load.ts';
import { pathText } from '../../config/problem.ts';
import { shownSource } from '../../contract/camera-address.ts';
import { RestraintFolder } from '../../contract/restraint-folder.ts';
import { takeFromBootPartition } from '../../provision/boot-partition.ts';
import { cameraReach, tellSystemd } from '../../provision/camera-address.ts';
import { writeCamera } from '../../restraint/folder.ts';
import { print } from '../print.ts';
import { stateDir } from '../state-dir.ts';

/** systemd-hostnamed is started by the question. */
const HOSTNAME_WITHIN_MS = 20_000;

/** Returns the exit code: 2 when what lies there is refused. */
export function provisionBootPartition({ from, to }: { from: string; to: string }): number {
  const { state, lines } = takeFromBootPartition({
    from,
    to,
    now: new Date(),
    nameHost,
    inspect: (file) => {
      const { config, problems } = inspectConfig(file, { env: {}, mode: 'run', files: false });
      return { config, problems: problems.map((problem) => problemText(file, problem)) };
    },
    certificateProblems: ({ box, mqtt }) =>
      certificateFaults(box, mqtt ?? {}).map(
        ({ path, message, found }) => `${pathText(path)}: ${message} (found ${found})`,
      ),
  });
  const out = state === 'refused' ? process.stderr : process.stdout;
  out.write(`${lines.join('\n')}\n`);
  return state === 'refused' ? 2 : 0;
}

/** The daemon that publishes `<name>.local` follows it. A box that is not renamed is found by its address all the same. */
function nameHost(box: string): string {
  if (hostname() === box) return `host name: ${box}`;
  const { status, stderr, error } = spawnSync('hostnamectl', ['hostname', box], {
    encoding: 'utf8',
    timeout: HOSTNAME_WITHIN_MS,
  });
  if (status === 0) return `host name: ${box}, so that the page is https://${box}.local`;
  const why = printable((error?.message ?? stderr).trim().split('\n').at(-1) ?? '', 200);
  return `host name: stays ${hostname()} (${why}); the page is https://${hostname()}.local or the box’s address`;
}

export interface CameraAddressOptions {
  readonly config: string;
  /** The agent's. */
  readonly state?: string;
  /** By which vision goes. */
  readonly folder: string;
}

export async function provisionCameraAddress({
  config: file,
  state,
  folder,
}: CameraAddressOptions): Promise<void> {
  const { env } = process;
  // As the agent will: where the file is refused, the last good one.
  const { config } = usableConfig(file, stateDir(state, env), { env, mode: 'check', files: false });
  const { camera, mqtt } = config;
  if (camera === undefined)
    throw new AgentError('config', `${file}: camera: must be given, or there is nothing to reach`);
  const reached = await cameraReach(camera.source, { broker: mqtt?.url });
  writeCamera(new RestraintFolder(folder), reached);
  await tellSystemd(reached);
  const { addresses, notForAgent } = reached;
  const source = shownSource(camera.source);
  const reach = addresses.length === 0 ? 'no address at all' : `${addresses.join(', ')} and nothing else`;
  print(`vision may reach ${reach} (camera ${source})`);
  if (notForAgent.length > 0) print(`the agent may not reach ${notForAgent.join(', ')}`);
}

/** `vigie-root boot-partition`: takes configuration and keys from the boot partition, once; called by its unit. */
import { spawnSync } from 'node:child_process';
import { hostname } from 'node:os';
import { printable } from '../../../../agent/base/printable.ts';
import { certificateFaults } from '../../../../agent/config/certificates.ts';
import { inspectConfig, problemText } from '../../../../agent/config/load.ts';
import { pathText } from '../../../../agent/config/problem.ts';
import { takeFromBootPartition } from './boot-partition.ts';

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

/**
 * `vigie-root boot-partition`: installs the configuration and keys from the boot partition, once. Called by its unit.
 */
import { spawnSync } from 'node:child_process';
import { hostname } from 'node:os';
import { printable } from '../../../../agent/base/printable.ts';
import { certificateErrors } from '../../../../agent/config/certificates.ts';
import { inspectConfig, problemText } from '../../../../agent/config/load.ts';
import { pathText } from '../../../../agent/config/problem.ts';
import { takeFromBootPartition } from './boot-partition.ts';

/** Timeout of hostnamectl, ms; the call may have to start systemd-hostnamed first. */
const HOSTNAME_WITHIN_MS = 20_000;

/** Returns the exit code; 2 if the files are refused. */
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
      certificateErrors(box, mqtt ?? {}).map(
        ({ path, message, found: value }) => `${pathText(path)}: ${message} (found ${value})`,
      ),
  });
  const out = state === 'refused' ? process.stderr : process.stdout;
  out.write(`${lines.join('\n')}\n`);
  return state === 'refused' ? 2 : 0;
}

/**
 * Sets the host name, which the daemon that publishes `<name>.local` follows. If this fails, the box can still be
 * reached by its address.
 */
function nameHost(box: string): string {
  if (hostname() === box) return `host name: ${box}`;
  const { status, stderr, error } = spawnSync('hostnamectl', ['hostname', box], {
    encoding: 'utf8',
    timeout: HOSTNAME_WITHIN_MS,
  });
  if (status === 0) return `host name: ${box}, so that the page is https://${box}.local`;
  const reason = printable((error?.message ?? stderr).trim().split('\n').at(-1) ?? '', 200);
  return `host name: stays ${hostname()} (${reason}); the page is https://${hostname()}.local or the box’s address`;
}

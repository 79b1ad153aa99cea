/** Returns the state folder: as requested, as set by systemd (StateDirectory=), or the default. */
export const DEFAULT_STATE_DIR = '/var/lib/vigie';

export function stateDir(requestedDir: string | undefined, env: NodeJS.ProcessEnv): string {
  // STATE_DIRECTORY contains several folders, separated by colons, if the unit names several (systemd.exec(5)).
  return requestedDir ?? env['STATE_DIRECTORY']?.split(':')[0] ?? DEFAULT_STATE_DIR;
}

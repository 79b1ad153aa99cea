/** The folder of all that must survive a restart: as asked, as systemd says (StateDirectory=), or the usual. */
export const DEFAULT_STATE_DIR = '/var/lib/vigie';

export function stateDir(asked: string | undefined, env: NodeJS.ProcessEnv): string {
  // STATE_DIRECTORY holds several folders, separated by colons, where the unit names several (systemd.exec(5)).
  return asked ?? env['STATE_DIRECTORY']?.split(':')[0] ?? DEFAULT_STATE_DIR;
}

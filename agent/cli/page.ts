/** `vigie page`: runs the technician's page until it is stopped. */
import { join } from 'node:path';
import { systemClock } from '../base/clock.ts';
import { type LogLevel, makeLogger } from '../base/log.ts';
import { packageRoot, programVersion } from '../base/package-root.ts';
import { ENROL_STATUS_FILE } from '../contract/enrolment.ts';
import { PAGE_LIMITS, PageServer } from '../page/server/page-server.ts';
import { DEFAULT_PAGE_STATE_DIR } from './page-places.ts';

export interface PageOptions {
  readonly agent: string;
  readonly configHelper: string;
  readonly state: string | undefined;
  readonly setupCode: string;
  readonly app: string | undefined;
  readonly host: string;
  readonly port: number;
  readonly log: LogLevel;
}

/** First descriptor passed by systemd (sd_listen_fds(3)). */
const FIRST_HANDED = 3;

export async function page(options: PageOptions): Promise<void> {
  const { env, pid } = process;
  const { host, port } = options;
  const handed = env['LISTEN_PID'] === String(pid) && env['LISTEN_FDS'] === '1';
  const server = new PageServer({
    listen: handed ? { fd: FIRST_HANDED, port } : { host, port },
    appDir: options.app ?? join(packageRoot(), 'dist', 'agent', 'page', 'app'),
    stateDir: options.state ?? env['STATE_DIRECTORY']?.split(':')[0] ?? DEFAULT_PAGE_STATE_DIR,
    setupCodeFile: options.setupCode,
    agentSocket: options.agent,
    configSocket: options.configHelper,
    enrolStatusFile: ENROL_STATUS_FILE,
    version: programVersion(),
    clock: systemClock,
    log: makeLogger('vigie-page', options.log),
    cameras: { interfaces: [] },
    limits: PAGE_LIMITS,
  });
  await server.start();
  await new Promise<void>((resolve, reject) => {
    const stop = (): void => {
      server.stop().then(resolve, reject);
    };
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop);
  });
}

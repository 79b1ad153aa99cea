/**
 * `fleet cert revoke BOX`: revokes a box that was stolen or no longer belongs to the fleet.
 *
 * INVARIANTS:
 * - Offline steps come first and are durable whatever fails later: certificates and tokens are revoked, the lists are
 *   written, and reports are refused.
 * - The command is idempotent.
 * - Exit code 0 only if the box was looked for at the broker and not found.
 */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import type { MqttConfig } from '../../../../agent/contract/config.ts';
import { type Displacement, displace } from '../../room/enrol/displace.ts';
import { Enrolment } from '../../room/enrol/enrolment.ts';
import { requireConfirmation, withFleet } from '../context.ts';
import { say, warn } from '../output.ts';
import { cutOff } from './cut-off.ts';
import { enrolmentOf } from './list.ts';

const RELOAD_WITHIN_MS = 60_000;
/** Wait after a signal, ms, which is not acknowledged. Mosquitto reads its files again within its loop of 100 ms. */
const RELOADED_MS = 1000;

export interface RevokeOptions {
  readonly dir: string;
  readonly brokerPid?: number;
  readonly reload?: string;
  /** Time to listen, s. */
  readonly watch: number;
  /** Port of the boxes at the broker. */
  readonly boxesPort: number;
  readonly yes?: boolean;
}

export function revoke(box: string, options: RevokeOptions): Promise<void> {
  return withFleet(options.dir, async ({ fleet, store, signal, clock }) => {
    const enrolment = new Enrolment(enrolmentOf(fleet));
    try {
      const sites = store.boxesNamed(box).map(({ site }) => site);
      const certificates = enrolment.store
        .certificates()
        .filter((row) => row.box === box && row.use === 'client');
      if (sites.length === 0 && certificates.length === 0) {
        throw new AgentError(
          'config',
          `${box}: neither the enrolment nor the fleet knows a box of that name`,
        );
      }
      const sitesText = sites.length === 0 ? '' : ` (${sites.join(', ')})`;
      await requireConfirmation(`Shut ${box}${sitesText} out for good?`, options.yes === true, signal);
      const { count, folder } = enrolment.revoke(box, clock.wallMs());
      store.revoke(box, clock.wallMs());
      say(
        `${box}: ${count} certificates revoked, ${certificates.length} were given; what it reports is refused`,
      );
      if (certificates.length === 0) {
        warn(`${box}: its certificate is not from this enrolment: revoke it where it was signed`);
        process.exitCode = 1;
      }
      await reload(folder, options);
      const { watch } = options;
      const liveTopics = await cutOff({
        config: fleet.mqtt,
        box,
        displace: () => displace(connectionOf(box, fleet.mqtt, enrolment, options.boxesPort), signal),
        sites,
        watchMs: watch * 1000,
        clock,
        signal,
        say,
      });
      if (liveTopics.length > 0) {
        throw new AgentError(
          'denied',
          `${box}: is still heard at the broker (${liveTopics.slice(0, 3).join(', ')}): the broker does not use revoked.pem (crlfile) and broker.acl (acl_file) of ${folder}; fix its mosquitto.conf, then restart it`,
        );
      }
      say(`${box}: is out; nothing was heard of it for ${watch} s`);
    } finally {
      enrolment.close();
    }
  });
}

/** Address and authority of a box's connection: the broker of the fleet, at the port of the boxes. */
function connectionOf(
  box: string,
  { url, ca }: MqttConfig,
  { authority }: Enrolment,
  port: number,
): Displacement {
  const address = new URL(url);
  address.port = String(port);
  const trusted = ca === undefined ? Buffer.from(authority.certificate) : readFileSync(ca);
  return { authority, name: box, url: String(address), ca: trusted };
}

/** Throws AgentError if no option makes the broker read the lists. */
async function reload(folder: string, { brokerPid, reload: command }: RevokeOptions): Promise<void> {
  if (brokerPid === undefined && command === undefined) {
    throw new AgentError(
      'config',
      `the lists in ${folder} are written, and the broker does not know them yet: say it again with --reload 'systemctl reload mosquitto', or --broker-pid`,
    );
  }
  if (command !== undefined) {
    try {
      const env = { ...process.env, VIGIE_BOXES: folder };
      await promisify(execFile)('/bin/sh', ['-c', command], { env, timeout: RELOAD_WITHIN_MS });
    } catch (error) {
      throw new AgentError(
        'unavailable',
        `--reload: ${messageOf(error)}; the lists in ${folder} are written`,
        error,
      );
    }
  }
  if (brokerPid !== undefined) {
    try {
      process.kill(brokerPid, 'SIGHUP');
    } catch (error) {
      throw new AgentError(
        'config',
        `--broker-pid ${brokerPid}: ${messageOf(error)}; the lists in ${folder} are written`,
        error,
      );
    }
  }
  await sleep(RELOADED_MS);
}

/**
 * Requests to change a box's configuration, as tests send them: an order from the room, and a technician's requests.
 */
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ConfigReply } from '../../agent/contract/config-trial.ts';
import type { Proposal } from '../../agent/contract/proposal.ts';
import { CONFIG_ORDER_FILE, CONFIG_ORDER_TYPE, type ConfigOrder } from '../../agent/contract/update.ts';
import { signed } from './commands.ts';
import { BOX, SITE } from './room.ts';
import type { UpdatingBox } from './updating-box.ts';

let lastCounter = 0;

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/**
 * Writes an order for the text `yaml` to the request spool, as the agent would, valid from a minute ago unless `change`
 * says otherwise.
 */
export function orderConfiguration(
  box: UpdatingBox,
  yaml: string,
  change: Partial<ConfigOrder> & Pick<ConfigOrder, 'rollout' | 'revision'>,
): void {
  const nowMs = Date.now();
  lastCounter = Math.max(nowMs, lastCounter + 1);
  const order: ConfigOrder = {
    site: SITE,
    box: BOX,
    action: 'install',
    counter: lastCounter,
    notBefore: new Date(nowMs - 60_000).toISOString(),
    notAfter: new Date(nowMs + 86_400_000).toISOString(),
    window: null,
    sha256: sha256(yaml),
    yaml,
    ...change,
  };
  writeFileSync(join(box.agentState, CONFIG_ORDER_FILE), signed(box.signer, order, CONFIG_ORDER_TYPE));
}

/** A proposal of one mask, identified by the mask's id. */
export const maskProposal = (id: string): Proposal => ({
  zones: [],
  lines: [],
  masks: [
    {
      id,
      polygon: [
        [0, 0],
        [1, 0],
        [1, 0.2],
      ],
    },
  ],
  rules: [],
});

/** Sends one request of the page. Returns undefined where it was not answered. */
export async function askConfiguration(
  box: UpdatingBox,
  request: object,
  env: Readonly<Record<string, string>> = {},
): Promise<ConfigReply | undefined> {
  const program = box.start('config-trial', env);
  program.child.stdin?.on('error', () => undefined);
  program.child.stdin?.write(`${JSON.stringify(request)}\n`);
  await program.exit;
  return program.code === 0 ? (JSON.parse(program.out) as ConfigReply) : undefined;
}

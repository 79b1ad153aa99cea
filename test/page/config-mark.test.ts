/** Tests that a phone never receives the SHA-256 of a configuration. */
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { ConfigReply } from '../../agent/contract/config-trial.ts';
import type { AgentView } from '../../agent/contract/page-link.ts';
import { openPaired, REPLY } from '../lib/page.ts';
import { PROPOSAL } from '../lib/proposal.ts';
import { waitUntil } from '../lib/room.ts';

void t.test(
  'no answer holds the SHA-256 of the configuration, which would allow to test passwords',
  async (t) => {
    const { page, phone } = await openPaired(t);
    const marks = async (): Promise<string[]> => {
      page.clock.advance(10_000);
      const { json } = (await phone.get('/api/state')) as { json: { agent: AgentView; config: ConfigReply } };
      return [String(json.agent.configSha256), String(json.config.sha256)];
    };
    const [agents = '', helpers] = await marks();
    t.match(agents, /^[0-9a-f]{64}$/);
    t.equal(agents, helpers, 'the same configuration has the same mark');
    t.not(agents, REPLY.sha256, 'the mark is not the hash');
    const trial = { trial: 'a'.repeat(16) };
    for (const [op, body] of Object.entries({ check: PROPOSAL, try: PROPOSAL, keep: trial, revert: trial })) {
      const answer = await phone.post(`/api/config/${op}`, body);
      t.match(answer, { status: 200, json: { sha256: agents } }, op);
    }
    page.helper.answer = () => ({ ...REPLY, sha256: 'c'.repeat(64) });
    const [same, changedMark] = await marks();
    t.equal(same, agents);
    t.not(changedMark, agents, 'another configuration has another');
    page.helper.answer = () => REPLY;
    await page.restart();
    await waitUntil(t, 'the agent is back', () => page.agent.connected);
    t.same(await marks(), [agents, agents], 'and keeps it over a restart of the page');
    const key = join(page.dir, 'state', 'config-mark.key');
    t.equal(statSync(key).mode & 0o777, 0o600);
    writeFileSync(key, 'short');
    await page.restart();
    await waitUntil(t, 'the agent is back', () => page.agent.connected);
    const [newMark = '', its] = await marks();
    t.equal(newMark, its, 'a damaged key is made again');
    t.not(newMark, agents);
  },
);

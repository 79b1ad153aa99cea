/** What became of the newest configuration order: root's file beside the configuration, which the agent reads and reports. */
import { existsSync, readFileSync, type Stats } from 'node:fs';
import { dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { Value } from '@sinclair/typebox/value';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { jsonOf } from '../../../../agent/base/json.ts';
import { CONFIG_STATUS_FILE, ConfigOrderStatus } from '../../../../agent/contract/update.ts';
import type { TrialFiles } from './trial-files.ts';

/** Nothing is ever removed of the counters, so that a key that was taken away and given back replays nothing. */
const KEYS_MAX = 256;
const REASON_MAX = 500;

const NONE: ConfigOrderStatus = {
  version: 1,
  n: 0,
  at: '1970-01-01T00:00:00.000Z',
  phase: 'idle',
  rollout: null,
  revision: 0,
  sha256: null,
  former: null,
  reason: null,
  counters: {},
};

export class OrderStatus {
  readonly #file: string;
  readonly #files: TrialFiles;
  readonly #nowMs: () => number;

  constructor(config: string, files: TrialFiles, nowMs: () => number) {
    this.#file = join(dirname(config), CONFIG_STATUS_FILE);
    this.#files = files;
    this.#nowMs = nowMs;
  }

  /** Throws AgentError `corrupt` for a damaged file: which orders were obeyed is not known then, and none is. */
  read(): ConfigOrderStatus {
    if (!existsSync(this.#file)) return NONE;
    let content: unknown;
    try {
      content = jsonOf(readFileSync(this.#file, 'utf8'));
    } catch (error) {
      throw new AgentError('unavailable', `${this.#file} cannot be read: ${messageOf(error)}`, error);
    }
    if (Value.Check(ConfigOrderStatus, content)) return content;
    const mend = 'replace the keys that may configure in commands.keys, and delete it';
    throw new AgentError('corrupt', `${this.#file} is damaged; ${mend}`);
  }

  /** Durable on return, with owner and mode of `like`. Nothing is written where nothing changes. Throws AgentError. */
  change(next: Partial<Omit<ConfigOrderStatus, 'version' | 'n' | 'at'>>, like: Stats): void {
    const now = this.read();
    const reason = next.reason?.slice(0, REASON_MAX) ?? (next.reason === undefined ? now.reason : null);
    const changed = { ...now, ...next, reason };
    if (isDeepStrictEqual(changed, now)) return;
    if (Object.keys(changed.counters).length > KEYS_MAX)
      throw new AgentError('exhausted', `more than ${KEYS_MAX} keys have configured this box`);
    const n = changed.phase === now.phase && changed.revision === now.revision ? now.n : now.n + 1;
    // A clock that went back must not be forgotten by being written down.
    const at = new Date(Math.max(this.#nowMs(), Date.parse(now.at))).toISOString();
    this.#files.write(this.#file, `${JSON.stringify({ ...changed, n, at })}\n`, like);
  }
}

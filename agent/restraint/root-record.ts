/**
 * Client of root's record of the restraints, for the agent and the commands on the box. It reads the folder, and
 * requests changes over the socket.
 *
 * LIMITS: an answer within ANSWER_WITHIN_MS; a busy record is asked again during that time.
 */
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Value } from '@sinclair/typebox/value';
import { AgentError, messageOf } from '../base/errors.ts';
import { jsonOf } from '../base/json.ts';
import { exchangeLine } from '../base/line-exchange.ts';
import {
  ROOT_RECORD_DIR,
  ROOT_RECORD_SOCKET,
  ROOT_REPLY_BYTES_MAX,
  RootReply,
  type RootRequest,
} from '../contract/root-record.ts';
import { RestraintFolder } from '../orders/restraint-folder.ts';
import type { SuspensionState } from '../orders/suspension.ts';

/** Covers the start of a program on a busy Raspberry Pi, and the two seconds in which vision ends. */
const ANSWER_WITHIN_MS = 15_000;
const AGAIN_AFTER_MS = 200;

export class RootRecord {
  readonly folder: RestraintFolder;
  readonly #socket: string;

  constructor(dir: string, socket: string) {
    this.folder = new RestraintFolder(dir);
    this.#socket = socket;
  }

  /** Throws AgentError if the suspension is not recorded. */
  async suspend({ id, since, reason, by }: SuspensionState): Promise<void> {
    await this.#ask({ op: 'suspend', id, since, reason, by });
  }

  /** Throws AgentError if the record does not end the suspension. */
  async resume(envelope: Uint8Array): Promise<void> {
    await this.#ask({ op: 'resume', envelope: Buffer.from(envelope).toString('utf8') });
  }

  /** Throws AgentError if the head is not stored. */
  async keepHead(head: { readonly verifierKey: string; readonly provenHead: string }): Promise<void> {
    await this.#ask({ op: 'keep-head', ...head });
  }

  /** Resolves when no vision process is left; throws AgentError if that is not certain. */
  async stopVision(): Promise<void> {
    await this.#ask({ op: 'stop-vision' });
  }

  async #ask(request: RootRequest): Promise<void> {
    const untilMs = performance.now() + ANSWER_WITHIN_MS;
    let reason = '';
    do {
      try {
        const limits = { withinMs: untilMs - performance.now(), bytesMax: ROOT_REPLY_BYTES_MAX };
        const answer = jsonOf(await exchangeLine(this.#socket, JSON.stringify(request), limits));
        if (Value.Check(RootReply, answer)) {
          if (answer.refused === null) return;
          throw new AgentError('denied', `root’s record refuses: ${answer.refused}`);
        }
        // The record serves one client at a time, and closes other connections.
        reason = 'no answer';
      } catch (error) {
        if (error instanceof AgentError) throw error;
        reason = messageOf(error);
        if (!existsSync(this.#socket)) break;
      }
      await sleep(AGAIN_AFTER_MS);
    } while (performance.now() < untilMs);
    const fix = 'systemctl status vigie-restraint.socket';
    throw new AgentError(
      'unavailable',
      `root’s record is unavailable for ${request.op} (${this.#socket}: ${reason}); ${fix}`,
    );
  }
}

/** Returns the record of an installed package; undefined in a plain run, where one user owns everything. */
export function rootRecord(
  stateDir: string,
  defaultStateDir: string,
  env: NodeJS.ProcessEnv,
): RootRecord | undefined {
  const dir = env['VIGIE_RESTRAINT_DIR'];
  if (dir !== undefined) return new RootRecord(dir, env['VIGIE_RESTRAINT_SOCKET'] ?? ROOT_RECORD_SOCKET);
  const installed = stateDir === defaultStateDir && existsSync(ROOT_RECORD_DIR);
  return installed ? new RootRecord(ROOT_RECORD_DIR, ROOT_RECORD_SOCKET) : undefined;
}

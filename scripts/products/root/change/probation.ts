/**
 * Decides whether a release or configuration is healthy after a switch, from the agent's own report and from systemd.
 *
 * INVARIANT: the verdict is good only after `healthyS` of uninterrupted health. Otherwise the change is rolled back.
 */

import { join } from 'node:path';
import { Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { AgentError, rethrowBug } from '../../../../agent/base/errors.ts';
import { jsonOf } from '../../../../agent/base/json.ts';
import { getLocal } from '../../../../agent/base/local-http.ts';
import { LOCAL_SOCKET, STATUS_PATH } from '../../../../agent/contract/local-status.ts';
import { Mode } from '../../../../agent/contract/mode.ts';
import type { TrialStart } from './record.ts';

/** Number of starts by systemd that counts as a crash loop. */
const RESTARTS_MAX = 3;
/** Maximum age of the last analysed frame, s: three frames at the slowest configurable rate of one in 5 s. */
const FRAME_WITHIN_S = 15;

/** Part of the agent's report that is read here; releases of other versions send it too. */
const AgentStatus = Type.Object({
  report: Type.Object({
    mode: Mode,
    frames: Type.Object({ analysed: Type.Integer({ minimum: 0 }) }),
    camera: Type.Object({ state: Type.String() }),
    mqtt: Type.Union([Type.Object({ phase: Type.String() }), Type.Null()]),
  }),
});

export interface AgentHealth {
  readonly mode: Mode;
  readonly analysed: number;
  readonly camera: string;
  /** State of the broker connection; null if no broker is configured. */
  readonly broker: string | null;
}

/** Reads the agent's health from its local socket; undefined while it does not answer. */
export async function agentHealth(stateDir: string): Promise<AgentHealth | undefined> {
  let body: string;
  try {
    body = await getLocal(join(stateDir, LOCAL_SOCKET), STATUS_PATH);
  } catch (error) {
    rethrowBug(error);
    return undefined;
  }
  const status = jsonOf(body);
  if (!Value.Check(AgentStatus, status))
    throw new AgentError('corrupt', 'the agent’s status is not in a valid form');
  const { report } = status;
  return {
    mode: report.mode,
    analysed: report.frames.analysed,
    camera: report.camera.state,
    broker: report.mqtt?.phase ?? null,
  };
}

/** State of the agent's unit in systemd. */
export interface UnitState {
  readonly active: boolean;
  /** Exit code, for people, if systemd will not start the unit again; else undefined. */
  readonly gaveUp: string | undefined;
  /** Number of starts by systemd since the switch. */
  readonly restarts: number;
}

/** One reading of the agent. */
export interface Reading {
  readonly unit: UnitState;
  readonly health: AgentHealth | undefined;
  /** Size of the journal in root's own record; null if there is none. */
  readonly journalSize: number | null;
}

export interface ProbationOptions {
  /** State before the switch; null if the agent did not answer. */
  readonly before: Omit<TrialStart, 'authorisedUntil'> | null;
  readonly healthyS: number;
  readonly withinS: number;
}

export type Verdict =
  | { readonly state: 'wait'; readonly reason: string | undefined }
  | { readonly state: 'good' }
  | { readonly state: 'bad'; readonly reason: string };

export class Probation {
  readonly #options: ProbationOptions;
  #beganS: number | undefined;
  #goodSinceS: number | undefined;
  #frames = { analysed: -1, atS: 0 };
  #reason: string | undefined;

  constructor(options: ProbationOptions) {
    this.#options = options;
  }

  /** Updates the verdict; to be called about once a second. `nowS` is monotonic. */
  assess(nowS: number, { unit, health, journalSize }: Reading): Verdict {
    const { healthyS, withinS } = this.#options;
    this.#beganS ??= nowS;
    if (unit.gaveUp !== undefined) return { state: 'bad', reason: `it gave up: ${unit.gaveUp}` };
    if (unit.restarts >= RESTARTS_MAX)
      return { state: 'bad', reason: `it crashed: ${unit.restarts} restarts` };
    const reason = unit.active ? this.#unwell(nowS, health, journalSize) : 'it is not up';
    if (reason === undefined) {
      this.#goodSinceS ??= nowS;
      if (nowS - this.#goodSinceS >= healthyS) return { state: 'good' };
    } else {
      this.#goodSinceS = undefined;
      this.#reason = reason;
    }
    if (nowS - this.#beganS < withinS) return { state: 'wait', reason };
    return {
      state: 'bad',
      reason: `not healthy for ${healthyS} s within ${withinS} s: ${this.#reason ?? 'never'}`,
    };
  }

  #unwell(nowS: number, health: AgentHealth | undefined, journalSize: number | null): string | undefined {
    const { before } = this.#options;
    if (health === undefined) return 'it does not answer';
    if (health.broker !== null && health.broker !== 'online') return 'the broker is not reached';
    if (before !== null && health.mode !== before.mode)
      return `its mode was ${before.mode} and is ${health.mode}`;
    // The journal may be why the box is not authorised. Else its start is in root's record.
    if (health.mode !== 'unauthorised' && (journalSize ?? 0) <= (before?.journalSize ?? 0))
      return 'root’s record of its journal does not grow';
    if (health.mode !== 'active') return undefined;
    if (health.analysed !== this.#frames.analysed) this.#frames = { analysed: health.analysed, atS: nowS };
    const sees = health.analysed > 0 && nowS - this.#frames.atS < FRAME_WITHIN_S;
    // A camera that was lost before the switch may stay lost.
    const wasLost = before?.camera === 'lost' && health.camera === 'lost';
    return sees || wasLost ? undefined : 'it analyses no frame';
  }
}

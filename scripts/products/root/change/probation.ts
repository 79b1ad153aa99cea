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
  journal: Type.Union([Type.Object({ entries: Type.Integer({ minimum: 0 }) }), Type.Null()]),
});

export interface AgentHealth {
  readonly mode: Mode;
  readonly analysed: number;
  readonly camera: string;
  /** State of the broker connection; null if no broker is configured. */
  readonly broker: string | null;
  readonly journalEntries: number;
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
  const { report, journal } = status;
  return {
    mode: report.mode,
    analysed: report.frames.analysed,
    camera: report.camera.state,
    broker: report.mqtt?.phase ?? null,
    journalEntries: journal?.entries ?? 0,
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

export interface ProbationOptions {
  /** Health before the switch; undefined if the agent did not answer. */
  readonly before: Pick<AgentHealth, 'mode' | 'camera' | 'journalEntries'> | undefined;
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
  assess(nowS: number, unit: UnitState, health: AgentHealth | undefined): Verdict {
    const { healthyS, withinS } = this.#options;
    this.#beganS ??= nowS;
    if (unit.gaveUp !== undefined) return { state: 'bad', reason: `it gave up: ${unit.gaveUp}` };
    if (unit.restarts >= RESTARTS_MAX)
      return { state: 'bad', reason: `it crashed: ${unit.restarts} restarts` };
    const reason = this.#unwell(nowS, unit, health);
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

  #unwell(nowS: number, unit: UnitState, health: AgentHealth | undefined): string | undefined {
    const { before } = this.#options;
    if (!unit.active) return 'it is not up';
    if (health === undefined) return 'it does not answer';
    if (health.broker !== null && health.broker !== 'online') return 'the broker is not reached';
    if (before !== undefined && health.mode !== before.mode)
      return `its mode was ${before.mode} and is ${health.mode}`;
    if (health.journalEntries <= (before?.journalEntries ?? 0)) return 'its journal does not grow';
    if (health.mode !== 'active') return undefined;
    if (health.analysed !== this.#frames.analysed) this.#frames = { analysed: health.analysed, atS: nowS };
    const sees = health.analysed > 0 && nowS - this.#frames.atS < FRAME_WITHIN_S;
    // A camera that was lost before the switch may stay lost.
    const wasLost = before?.camera === 'lost' && health.camera === 'lost';
    return sees || wasLost ? undefined : 'it analyses no frame';
  }
}

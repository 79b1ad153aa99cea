/**
 * Whether what was just switched to is well: a release or a configuration. Judged by its own word and by systemd's, from
 * outside of it.
 *
 * INVARIANT: good only after `healthyS` of unbroken health, all of it at once; in doubt it goes back.
 */

import { join } from 'node:path';
import { Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { AgentError, rethrowBug } from '../../../../agent/base/errors.ts';
import { jsonOf } from '../../../../agent/base/json.ts';
import { getLocal } from '../../../../agent/base/local-http.ts';
import { LOCAL_SOCKET, STATUS_PATH } from '../../../../agent/contract/local-status.ts';
import { Mode } from '../../../../agent/contract/mode.ts';

/** So many starts by systemd are a loop. */
const RESTARTS_MAX = 3;
/** The slowest rate that a configuration may ask for is a frame in 5 s; three of them. */
const FRAME_WITHIN_S = 15;

/** What the agent says of itself, as far as it matters here: releases of other versions say it too. */
const Said = Type.Object({
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
  /** Null: no broker is configured. */
  readonly broker: string | null;
  readonly journalEntries: number;
}

/** Undefined while nobody answers. */
export async function agentHealth(stateDir: string): Promise<AgentHealth | undefined> {
  let body: string;
  try {
    body = await getLocal(join(stateDir, LOCAL_SOCKET), STATUS_PATH);
  } catch (error) {
    rethrowBug(error);
    return undefined;
  }
  const said = jsonOf(body);
  if (!Value.Check(Said, said)) throw new AgentError('corrupt', 'what the agent says of itself is no status');
  const { report, journal } = said;
  return {
    mode: report.mode,
    analysed: report.frames.analysed,
    camera: report.camera.state,
    broker: report.mqtt?.phase ?? null,
    journalEntries: journal?.entries ?? 0,
  };
}

/** As systemd has the agent's unit. */
export interface UnitState {
  readonly active: boolean;
  /** It will not be started again; the exit code, for a person. */
  readonly gaveUp: string | undefined;
  /** Starts by systemd since the switch. */
  readonly restarts: number;
}

export interface ProbationOptions {
  /** Before the switch; undefined: nobody answered. */
  readonly before: Pick<AgentHealth, 'mode' | 'camera' | 'journalEntries'> | undefined;
  readonly healthyS: number;
  readonly withinS: number;
}

export type Verdict =
  | { readonly state: 'wait'; readonly why: string | undefined }
  | { readonly state: 'good' }
  | { readonly state: 'bad'; readonly why: string };

export class Probation {
  readonly #options: ProbationOptions;
  #beganS: number | undefined;
  #goodSinceS: number | undefined;
  #frames = { analysed: -1, atS: 0 };
  #why: string | undefined;

  constructor(options: ProbationOptions) {
    this.#options = options;
  }

  /** To be called about once a second. `nowS` is monotonic. */
  look(nowS: number, unit: UnitState, health: AgentHealth | undefined): Verdict {
    const { healthyS, withinS } = this.#options;
    this.#beganS ??= nowS;
    if (unit.gaveUp !== undefined) return { state: 'bad', why: `it gave up: ${unit.gaveUp}` };
    if (unit.restarts >= RESTARTS_MAX) return { state: 'bad', why: `it crashed: ${unit.restarts} restarts` };
    const why = this.#unwell(nowS, unit, health);
    if (why === undefined) {
      this.#goodSinceS ??= nowS;
      if (nowS - this.#goodSinceS >= healthyS) return { state: 'good' };
    } else {
      this.#goodSinceS = undefined;
      this.#why = why;
    }
    if (nowS - this.#beganS < withinS) return { state: 'wait', why };
    return {
      state: 'bad',
      why: `not healthy for ${healthyS} s within ${withinS} s: ${this.#why ?? 'never'}`,
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
    // A camera that was lost before may stay lost.
    const wasLost = before?.camera === 'lost' && health.camera === 'lost';
    return sees || wasLost ? undefined : 'it analyses no frame';
  }
}

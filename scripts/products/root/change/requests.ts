/**
 * Answers a technician's configuration requests (contract/config-trial.ts): read, check, try, keep, revert.
 *
 * INVARIANTS: a configuration with a validation error is never installed. A trial that is not kept in time is rolled
 * back.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Value } from '@sinclair/typebox/value';
import { AgentError, hasCode, messageOf, rethrowBug } from '../../../../agent/base/errors.ts';
import { jsonOf } from '../../../../agent/base/json.ts';
import { sha256Of } from '../../../../agent/base/sha256.ts';
import {
  type ConfigReply,
  ConfigRequest,
  type ProposalProblem,
  TRIAL_S,
} from '../../../../agent/contract/config-trial.ts';
import type { Proposable, Proposal } from '../../../../agent/contract/proposal.ts';
import { type ConfigurationPayload, FOREIGN } from './configuration-payload.ts';
import type { Machine } from './machine.ts';
import { ON_TRIAL, otherOnTrial } from './record.ts';

/** Validates a technician's proposal. */
export interface ProposalValidator {
  /** Returns undefined if the text is not a configuration. */
  proposable(text: string): Proposable | undefined;
  /** Returns the SHA-256 of the text without logins, hex; undefined if it is not valid YAML. */
  shownSha256(text: string): string | undefined;
  /** Returns the text with the proposal applied. Throws AgentError `config` if it cannot be edited. */
  edited(text: string, proposal: Proposal): string;
  /** Returns the validation errors; `previous` is the text before the edit. */
  problems(edited: string, proposal: Proposal, previous: string): readonly ProposalProblem[];
}

export interface RequestsOptions {
  readonly file: string;
  readonly machine: Machine;
  readonly payload: ConfigurationPayload;
  readonly validator: ProposalValidator;
  readonly clock: { boottimeS(): number };
  /** Time that a technician has to keep a trial, s; TRIAL_S at most. */
  readonly trialS?: number;
}

/** Reply to an invalid request. It does not quote the request, which may contain a camera password. */
const NO_REQUEST = 'not a request of this version, or too long';

type Answer = Partial<Pick<ConfigReply, 'refused' | 'problems'>>;

export class ConfigurationRequests {
  readonly #options: RequestsOptions;

  constructor(options: RequestsOptions) {
    this.#options = options;
  }

  /** Answers one request, a line of JSON. */
  async answer(line: string): Promise<ConfigReply> {
    const request = jsonOf(line);
    if (!Value.Check(ConfigRequest, request)) return this.#reply({ refused: NO_REQUEST });
    const { machine } = this.#options;
    try {
      switch (request.op) {
        case 'read':
          return this.#reply({});
        case 'check':
          return this.#reply({ problems: this.#validateProposal(request.proposal).problems });
        case 'try':
          return this.#reply(await machine.locked(() => this.#try(request.proposal)));
        case 'keep':
          await machine.locked(() => this.#keep(request.trial));
          return this.#reply({});
        case 'revert':
          await machine.locked(() => this.#revert(request.trial));
          return this.#reply({});
      }
    } catch (error) {
      rethrowBug(error);
      return this.#reply({ refused: error.message.slice(0, 1000) });
    }
  }

  async #try(proposal: Proposal): Promise<Answer> {
    const { machine, payload } = this.#options;
    this.#assertFree();
    const { edited, problems } = this.#validateProposal(proposal);
    if (problems.length > 0) return { problems };
    payload.stageText(edited);
    const target = { number: 0, name: sha256Of(edited) };
    machine.apply('configuration', { on: 'begin', phase: 'staged', target, reason: 'tried at the box' });
    await machine.switchNow('configuration', randomBytes(8).toString('hex'));
    const { phase, reason } = machine.state.configuration;
    if (phase !== 'probation') throw new AgentError('unavailable', reason ?? `it is ${phase}`);
    return {};
  }

  #assertFree(): void {
    const { state } = this.#options.machine;
    const { configuration } = state;
    if (otherOnTrial(state, 'configuration') !== undefined)
      throw new AgentError('denied', 'a release is on trial; try again when that is over');
    if (configuration.phase === 'awaits-resume') {
      const condition = 'until the analysis resumes; the room can withdraw it';
      throw new AgentError('denied', `another configuration is on trial, the room’s, ${condition}`);
    }
    if (!ON_TRIAL.has(configuration.phase)) return;
    throw new AgentError(
      'denied',
      `another configuration is on trial, for ${Math.ceil(this.#leftS())} s more`,
    );
  }

  async #keep(id: string): Promise<void> {
    const { machine, payload } = this.#options;
    this.#assertNamed(id);
    if (payload.installed(machine.state.configuration) === 'target') return machine.confirm('configuration');
    await machine.rollBack('configuration', FOREIGN);
    throw new AgentError('denied', FOREIGN);
  }

  async #revert(id: string): Promise<void> {
    this.#assertNamed(id);
    await this.#options.machine.rollBack('configuration', 'reverted at the box');
  }

  /** Throws AgentError `denied` if this trial does not run, or no longer runs. */
  #assertNamed(id: string): void {
    const { phase, trial } = this.#options.machine.state.configuration;
    const isOn = phase === 'probation' && trial?.returning === null;
    if (isOn && trial.id === id && this.#leftS() > 0) return;
    const isOver = trial?.id === id && (isOn || phase === 'rolled-back');
    const reason = isOver ? 'its time is over, it was put back' : isOn ? 'another one runs' : 'none runs';
    throw new AgentError('denied', `no such trial: ${reason}`);
  }

  #leftS(): number {
    const { clock, trialS = TRIAL_S, machine } = this.#options;
    const { beganS } = machine.state.configuration.trial ?? {};
    return beganS == null ? 0 : Math.max(0, Math.min(trialS, beganS + trialS - clock.boottimeS()));
  }

  #validateProposal(proposal: Proposal): { edited: string; problems: ProposalProblem[] } {
    const { validator } = this.#options;
    try {
      const previous = this.#text() ?? '';
      const edited = validator.edited(previous, proposal);
      return { edited, problems: [...validator.problems(edited, proposal, previous)] };
    } catch (error) {
      rethrowBug(error);
      return { edited: '', problems: [{ path: '', message: messageOf(error), order: false }] };
    }
  }

  #reply({ refused: refusal = null, problems = [] }: Answer): ConfigReply {
    const { validator, machine } = this.#options;
    const text = this.#text();
    const { phase, trial } = machine.state.configuration;
    const id = phase === 'probation' && trial?.returning === null ? trial.id : null;
    const leftS = this.#leftS();
    return {
      refused: refusal,
      problems,
      installed: text === undefined ? null : (validator.proposable(text) ?? null),
      sha256: text === undefined ? null : sha256Of(text),
      shownSha256: text === undefined ? null : (validator.shownSha256(text) ?? null),
      trial: id !== null && leftS > 0 ? { id, leftS } : null,
    };
  }

  /** Returns undefined if the file cannot be read. */
  #text(): string | undefined {
    try {
      return readFileSync(this.#options.file, 'utf8');
    } catch (error) {
      if (hasCode(error, 'ENOENT') || hasCode(error, 'EISDIR') || hasCode(error, 'EACCES')) return undefined;
      throw new AgentError('unavailable', `${this.#options.file} cannot be read: ${messageOf(error)}`, error);
    }
  }
}

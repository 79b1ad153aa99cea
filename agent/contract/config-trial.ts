/**
 * Protocol between the page and the root helper that installs configurations (`vigie-config.socket`).
 * Each side sends one line of JSON over a Unix socket, one request per connection, as with root's record. Only the
 * page's user may connect; the agent's user may not. The helper trusts no caller. It edits root's own file and checks
 * the complete result as `vigie check` does, including against the authorisation. It restores the previous file unless
 * the new one is confirmed in time.
 */
import { type Static, Type } from '@sinclair/typebox';
import { PROPOSAL_BYTES_MAX, Proposable, Proposal } from './proposal.ts';

const strict = { additionalProperties: false } as const;
const TrialId = Type.String({ pattern: '^[0-9a-f]{16}$' });

export const CONFIG_REQUEST_BYTES_MAX = PROPOSAL_BYTES_MAX + 4096;
export const CONFIG_REPLY_BYTES_MAX = PROPOSAL_BYTES_MAX + 131_072;
/** Socket of the helper on an installed package. */
export const CONFIG_SOCKET = '/run/vigie-config/config.sock';
/**
 * File beside the configuration that holds the version before a trial. While it exists, the installed configuration is
 * on trial.
 */
export const previousFile = (config: string): string => `${config}.before-trial`;
/** Seconds after which a tried configuration is reverted unless it was confirmed, as with `netplan try`. */
export const TRIAL_S = 120;

export const ConfigRequest = Type.Union([
  Type.Object({ op: Type.Literal('read') }, strict),
  Type.Object({ op: Type.Literal('check'), proposal: Proposal }, strict),
  Type.Object({ op: Type.Literal('try'), proposal: Proposal }, strict),
  Type.Object({ op: Type.Literal('keep'), trial: TrialId }, strict),
  Type.Object({ op: Type.Literal('revert'), trial: TrialId }, strict),
]);
export type ConfigRequest = Static<typeof ConfigRequest>;

/** Configuration that runs until it is confirmed or reverted. */
export const Trial = Type.Object(
  { id: TrialId, leftS: Type.Number({ minimum: 0, maximum: TRIAL_S }) },
  strict,
);
export type Trial = Static<typeof Trial>;

export const ProposalProblem = Type.Object(
  {
    /** Path in the configuration, such as `zones[1].polygon`; empty for the complete file. */
    path: Type.String({ maxLength: 200 }),
    message: Type.String({ maxLength: 1000 }),
    /** The authorisation does not cover it. */
    order: Type.Boolean(),
  },
  strict,
);
export type ProposalProblem = Static<typeof ProposalProblem>;

export const ConfigReply = Type.Object(
  {
    /** Reason why nothing was done (unknown trial, a trial already running, disk error); null on success. */
    refused: Type.Union([Type.String({ maxLength: 1000 }), Type.Null()]),
    /** Problems of a proposal. If there are any, nothing was installed. */
    problems: Type.Array(ProposalProblem, { maxItems: 200 }),
    /** Installed configuration; null if the file cannot be read. */
    installed: Type.Union([Proposable, Type.Null()]),
    /**
     * SHA-256 of the file on disk. With the rest known, it would allow guessing the camera’s login, so a phone receives
     * a mark instead.
     */
    sha256: Type.Union([Type.String({ pattern: '^[0-9a-f]{64}$' }), Type.Null()]),
    /** SHA-256 without logins, as the fleet knows it, for documents. */
    shownSha256: Type.Union([Type.String({ pattern: '^[0-9a-f]{64}$' }), Type.Null()]),
    trial: Type.Union([Trial, Type.Null()]),
  },
  strict,
);
export type ConfigReply = Static<typeof ConfigReply>;

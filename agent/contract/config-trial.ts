/**
 * What the page asks of the root helper that installs configurations (`vigie-config.socket`): a line of JSON each way
 * over a Unix socket, one question a connection, as with root's record. Only the page's user may ask; the agent's
 * cannot. The helper takes nobody's word: it edits root's own file, checks the whole as `vigie check` does, against the
 * order too, and puts the former one back unless the new one is kept in time.
 */
import { type Static, Type } from '@sinclair/typebox';
import { PROPOSAL_BYTES_MAX, Proposable, Proposal } from './proposal.ts';

const strict = { additionalProperties: false } as const;
const TrialId = Type.String({ pattern: '^[0-9a-f]{16}$' });

export const CONFIG_REQUEST_BYTES_MAX = PROPOSAL_BYTES_MAX + 4096;
export const CONFIG_REPLY_BYTES_MAX = PROPOSAL_BYTES_MAX + 131_072;
/** Where the helper listens where the package is installed. */
export const CONFIG_SOCKET = '/run/vigie-config/config.sock';
/** File beside the configuration that holds the one before a trial: while it is there, what is installed is on trial. */
export const formerFile = (config: string): string => `${config}.before-trial`;
/** After so long what was tried goes back unless it was kept; as `netplan try`. */
export const TRIAL_S = 120;

export const ConfigRequest = Type.Union([
  Type.Object({ op: Type.Literal('read') }, strict),
  Type.Object({ op: Type.Literal('check'), proposal: Proposal }, strict),
  Type.Object({ op: Type.Literal('try'), proposal: Proposal }, strict),
  Type.Object({ op: Type.Literal('keep'), trial: TrialId }, strict),
  Type.Object({ op: Type.Literal('revert'), trial: TrialId }, strict),
]);
export type ConfigRequest = Static<typeof ConfigRequest>;

/** A configuration that runs until it is kept or goes back. */
export const Trial = Type.Object(
  { id: TrialId, leftS: Type.Number({ minimum: 0, maximum: TRIAL_S }) },
  strict,
);
export type Trial = Static<typeof Trial>;

export const ProposalProblem = Type.Object(
  {
    /** As in the configuration: `zones[1].polygon`; empty for the whole. */
    path: Type.String({ maxLength: 200 }),
    message: Type.String({ maxLength: 1000 }),
    /** The order does not cover it. */
    order: Type.Boolean(),
  },
  strict,
);
export type ProposalProblem = Static<typeof ProposalProblem>;

export const ConfigReply = Type.Object(
  {
    /** Why nothing was done: no such trial, one runs already, the disk refuses; null where it was done. */
    refused: Type.Union([Type.String({ maxLength: 1000 }), Type.Null()]),
    /** Of a proposal; where there is any, nothing was installed. */
    problems: Type.Array(ProposalProblem, { maxItems: 200 }),
    /** What is installed now; null where the file cannot be read. */
    installed: Type.Union([Proposable, Type.Null()]),
    /** SHA-256 of the file as it lies there. Whoever knows the rest could try out the camera’s login by it: a phone gets a mark. */
    sha256: Type.Union([Type.String({ pattern: '^[0-9a-f]{64}$' }), Type.Null()]),
    /** The same without logins, as the fleet knows it; the one for papers. */
    shownSha256: Type.Union([Type.String({ pattern: '^[0-9a-f]{64}$' }), Type.Null()]),
    trial: Type.Union([Trial, Type.Null()]),
  },
  strict,
);
export type ConfigReply = Static<typeof ConfigReply>;

/**
 * What is proposed is judged by the code of `vigie check`, for `vigie run`, and by the order that holds here. Without an
 * order that holds, or with one that has ended, nothing is covered and nothing runs: trying what is drawn is allowed then.
 */
import { rethrowBug } from '../../../../agent/base/errors.ts';
import { editedText, proposableOf } from '../../../../agent/config/edit.ts';
import { inspectText, type Problem } from '../../../../agent/config/load.ts';
import { shownSha256 } from '../../../../agent/config/secrets.ts';
import type { Authorisation } from '../../../../agent/contract/authorisation.ts';
import { cameraAddress } from '../../../../agent/contract/camera-address.ts';
import type { CommandKey, Config, MaskConfig } from '../../../../agent/contract/config.ts';
import type { ProposalProblem } from '../../../../agent/contract/config-trial.ts';
import { uncovered } from '../../../../agent/contract/polygon.ts';
import type { Proposable, Proposal } from '../../../../agent/contract/proposal.ts';
import { RestraintFolder } from '../../../../agent/orders/restraint-folder.ts';
import { authorisationFault, openAuthorisation } from '../../../../agent/orders/signed-order.ts';
import { coverageOf } from '../../../../agent/restraint/authorisation.ts';
import { childUser } from '../agent-user.ts';
import { type Places, releaseProgram } from '../places.ts';
import { assertOwn, readOwnOrder } from '../restraint.ts';
import { releaseProblems } from './release-check.ts';

/** 200 of these and a full configuration fit into a reply. */
const MESSAGE_CHARS_MAX = 500;

export interface TrialJudge {
  /** Undefined where the text is no configuration. */
  proposable(text: string): Proposable | undefined;
  /** SHA-256 of the text without logins, hex; undefined where it is not readable as YAML. */
  shownSha256(text: string): string | undefined;
  /** Throws AgentError `config` where it cannot be edited. */
  edited(text: string, proposal: Proposal): string;
  /** `former`: the text that was edited. */
  problems(edited: string, proposal: Proposal, former: string): readonly ProposalProblem[];
}

export interface JudgeOptions {
  readonly env: NodeJS.ProcessEnv;
  /** The order of this configuration, opened; undefined: it names none. Throws AgentError where it cannot be opened. */
  order(config: Config): Authorisation | undefined;
  /** The release's own opinion (release-check.ts); absent where there is no release to ask. */
  ofRelease?(text: string): readonly ProposalProblem[];
  wallMs(): number;
}

/** Where systemd puts what only the agent's unit sees; what is named so is not looked at here (config/credentials.ts). */
const CREDENTIALS_OF_AGENT = '/run/credentials/vigie.service';

/** By root's own files, and by what the release that runs says, for which it has that time. */
export function rootsJudge(places: Places, withinMs?: number): JudgeOptions {
  const { config: file, folder: dir, agentUser } = places;
  const program = releaseProgram(places);
  const user = childUser(agentUser);
  return {
    ofRelease: (text) =>
      releaseProblems(text, { program, user, env: process.env, ...(withinMs && { withinMs }) }),
    env: { ...process.env, CREDENTIALS_DIRECTORY: CREDENTIALS_OF_AGENT },
    order: (config) => {
      assertOwn(file);
      const order = readOwnOrder(config, 'authorisation');
      return order && openAuthorisation(order, new RestraintFolder(dir).authority());
    },
    wallMs: () => Date.now(),
  };
}

export function trialJudge({ env, order, ofRelease, wallMs }: JudgeOptions): TrialJudge {
  const inspect = (text: string) => inspectText(text, { env, mode: 'run' });
  return {
    proposable: (text) => {
      const { config } = inspectText(text, { env, mode: 'check', files: false });
      return config === undefined ? undefined : proposableOf(config);
    },
    shownSha256,
    edited: editedText,
    problems: (edited, proposal, former) => {
      const { config, problems } = inspect(edited);
      if (config === undefined) return problems.map(proposalProblem);
      const before = inspectText(former, { env, mode: 'check', files: false }).config;
      const against = orderProblems({ config, before, open: () => order(config), nowMs: wallMs() });
      return asked([...sourceProblems(config, proposal), ...against], edited, ofRelease);
    },
  };
}

export interface WholeJudgeOptions extends JudgeOptions {
  /** False: the files that it names lie on another machine. */
  readonly files: boolean;
  /** What the key that has signed may; absent: nobody has signed yet. */
  readonly may?: CommandKey['may'];
  /** What vision goes by now, where somebody knows. */
  blackened?(): readonly MaskConfig[];
}

/** What is wrong with a whole text in the place of `former`; the room sends such a text, nobody at the pole has drawn it. */
export function wholeProblems(
  text: string,
  former: string,
  { env, order, ofRelease, wallMs, files, may, blackened }: WholeJudgeOptions,
): readonly ProposalProblem[] {
  const { config, problems } = inspectText(text, { env, mode: 'run', files });
  if (config === undefined) return problems.map(proposalProblem);
  const before = inspectText(former, { env, mode: 'check', files: false }).config;
  if (before === undefined) {
    const message =
      'the configuration that lies there is refused, and with it who may command; mend it on the box';
    return [problem('', message, false)];
  }
  const moved = (['site', 'box'] as const)
    .filter((name) => config[name] !== before[name])
    .map((name) =>
      problem(name, `must stay ${before[name]}: whose box it is does not change by the room’s order`, false),
    );
  const judged = { config, before, open: () => order(config), nowMs: wallMs() };
  const black = [...before.masks, ...(blackened?.() ?? [])];
  const found = [
    ...moved,
    ...(may === undefined ? [] : grantProblems(config, before, may)),
    ...lostOrder(judged, () => order(before)),
    ...orderProblems(judged),
    ...maskProblems(judged, black),
  ];
  return asked(found, text, ofRelease);
}

/** The release is asked about what root has nothing against. */
function asked(
  found: readonly ProposalProblem[],
  text: string,
  ofRelease: JudgeOptions['ofRelease'],
): readonly ProposalProblem[] {
  return found.length > 0 || ofRelease === undefined ? found : ofRelease(text);
}

/** Nobody lets another do what he may not do himself: with a key that may configure, everything else could be had. */
function grantProblems({ commands }: Config, before: Config, may: CommandKey['may']): ProposalProblem[] {
  return commands.keys.flatMap(({ name, publicKey, may: wanted }, index) => {
    const had = before.commands.keys.find((key) => key.publicKey === publicKey)?.may ?? [];
    const more = wanted.filter((one) => !had.includes(one) && !may.includes(one));
    if (more.length === 0) return [];
    const message = `${name} would be let ${more.join(', ')}, which the order’s own key may not; have somebody at the box add it, or sign with a key that may`;
    return [problem(`commands.keys[${index}].may`, message, false)];
  });
}

/** Passwords are not in `found` (config/problem.ts). */
function proposalProblem({ path, message, found }: Problem): ProposalProblem {
  const text = found === null ? message : `${message} (found ${found})`;
  return problem(path, text, false);
}

function problem(path: string, message: string, order: boolean): ProposalProblem {
  return { path: path.slice(0, 200), message: message.slice(0, MESSAGE_CHARS_MAX), order };
}

/** The environment has the last word on what a file says. */
function sourceProblems({ camera }: Config, proposal: Proposal): ProposalProblem[] {
  return (['source', 'substream'] as const).flatMap((stream) => {
    const wanted = proposal[stream];
    if (wanted === undefined || cameraAddress(camera?.[stream]) === cameraAddress(wanted ?? undefined))
      return [];
    const variable = `VIGIE_CAMERA_${stream.toUpperCase()}`;
    const message = `is set by the environment variable ${variable}; unset it, or change it there`;
    return [problem(`camera.${stream}`, message, false)];
  });
}

interface Judged {
  readonly config: Config;
  /** As it was before; undefined where that was none. */
  readonly before: Config | undefined;
  open(): Authorisation | undefined;
  readonly nowMs: number;
}

/** A rule that the order did not cover before, and does not run, may stay as it is. */
function orderProblems({ config, before, open, nowMs }: Judged): ProposalProblem[] {
  const { site, box, camera } = config;
  const order = orderOf(open);
  if (order === undefined) return [];
  const place = { site, box, camera: cameraAddress(camera?.source) };
  // One that will be valid is the one to draw for.
  const atMs = Math.max(nowMs, Date.parse(order.notBefore));
  const fault = authorisationFault(order, place, atMs);
  const otherPlace = order.site !== site || order.box !== box;
  if (fault?.code === 'expired' || otherPlace) return [];
  if (fault !== undefined) return [problem('camera.source', fault.message, true)];
  // A permit to install covers no rule, and is there to draw under it.
  if (order.installation === true) return [];
  const idle = new Set(
    before && coverageOf(order, before).flatMap(({ rule, grant }) => (grant ? [] : [rule])),
  );
  return coverageOf(order, config).flatMap(({ rule, grant, reason = '' }, index) =>
    grant === undefined && !idle.has(rule) ? [problem(`rules[${index}]`, reason, true)] : [],
  );
}

/** A text that names no order any more would leave the box blind for ever where nobody sees it: on a suspended box. */
function lostOrder({ open }: Judged, former: () => Authorisation | undefined): ProposalProblem[] {
  if (orderOf(open) !== undefined || orderOf(former) === undefined) return [];
  return [problem('authorisation', 'names no order of this authority, and the one before does', true)];
}

/**
 * What is black stays black unless the authority blackens it by itself: the room sends the text from afar, and a key of the
 * room's must not be enough to uncover a window. Of an order that does not hold now nothing is certain.
 */
function maskProblems({ config, open, nowMs }: Judged, black: readonly MaskConfig[]): ProposalProblem[] {
  const { site, box, camera, masks } = config;
  const order = orderOf(open);
  const place = { site, box, camera: cameraAddress(camera?.source) };
  const holds = order !== undefined && authorisationFault(order, place, nowMs) === undefined;
  const staying = [...masks, ...((holds && order.masks) || [])];
  return [...new Set(uncovered(black, staying).map(({ id }) => id))].map((id) => {
    const message = `the mask ${id} is taken away or smaller: what is black stays so unless a mask of the order covers it; the order’s masks (\`vigie-oversight authorise\`) or somebody at the pole can do it`;
    return problem('masks', message, true);
  });
}

function orderOf(open: () => Authorisation | undefined): Authorisation | undefined {
  try {
    return open();
  } catch (error) {
    rethrowBug(error);
    return undefined;
  }
}

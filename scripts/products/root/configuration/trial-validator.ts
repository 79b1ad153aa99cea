/**
 * Validates a proposed configuration with the code of `vigie check`, as for `vigie run`, and against the present
 * authorisation. If no authorisation is valid, no rule is covered and nothing runs, so a draft may still be tried.
 */
import { existsSync } from 'node:fs';
import { rethrowBug } from '../../../../agent/base/errors.ts';
import { editedText, proposableOf } from '../../../../agent/config/edit.ts';
import { inspectText, type Problem } from '../../../../agent/config/load.ts';
import { shownSha256 } from '../../../../agent/config/secrets.ts';
import type { Authorisation } from '../../../../agent/contract/authorisation.ts';
import { configuredStream, isSameStream, shownSource } from '../../../../agent/contract/camera-address.ts';
import type { CommandKey, Config, MaskConfig } from '../../../../agent/contract/config.ts';
import type { ProposalProblem } from '../../../../agent/contract/config-trial.ts';
import { uncovered } from '../../../../agent/contract/polygon.ts';
import type { Proposal } from '../../../../agent/contract/proposal.ts';
import { BOX_FILE, RestraintFolder } from '../../../../agent/orders/restraint-folder.ts';
import { authorisationRefusal, openAuthorisation } from '../../../../agent/orders/signed-authorisation.ts';
import { coverageOf } from '../../../../agent/restraint/authorisation.ts';
import { childUser } from '../agent-user.ts';
import type { ProposalValidator } from '../change/requests.ts';
import { type Places, releaseProgram } from '../paths.ts';
import { assertOwn, readOwnAuthorisation } from '../restraint.ts';
import { releaseProblems } from './release-check.ts';

/** Maximum length of a message: 200 of them and a full configuration fit into a reply. */
const MESSAGE_CHARS_MAX = 500;

/** Timeout for the check of an ordered configuration, ms. No one is waiting on site, so a busy box may answer later. */
const ORDER_CHECK_WITHIN_MS = 60_000;

export interface ValidatorOptions {
  readonly env: NodeJS.ProcessEnv;
  /**
   * Opens the authorisation that the configuration names; undefined if it names none. Throws AgentError if it cannot be
   * opened.
   */
  authorisation(config: Config): Authorisation | undefined;
  /** Runs the release's own check (release-check.ts); absent if there is no release. */
  ofRelease?(text: string): readonly ProposalProblem[];
  wallMs(): number;
}

/** Folder that systemd shows only to the agent's unit. Files in it are not checked here (config/credentials.ts). */
const CREDENTIALS_OF_AGENT = '/run/credentials/vigie.service';

/** Returns the options for root's own files and the running release, whose check may take `withinMs`. */
export function rootValidatorOptions(places: Places, withinMs?: number): ValidatorOptions {
  const { config: file, folder: dir, agentUser } = places;
  const program = releaseProgram(places);
  const user = childUser(agentUser);
  return {
    ofRelease: (text) =>
      releaseProblems(text, { program, user, env: process.env, ...(withinMs && { withinMs }) }),
    env: { ...process.env, CREDENTIALS_DIRECTORY: CREDENTIALS_OF_AGENT },
    authorisation: (config) => {
      assertOwn(file);
      const bytes = readOwnAuthorisation(config, 'authorisation');
      return bytes && openAuthorisation(bytes, new RestraintFolder(dir).authority());
    },
    wallMs: () => Date.now(),
  };
}

export function trialValidator({
  env,
  authorisation,
  ofRelease,
  wallMs,
}: ValidatorOptions): ProposalValidator {
  const inspect = (text: string) => inspectText(text, { env, mode: 'run' });
  return {
    proposable: (text) => {
      const { config } = inspectText(text, { env, mode: 'check', files: false });
      return config === undefined ? undefined : proposableOf(config);
    },
    shownSha256,
    edited: editedText,
    problems: (edited, proposal, previous) => {
      const { config, problems } = inspect(edited);
      if (config === undefined) return problems.map(proposalProblem);
      const before = inspectText(previous, { env, mode: 'check', files: false }).config;
      const against = authorisationProblems({
        config,
        before,
        open: () => authorisation(config),
        nowMs: wallMs(),
        isCopy: false,
      });
      return askRelease([...sourceProblems(config, proposal), ...against], edited, ofRelease);
    },
  };
}

export interface FullValidatorOptions extends ValidatorOptions {
  /** False if the files that the configuration names lie on another machine. */
  readonly files: boolean;
  /** Rights of the signing key; absent if the text is not signed yet. */
  readonly may?: CommandKey['may'];
  /** Returns the masks that vision applies now, if known. */
  blackened?(): readonly MaskConfig[];
}

/**
 * Returns the validation errors of a complete text that replaces `previous`. The room sends such a text; no one has drawn
 * it on site.
 */
export function fullTextProblems(
  text: string,
  previous: string,
  { env, authorisation, ofRelease, wallMs, files, may, blackened }: FullValidatorOptions,
): readonly ProposalProblem[] {
  const { config, problems } = inspectText(text, { env, mode: 'run', files });
  if (config === undefined) return problems.map(proposalProblem);
  const before = inspectText(previous, { env, mode: 'check', files: false }).config;
  if (before === undefined) {
    const message =
      'the installed configuration is refused, and with it the keys that may command; fix it on the box';
    return [problem('', message, false)];
  }
  const identityProblems = (['site', 'box'] as const)
    .filter((name) => config[name] !== before[name])
    .map((name) =>
      problem(name, `must stay ${before[name]}: whose box it is does not change by the room’s order`, false),
    );
  const candidate = {
    config,
    before,
    open: () => authorisation(config),
    nowMs: wallMs(),
    isCopy: !files,
  };
  const black = [...before.masks, ...(blackened?.() ?? [])];
  const allProblems = [
    ...identityProblems,
    ...(may === undefined ? [] : grantProblems(config, before, may)),
    ...lostAuthorisation(candidate, () => authorisation(before)),
    ...authorisationProblems(candidate),
    ...maskProblems(candidate, black),
  ];
  return askRelease(allProblems, text, ofRelease);
}

/** Returns the validation errors of a text that the room has ordered; `may` are the rights of the order's key. */
export function orderProblems(
  places: Places,
  text: string,
  previous: string,
  may: readonly string[],
): readonly ProposalProblem[] {
  const folder = new RestraintFolder(places.folder);
  return fullTextProblems(text, previous, {
    ...rootValidatorOptions(places, ORDER_CHECK_WITHIN_MS),
    files: true,
    may: may as CommandKey['may'],
    blackened: () => (existsSync(folder.path(BOX_FILE)) ? folder.box().masks : []),
  });
}

/** Asks the release only if root has found no error. */
function askRelease(
  problems: readonly ProposalProblem[],
  text: string,
  ofRelease: ValidatorOptions['ofRelease'],
): readonly ProposalProblem[] {
  return problems.length > 0 || ofRelease === undefined ? problems : ofRelease(text);
}

/**
 * Refuses to grant rights that the signing key does not have. Otherwise a key that may configure could obtain all
 * others.
 */
function grantProblems({ commands }: Config, before: Config, may: CommandKey['may']): ProposalProblem[] {
  return commands.keys.flatMap(({ name, publicKey, may: grants }, index) => {
    const had = before.commands.keys.find((key) => key.publicKey === publicKey)?.may ?? [];
    const extra = grants.filter((one) => !had.includes(one) && !may.includes(one));
    if (extra.length === 0) return [];
    const message = `${name} would be allowed ${extra.join(', ')}, which the order’s own key may not do; have a person at the box add it, or sign with a key that may`;
    return [problem(`commands.keys[${index}].may`, message, false)];
  });
}

/** Converts a problem; passwords are never in `found` (config/problem.ts). */
function proposalProblem({ path, message, found: value }: Problem): ProposalProblem {
  const text = value === null ? message : `${message} (found ${value})`;
  return problem(path, text, false);
}

function problem(path: string, message: string, isOfAuthorisation: boolean): ProposalProblem {
  return { path: path.slice(0, 200), message: message.slice(0, MESSAGE_CHARS_MAX), order: isOfAuthorisation };
}

/** Reports a camera source that an environment variable overrides. */
function sourceProblems({ camera }: Config, proposal: Proposal): ProposalProblem[] {
  return (['source', 'substream'] as const).flatMap((stream) => {
    const address = proposal[stream];
    if (address === undefined || isProposed(camera?.[stream], address)) return [];
    const variable = `VIGIE_CAMERA_${stream.toUpperCase()}`;
    const message = `is set by the environment variable ${variable}; unset it, or change it there`;
    return [problem(`camera.${stream}`, message, false)];
  });
}

/** Reports whether the edited configuration has the proposed stream. A proposal in the shown form keeps the login. */
function isProposed(source: string | undefined, proposed: string | null): boolean {
  if (source === undefined || proposed === null) return (source ?? null) === proposed;
  return (
    shownSource(source) === proposed || isSameStream(configuredStream(source), configuredStream(proposed))
  );
}

interface Candidate {
  /** The configuration is a copy outside the box, in which logins are hidden. */
  readonly isCopy: boolean;
  readonly config: Config;
  /** The configuration before the change; undefined if there was none. */
  readonly before: Config | undefined;
  open(): Authorisation | undefined;
  readonly nowMs: number;
}

/**
 * Reports rules that the authorisation does not cover. A rule that it did not cover before, and so does not run, may
 * stay unchanged.
 */
function authorisationProblems({ config, before, open, nowMs, isCopy }: Candidate): ProposalProblem[] {
  const { site, box, camera } = config;
  const authorisation = openedAuthorisation(open);
  if (authorisation === undefined) return [];
  const place = { site, box, camera: configuredStream(camera?.source), isCopy };
  // An authorisation that will be valid later is the one to draw for.
  const atMs = Math.max(nowMs, Date.parse(authorisation.notBefore));
  const refusal = authorisationRefusal(authorisation, place, atMs);
  const otherPlace = authorisation.site !== site || authorisation.box !== box;
  if (refusal?.code === 'expired' || otherPlace) return [];
  if (refusal !== undefined) return [problem('camera.source', refusal.message, true)];
  // An installation authorisation covers no rule; drawing is what it is for.
  if (authorisation.installation === true) return [];
  const idle = new Set(
    before && coverageOf(authorisation, before).flatMap(({ rule, grant }) => (grant ? [] : [rule])),
  );
  return coverageOf(authorisation, config).flatMap(({ rule, grant, reason = '' }, index) =>
    grant === undefined && !idle.has(rule) ? [problem(`rules[${index}]`, reason, true)] : [],
  );
}

/**
 * Refuses to lose the authorisation: on a suspended box no one would notice, and the box would stay blind indefinitely.
 */
function lostAuthorisation(
  { open }: Candidate,
  previous: () => Authorisation | undefined,
): ProposalProblem[] {
  if (openedAuthorisation(open) !== undefined || openedAuthorisation(previous) === undefined) return [];
  return [problem('authorisation', 'names no order of this authority, and the one before does', true)];
}

/**
 * Refuses to remove a mask unless the authorisation itself contains it. The text comes from the room, whose key must
 * not suffice to uncover a window. An authorisation that is not valid now guarantees no mask.
 */
function maskProblems(
  { config, open, nowMs, isCopy }: Candidate,
  black: readonly MaskConfig[],
): ProposalProblem[] {
  const { site, box, camera, masks } = config;
  const authorisation = openedAuthorisation(open);
  const place = { site, box, camera: configuredStream(camera?.source), isCopy };
  const holds =
    authorisation !== undefined && authorisationRefusal(authorisation, place, nowMs) === undefined;
  const staying = [...masks, ...((holds && authorisation.masks) || [])];
  return [...new Set(uncovered(black, staying).map(({ id }) => id))].map((id) => {
    const message = `the mask ${id} is removed or smaller: black areas stay black unless a mask of the authorisation covers them; the authorisation’s masks (\`vigie-oversight authorise\`) or a person at the box can do it`;
    return problem('masks', message, true);
  });
}

function openedAuthorisation(open: () => Authorisation | undefined): Authorisation | undefined {
  try {
    return open();
  } catch (error) {
    rethrowBug(error);
    return undefined;
  }
}

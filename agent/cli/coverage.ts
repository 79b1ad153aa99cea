/**
 * Part of `vigie check` about the authorisation: which rules of the configuration it covers, and why others are not
 * covered.
 */
import { systemClock } from '../base/clock.ts';
import { AgentError, rethrowBug } from '../base/errors.ts';
import type { Authorisation } from '../contract/authorisation.ts';
import { configuredStream, shownSource } from '../contract/camera-address.ts';
import type { Config } from '../contract/config.ts';
import { covers } from '../contract/polygon.ts';
import { namesCamera } from '../orders/camera-pin.ts';
import { readAuthorityKey } from '../restraint/authorisation.ts';
import {
  type AuthorisationRefusal,
  orderInForce,
  readAuthorisations,
  type SignedAuthorisation,
} from '../restraint/authorisations.ts';
import { authorisationLines } from './authorisation-lines.ts';

export interface CoveredRule {
  readonly rule: string;
  readonly state: 'covered' | 'shadow' | 'not covered';
  readonly detail: string;
}

export interface CoverageReport {
  /** Reason why the authorisation is not valid; undefined if it is. */
  readonly problem: string | undefined;
  readonly content: Authorisation | undefined;
  readonly rules: readonly CoveredRule[];
  /** Settings that exceed the authorisation. */
  readonly warnings: readonly string[];
}

const NO_AUTHORISATION =
  '`authorisation` is not set; it names the signed authorisation (`vigie-oversight authorise` signs one)';
const NO_KEY = '`authorityKey` is not set; it names the authority’s public key';

/** Returns why no rule would run, or undefined if one may. Without a `report`, it decides without the files. */
export function whyNothingRuns(config: Config, report: CoverageReport | undefined): string | undefined {
  if (config.rules.length === 0) return '`rules` is empty; name at least one rule';
  // An installation authorisation alone lets no rule run.
  if (config.authorisation === undefined && report?.content === undefined) return NO_AUTHORISATION;
  if (config.authorityKey === undefined) return NO_KEY;
  if (report?.problem !== undefined) return report.problem;
  if (report?.content?.installation === true) {
    return `${report.content.order} is an installation authorisation: the box analyses video under it, but no rule runs`;
  }
  const coversAny = report?.rules.some(({ state }) => state !== 'not covered') ?? true;
  return coversAny
    ? undefined
    : `authorisation ${report?.content?.order ?? ''} covers no rule of this configuration`;
}

/**
 * Reports the coverage from the files that the configuration names. Only the box knows whether it has pinned another
 * key.
 */
export function coverageReport(config: Config): CoverageReport {
  const { authorisation, installation, authorityKey, site, box, camera, rules } = config;
  try {
    if (authorisation === undefined && installation === undefined)
      throw new AgentError('config', NO_AUTHORISATION);
    if (authorityKey === undefined) throw new AgentError('config', NO_KEY);
    const authorisations = readAuthorisations(config, readAuthorityKey(authorityKey));
    const place = { site, box, camera: configuredStream(camera?.source) };
    const activeAuthorisation = orderInForce(authorisations, place, systemClock.wallMs());
    // An authorisation that is not valid here and now is still shown, with the reason.
    const shownAuthorisation = [
      activeAuthorisation,
      authorisations.authorisation,
      authorisations.installation,
    ].find(isSigned);
    const problem =
      'reason' in activeAuthorisation
        ? activeAuthorisation.reason.replace(/; it is \S+ by the latest time seen/g, '')
        : undefined;
    if (shownAuthorisation === undefined) throw new AgentError('config', problem ?? NO_AUTHORISATION);
    const ruleStates = shownAuthorisation.coverage.map(({ rule, grant, reason }): CoveredRule => {
      if (grant === undefined) return { rule, state: 'not covered', detail: reason ?? '' };
      const detail = `${grant.legalBasis ?? ''}, until ${grant.validUntil ?? ''}`;
      return { rule, state: grant.shadow ? 'shadow' : 'covered', detail };
    });
    const unnamed = unnamedSubstream(config, shownAuthorisation.content);
    const warnings = [
      ...(unnamed === undefined ? [] : [unnamed]),
      ...excess(config, shownAuthorisation.content),
    ];
    return { problem, content: shownAuthorisation.content, rules: ruleStates, warnings };
  } catch (error) {
    rethrowBug(error);
    const noCoverage = { state: 'not covered', detail: 'no authorisation' } as const;
    return {
      problem: error.message,
      content: undefined,
      rules: rules.map(({ id }) => ({ rule: id, ...noCoverage })),
      warnings: [],
    };
  }
}

/** Returns advice if the authorisation does not name the second stream; undefined if it does, or if there is none. */
export function unnamedSubstream({ camera }: Config, content: Authorisation): string | undefined {
  const { substream } = camera ?? {};
  if (substream === undefined || namesCamera(content, configuredStream(substream))) return undefined;
  return `camera.substream: authorisation ${content.order} does not name ${shownSource(substream)}, so the box runs without it; ask for an authorisation that names it as substream`;
}

/** Formats the report for people. */
export function coverageLines({ content, rules }: CoverageReport): string[] {
  if (content === undefined) return [];
  const marks = { covered: 'covered', shadow: 'only counted (shadow)', 'not covered': 'NOT covered' };
  return [
    ...authorisationLines(content),
    ...rules.map(
      ({ rule, state, detail }, index) =>
        `  ${(index === 0 ? 'covers' : '').padEnd(9)} ${rule}: ${marks[state]}: ${detail}`,
    ),
  ];
}

const isSigned = (
  authorisation: SignedAuthorisation | AuthorisationRefusal | undefined,
): authorisation is SignedAuthorisation => authorisation !== undefined && !('reason' in authorisation);

function excess({ retention, zones, lines }: Config, content: Authorisation): string[] {
  const { order, masks = [] } = content;
  const days = (['eventsDays', 'snapshotsDays', 'sealedDays'] as const).flatMap((key) => {
    const daysMax = content.retention[key];
    if (retention[key] <= daysMax) return [];
    return [
      `retention.${key}: ${retention[key]}, but authorisation ${order} allows ${daysMax}; ${daysMax} is used`,
    ];
  });
  const places = [...zones, ...lines.map(({ id, from, to }) => ({ id, polygon: [from, to] }))];
  const blind = places.flatMap(({ id, polygon }) => {
    const mask = masks.find((black) => covers(black.polygon, polygon));
    return mask === undefined
      ? []
      : [`${id} lies entirely under the mask "${mask.id}" of authorisation ${order}, so it can never match`];
  });
  return [...days, ...blind];
}

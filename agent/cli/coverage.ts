/**
 * Part of `vigie check` about the authorisation: which rules of the configuration it covers, and why others are not
 * covered.
 */
import { systemClock } from '../base/clock.ts';
import { AgentError, rethrowBug } from '../base/errors.ts';
import type { Authorisation } from '../contract/authorisation.ts';
import { cameraAddress, namesCamera, shownSource } from '../contract/camera-address.ts';
import type { Config } from '../contract/config.ts';
import { covers } from '../contract/polygon.ts';
import { readAuthorityKey } from '../restraint/authorisation.ts';
import { type OrderRefusal, orderInForce, readOrders, type Signed } from '../restraint/orders.ts';
import { orderLines } from './order-lines.ts';

export interface CoveredRule {
  readonly rule: string;
  readonly state: 'covered' | 'shadow' | 'not covered';
  readonly detail: string;
}

export interface CoverageReport {
  /** Reason why the authorisation is not valid; undefined if it is. */
  readonly fault: string | undefined;
  readonly content: Authorisation | undefined;
  readonly rules: readonly CoveredRule[];
  /** Settings that exceed the authorisation. */
  readonly warnings: readonly string[];
}

const NO_ORDER =
  '`authorisation` is not set; it names the signed order (`vigie-oversight authorise` signs one)';
const NO_KEY = '`authorityKey` is not set; it names the authority’s public key';

/** Returns why no rule would run, or undefined if one may. Without a `report`, it decides without the files. */
export function whyNothingRuns(config: Config, report: CoverageReport | undefined): string | undefined {
  if (config.rules.length === 0) return '`rules` is empty; name at least one rule';
  // An installation authorisation alone lets no rule run.
  if (config.authorisation === undefined && report?.content === undefined) return NO_ORDER;
  if (config.authorityKey === undefined) return NO_KEY;
  if (report?.fault !== undefined) return report.fault;
  if (report?.content?.installation === true) {
    return `order ${report.content.order} is a permit to install: the box looks under it, and no rule runs`;
  }
  const covered = report?.rules.some(({ state }) => state !== 'not covered') ?? true;
  return covered ? undefined : `order ${report?.content?.order ?? ''} covers no rule of this configuration`;
}

/**
 * Reports the coverage from the files that the configuration names. Only the box knows whether it has pinned another
 * key.
 */
export function coverageReport(config: Config): CoverageReport {
  const { authorisation, installation, authorityKey, site, box, camera, rules } = config;
  try {
    if (authorisation === undefined && installation === undefined) throw new AgentError('config', NO_ORDER);
    if (authorityKey === undefined) throw new AgentError('config', NO_KEY);
    const orders = readOrders(config, readAuthorityKey(authorityKey));
    const place = { site, box, camera: cameraAddress(camera?.source) };
    const activeOrder = orderInForce(orders, place, systemClock.wallMs());
    // An authorisation that is not valid here and now is still shown, with the reason.
    const shownOrder = [activeOrder, orders.authorisation, orders.installation].find(isSigned);
    const fault =
      'reason' in activeOrder
        ? activeOrder.reason.replace(/; it is \S+ by the latest time seen/g, '')
        : undefined;
    if (shownOrder === undefined) throw new AgentError('config', fault ?? NO_ORDER);
    const covered = shownOrder.coverage.map(({ rule, grant, reason }): CoveredRule => {
      if (grant === undefined) return { rule, state: 'not covered', detail: reason ?? '' };
      const detail = `${grant.legalBasis ?? ''}, until ${grant.validUntil ?? ''}`;
      return { rule, state: grant.shadow ? 'shadow' : 'covered', detail };
    });
    const unnamed = unnamedSubstream(config, shownOrder.content);
    const warnings = [...(unnamed === undefined ? [] : [unnamed]), ...excess(config, shownOrder.content)];
    return { fault, content: shownOrder.content, rules: covered, warnings };
  } catch (error) {
    rethrowBug(error);
    const noCoverage = { state: 'not covered', detail: 'no authorisation' } as const;
    return {
      fault: error.message,
      content: undefined,
      rules: rules.map(({ id }) => ({ rule: id, ...noCoverage })),
      warnings: [],
    };
  }
}

/** Returns advice if the authorisation does not name the second stream; undefined if it does, or if there is none. */
export function unnamedSubstream({ camera }: Config, content: Authorisation): string | undefined {
  const { substream } = camera ?? {};
  if (substream === undefined || namesCamera(content, cameraAddress(substream))) return undefined;
  return `camera.substream: order ${content.order} does not name ${shownSource(substream)}, and the box runs without it; ask for an order that names it as substream`;
}

/** Formats the report for people. */
export function coverageLines({ content, rules }: CoverageReport): string[] {
  if (content === undefined) return [];
  const marks = { covered: 'covered', shadow: 'only counted (shadow)', 'not covered': 'NOT covered' };
  return [
    ...orderLines(content),
    ...rules.map(
      ({ rule, state, detail }, index) =>
        `  ${(index === 0 ? 'covers' : '').padEnd(9)} ${rule}: ${marks[state]}: ${detail}`,
    ),
  ];
}

const isSigned = (order: Signed | OrderRefusal | undefined): order is Signed =>
  order !== undefined && !('reason' in order);

function excess({ retention, zones, lines }: Config, content: Authorisation): string[] {
  const { order, masks = [] } = content;
  const days = (['eventsDays', 'snapshotsDays', 'sealedDays'] as const).flatMap((key) => {
    const daysMax = content.retention[key];
    if (retention[key] <= daysMax) return [];
    return [`retention.${key}: ${retention[key]}, but order ${order} allows ${daysMax}; ${daysMax} is used`];
  });
  const places = [...zones, ...lines.map(({ id, from, to }) => ({ id, polygon: [from, to] }))];
  const blind = places.flatMap(({ id, polygon }) => {
    const mask = masks.find((black) => covers(black.polygon, polygon));
    return mask === undefined
      ? []
      : [`${id} lies wholly under the mask "${mask.id}" of order ${order}: nothing is ever seen there`];
  });
  return [...days, ...blind];
}

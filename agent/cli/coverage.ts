/** What `vigie check` says of the authorisation: what it covers of the configuration, what not, and why. */
import { systemClock } from '../base/clock.ts';
import { AgentError, rethrowBug } from '../base/errors.ts';
import type { Authorisation } from '../contract/authorisation.ts';
import { cameraAddress, namesCamera, shownSource } from '../contract/camera-address.ts';
import type { Config } from '../contract/config.ts';
import { covers } from '../contract/polygon.ts';
import { readAuthorityKey } from '../restraint/authorisation.ts';
import { orderInForce, type Refused, readOrders, type Signed } from '../restraint/orders.ts';
import { orderLines } from './order-lines.ts';

export interface CoveredRule {
  readonly rule: string;
  readonly state: 'covered' | 'shadow' | 'not covered';
  readonly detail: string;
}

export interface CoverageReport {
  /** Why the order does not hold; undefined where it does. */
  readonly fault: string | undefined;
  readonly content: Authorisation | undefined;
  readonly rules: readonly CoveredRule[];
  /** Where the configuration asks for more than is allowed. */
  readonly warnings: readonly string[];
}

const NO_ORDER =
  '`authorisation` is not set; it names the signed order (`vigie-oversight authorise` signs one)';
const NO_KEY = '`authorityKey` is not set; it names the authority’s public key';

/** Why no rule would run; undefined where one may, as far as is known without the files when there is no `report`. */
export function whyNothingRuns(config: Config, report: CoverageReport | undefined): string | undefined {
  if (config.rules.length === 0) return '`rules` is empty; name at least one rule';
  // Under a permit to install alone no rule runs.
  if (config.authorisation === undefined && report?.content === undefined) return NO_ORDER;
  if (config.authorityKey === undefined) return NO_KEY;
  if (report?.fault !== undefined) return report.fault;
  if (report?.content?.installation === true) {
    return `order ${report.content.order} is a permit to install: the box looks under it, and no rule runs`;
  }
  const covered = report?.rules.some(({ state }) => state !== 'not covered') ?? true;
  return covered ? undefined : `order ${report?.content?.order ?? ''} covers no rule of this configuration`;
}

/** By the files that the configuration names; whether the box has pinned another key is known on the box only. */
export function coverageReport(config: Config): CoverageReport {
  const { authorisation, installation, authorityKey, site, box, camera, rules } = config;
  try {
    if (authorisation === undefined && installation === undefined) throw new AgentError('config', NO_ORDER);
    if (authorityKey === undefined) throw new AgentError('config', NO_KEY);
    const orders = readOrders(config, readAuthorityKey(authorityKey));
    const place = { site, box, camera: cameraAddress(camera?.source) };
    const held = orderInForce(orders, place, systemClock.wallMs());
    // One that does not hold here and now is told all the same, with why.
    const told = [held, orders.authorisation, orders.installation].find(isSigned);
    const fault =
      'reason' in held ? held.reason.replace(/; it is \S+ by the latest time seen/g, '') : undefined;
    if (told === undefined) throw new AgentError('config', fault ?? NO_ORDER);
    const covered = told.coverage.map(({ rule, grant, reason }): CoveredRule => {
      if (grant === undefined) return { rule, state: 'not covered', detail: reason ?? '' };
      const detail = `${grant.legalBasis ?? ''}, until ${grant.validUntil ?? ''}`;
      return { rule, state: grant.shadow ? 'shadow' : 'covered', detail };
    });
    const unnamed = unnamedSubstream(config, told.content);
    const warnings = [...(unnamed === undefined ? [] : [unnamed]), ...excess(config, told.content)];
    return { fault, content: told.content, rules: covered, warnings };
  } catch (error) {
    rethrowBug(error);
    const why = { state: 'not covered', detail: 'no authorisation' } as const;
    return {
      fault: error.message,
      content: undefined,
      rules: rules.map(({ id }) => ({ rule: id, ...why })),
      warnings: [],
    };
  }
}

/** Advice where the order does not name the second stream; undefined where it does, or there is none. */
export function unnamedSubstream({ camera }: Config, content: Authorisation): string | undefined {
  const { substream } = camera ?? {};
  if (substream === undefined || namesCamera(content, cameraAddress(substream))) return undefined;
  return `camera.substream: order ${content.order} does not name ${shownSource(substream)}, and the box runs without it; ask for an order that names it as substream`;
}

/** For people. */
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

const isSigned = (order: Signed | Refused | undefined): order is Signed =>
  order !== undefined && !('reason' in order);

function excess({ retention, zones, lines }: Config, content: Authorisation): string[] {
  const { order, masks = [] } = content;
  const days = (['eventsDays', 'snapshotsDays', 'sealedDays'] as const).flatMap((key) => {
    const most = content.retention[key];
    if (retention[key] <= most) return [];
    return [`retention.${key}: ${retention[key]}, but order ${order} allows ${most}; ${most} is used`];
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

/** Builds the view of the agent that the page shows, from the parts that hold the data. */
import { programVersion } from '../base/package-root.ts';
import type { Authorisation } from '../contract/authorisation.ts';
import { shownAuthorised } from '../contract/camera-address.ts';
import type { Config } from '../contract/config.ts';
import type { Finding } from '../contract/finding.ts';
import type { LocalStatus } from '../contract/local-status.ts';
import type { AgentView, AuthorisationView, PageFinding } from '../contract/page-link.ts';
import type { Ruling } from '../contract/permit.ts';

const TEXT_MAX = 1000;
const LIST_MAX = 64;

/** A ruling with its authorisation. */
export interface RulingWithAuthorisation extends Ruling {
  readonly authorisation: Authorisation | undefined;
}

export interface AgentViewSources
  extends Pick<AgentView, 'preview' | 'walk' | 'receipt' | 'receiptWaits' | 'configSha256'>,
    Pick<Config, 'site' | 'box' | 'detector' | 'timeZone' | 'zones' | 'lines' | 'masks'> {
  /** Undefined before the first ruling. */
  readonly ruled: RulingWithAuthorisation | undefined;
  readonly status: LocalStatus;
  readonly findings: readonly Finding[];
}

export function agentView(sources: AgentViewSources): AgentView {
  const { site, box, detector, timeZone, zones, lines, masks, ruled, status, findings } = sources;
  const { preview, walk, receipt, receiptWaits, configSha256 } = sources;
  const refusedRules = [...(ruled?.refusals ?? [])].slice(0, LIST_MAX);
  return {
    site,
    box,
    version: programVersion(),
    timeZone,
    configSha256,
    preview,
    walk,
    receipt,
    receiptWaits,
    status,
    mode: ruled?.mode ?? 'unauthorised',
    reason: ruled === undefined ? 'starting' : (ruled.reason?.slice(0, TEXT_MAX) ?? null),
    order: ruled?.authorisation === undefined ? null : authorisationView(ruled.authorisation),
    refusedRules: refusedRules.map(([id, reason]) => ({ id, reason: reason.slice(0, TEXT_MAX) })),
    detectorInputPx: [detector.input[0], detector.input[1]],
    running: { zones: [...zones], lines: [...lines], masks: [...masks] },
    findings: findings.slice(0, LIST_MAX).map(pageFinding),
  };
}

function authorisationView(authorisation: Authorisation): AuthorisationView {
  const { order, authority, camera, substream, notAfter, rules, installation, outlines, masks } =
    authorisation;
  return {
    order,
    authority,
    camera: shownAuthorised(camera),
    notAfter,
    rules,
    ...(substream === undefined ? {} : { substream: shownAuthorised(substream) }),
    installation: installation === true,
    outlines: outlines ?? [],
    masks: masks ?? [],
  };
}

function pageFinding({ name, state, detail, fix }: Finding): PageFinding {
  return {
    name,
    verdict: state,
    detail: detail.slice(0, TEXT_MAX),
    fix: fix?.slice(0, TEXT_MAX) ?? null,
  };
}

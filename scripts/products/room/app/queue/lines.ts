/** Builds the lines of the queue from incidents: sorts them, and combines storms into one line. */
import type { Incident } from '../../contract/incident.ts';
import { ESCALATE_S } from '../../contract/terms.ts';

/** Maximum gap in ms between successive incidents of one storm. */
const STORM_GAP_MS = 60_000;
/** Minimum size of a storm of one box and rule. Two or three alerts are easily seen at a glance. */
const STORM_OF_RULE_MIN = 4;
/** Minimum size of a storm of one kind at many boxes, for instance when low sun affects the whole city. */
const STORM_OF_KIND_MIN = 12;

export interface Storm {
  /** Stays the same while the storm grows. */
  readonly id: string;
  /** `box`: one box and rule. `kind`: one kind at many boxes. */
  readonly of: 'box' | 'kind';
  readonly members: readonly Incident[];
}

export type Line =
  | { readonly type: 'incident'; readonly incident: Incident; readonly storm: Storm | undefined }
  | { readonly type: 'storm'; readonly storm: Storm; readonly head: Incident; readonly isOpen: boolean };

export interface LinesOptions {
  readonly nowMs: number;
  /** Current person, whose incidents precede those claimed by others. */
  readonly me: string;
  readonly isOpen: (storm: string) => boolean;
  readonly fits: (incident: Incident) => boolean;
}

export function keyOf(line: Line): string {
  return line.type === 'storm' ? `storm ${line.storm.id}` : String(line.incident.no);
}

export function isEscalated(incident: Incident, nowMs: number): boolean {
  return isLate(incident, lateSince(nowMs));
}

/**
 * Returns the lines: escalated incidents, then waiting ones, then claimed ones. Within each group the urgent come
 * first, then the oldest.
 */
export function linesOf(incidents: readonly Incident[], options: LinesOptions): Line[] {
  const late = lateSince(options.nowMs);
  const sorted = incidents
    .filter(options.fits)
    .map((incident) => ({ incident, rank: rankOf(incident, late, options.me) }))
    .sort(
      (a, b) =>
        a.rank - b.rank ||
        a.incident.priority - b.incident.priority ||
        (a.incident.received < b.incident.received
          ? -1
          : a.incident.received > b.incident.received
            ? 1
            : 0) ||
        a.incident.no - b.incident.no,
    )
    .map(({ incident }) => incident);
  return linesWith(sorted, stormsOf(sorted), options);
}

function linesWith(
  sorted: readonly Incident[],
  storms: ReadonlyMap<Incident, Storm>,
  { isOpen }: LinesOptions,
): Line[] {
  const lines: Line[] = [];
  const stormIds = new Set<string>();
  for (const incident of sorted) {
    const storm = storms.get(incident);
    if (storm === undefined) lines.push({ type: 'incident', incident, storm });
    if (storm === undefined || stormIds.has(storm.id)) continue;
    stormIds.add(storm.id);
    const open = isOpen(storm.id);
    lines.push({ type: 'storm', storm, head: incident, isOpen: open });
    if (open)
      lines.push(...storm.members.map((member) => ({ type: 'incident', incident: member, storm }) as const));
  }
  return lines;
}

function stormsOf(sorted: readonly Incident[]): Map<Incident, Storm> {
  const storms = new Map<Incident, Storm>();
  const waiting = sorted.filter(({ state }) => state === 'new');
  const take = (of: Storm['of'], least: number, keyed: (incident: Incident) => string): void => {
    const byKey = new Map<string, Incident[]>();
    for (const incident of waiting) {
      if (storms.has(incident)) continue;
      const key = keyed(incident);
      const group = byKey.get(key);
      if (group === undefined) byKey.set(key, [incident]);
      else group.push(incident);
    }
    for (const [key, group] of byKey) {
      if (group.length < least) continue;
      const parts = together(group).filter(({ length }) => length >= least);
      for (const [index, members] of parts.entries()) {
        // Numbered from the newest part, so that an open storm stays open while it grows and while its oldest parts are
        // claimed.
        const storm = { id: `${key} ${parts.length - index}`, of, members };
        for (const member of members) storms.set(member, storm);
      }
    }
  };
  take('box', STORM_OF_RULE_MIN, ({ site, box, rule, severity }) => `${site}/${box}/${rule} ${severity}`);
  take('kind', STORM_OF_KIND_MIN, ({ kind, severity }) => `${kind} ${severity}`);
  return storms;
}

/** Splits a group into parts without long gaps, the oldest first. */
function together(group: readonly Incident[]): Incident[][] {
  const byAge = group
    .map((incident) => ({ incident, atMs: Date.parse(incident.received) }))
    .sort((a, b) => a.atMs - b.atMs || a.incident.no - b.incident.no);
  const parts: Incident[][] = [];
  let lastMs = Number.NEGATIVE_INFINITY;
  for (const { incident, atMs } of byAge) {
    if (atMs - lastMs > STORM_GAP_MS) parts.push([]);
    parts.at(-1)?.push(incident);
    lastMs = atMs;
  }
  return parts;
}

function rankOf(incident: Incident, late: string, me: string): number {
  // A recently closed incident keeps its place until it leaves.
  const waits = incident.state === 'new' || (incident.state === 'closed' && incident.claimedBy === null);
  if (waits) return incident.severity === 'alert' && incident.received < late ? 0 : 1;
  if (incident.claimedBy === me) return 2;
  return incident.state === 'claimed' ? 3 : 4;
}

/** Times of the interface have one format and sort as text. */
function isLate({ state, severity, received }: Incident, late: string): boolean {
  return state === 'new' && severity === 'alert' && received < late;
}

function lateSince(nowMs: number): string {
  return new Date(nowMs - ESCALATE_S * 1000).toISOString();
}

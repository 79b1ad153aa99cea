/** Finds the incident that follows a verdict: the next of the same storm, else the next of the queue. */
import type { Incident } from '../../contract/incident.ts';
import type { Line, Storm } from './lines.ts';

interface JudgedIncident {
  readonly no: number;
  /** Numbers of the storm that it belonged to, in order; empty if it was alone. */
  readonly storm: readonly number[];
  /** True if its owner closed it. The most urgent incident then follows, not the one below. */
  readonly isOwn: boolean;
}

/** Returns the storm of an incident, if it is in one now. */
export function stormOf(lines: readonly Line[], no: number): Storm | undefined {
  const line = lines.find(
    (one) => one.type === 'storm' && one.storm.members.some((member) => member.no === no),
  );
  return line?.type === 'storm' ? line.storm : undefined;
}

/** Returns the incidents of the lines in order, each once. A storm is all of its members. */
export function incidentsOf(lines: readonly Line[]): Incident[] {
  const byNo = new Map<number, Incident>();
  for (const line of lines) {
    const incidents = line.type === 'storm' ? line.storm.members : [line.incident];
    for (const incident of incidents) byNo.set(incident.no, incident);
  }
  return [...byNo.values()];
}

/** Returns the next incident that `me` can judge, or undefined if none is left. */
export function nextUnjudged(
  lines: readonly Line[],
  { no, storm, isOwn }: JudgedIncident,
  me: string,
): number | undefined {
  const incidents = incidentsOf(lines);
  const open = incidents.filter(
    (one) => one.no !== no && one.state !== 'closed' && (one.claimedBy === null || one.claimedBy === me),
  );
  const openNos = new Set(open.map((one) => one.no));
  const nextOfStorm = rotated(storm, storm.indexOf(no)).find((one) => openNos.has(one));
  if (nextOfStorm !== undefined) return nextOfStorm;
  const order = incidents.map((one) => one.no);
  return (isOwn ? order : rotated(order, order.indexOf(no))).find((one) => openNos.has(one));
}

/** Returns all elements, those after `at` first. */
function rotated<T>(all: readonly T[], at: number): T[] {
  return [...all.slice(at + 1), ...all.slice(0, at + 1)];
}

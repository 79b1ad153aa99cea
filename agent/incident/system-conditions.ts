/**
 * Conditions of the box and its camera: each is one incident, which begins once and ends once, restarts included.
 *
 * INVARIANTS: what an earlier life has begun is either taken up (when its source says at every start how things stand)
 * or ended at the start, and begun anew should it hold on.
 */
import { Incidents, type StandingRecord, type Transition } from './incidents.ts';

/** Beside the rules' ids in the file of what stands; no id of a rule has a slash. */
const PREFIX = 'box/';
/** Their sources speak at each start, or as soon as they can. */
const TOLD_AT_START: readonly string[] = [
  'suspended',
  'unauthorised',
  'config-refused',
  'stream-lost',
  'detector-down',
  'detector-fallback',
  'identity-conflict',
  'certificate',
];

type Now = { readonly atMs: number; readonly wallMs: number };

export class SystemConditions {
  readonly #nextEpisode: () => string;
  readonly #incidents = new Map<string, Incidents>();

  constructor(nextEpisode: () => string) {
    this.#nextEpisode = nextEpisode;
  }

  /** `key` holds or does not; returns what begins, goes on or ends by that. */
  tell(key: string, active: boolean, cause: Readonly<Record<string, unknown>>, atMs: number): Transition[] {
    const incidents = this.#of(key);
    if (!active) return incidents.endAll('recovered', atMs, cause);
    return incidents.step([{ key, objects: [], cause, momentary: false }], atMs);
  }

  /** Takes up what stood; returns the ends of what its source would not end. */
  restore(
    records: Readonly<Record<string, readonly StandingRecord[]>>,
    now: Now,
  ): { kind: string; ends: Transition[] }[] {
    return Object.entries(records).flatMap(([name, [record]]) => {
      const kind = name.startsWith(PREFIX) ? name.slice(PREFIX.length) : undefined;
      if (kind === undefined || record === undefined) return [];
      const incidents = this.#of(kind);
      incidents.resume(kind, record, now);
      if (TOLD_AT_START.includes(kind)) return [];
      return [{ kind, ends: incidents.endAll('the agent started anew', now.atMs) }];
    });
  }

  /** What must be remembered for `restore`; a rule's own (`kind/id`) is told again by its rule. */
  records(wallAtMs: (atMs: number) => number): [string, StandingRecord[]][] {
    return [...this.#incidents]
      .filter(([key]) => !key.includes('/'))
      .map(([key, incidents]) => [`${PREFIX}${key}`, incidents.records(wallAtMs)]);
  }

  #of(key: string): Incidents {
    const incidents = this.#incidents.get(key) ?? new Incidents(this.#nextEpisode);
    this.#incidents.set(key, incidents);
    return incidents;
  }
}

/**
 * Holds the static regions that a rule has raised, each with the associated track at that moment. A raised region stays
 * active until it is gone, also while others pass by.
 */
import type { AssociatedTrack, Observation, StaticRegion } from '../contract/observation.ts';
import type { Situation } from '../contract/situation.ts';

/** Decisions of one rule about a region. */
export interface RegionCriteria {
  /** Returns the associated track if the region is to be raised now. */
  associatedTrackOf(region: StaticRegion, atMs: number): AssociatedTrack | undefined;
  /** Returns the cause of the alert. `timeOf` converts a media time to wall time. */
  causeOf(
    region: StaticRegion,
    associatedTrack: AssociatedTrack,
    atMs: number,
    timeOf: (ms: number) => string,
  ): Situation['cause'];
  momentsOf(region: StaticRegion): NonNullable<Situation['moments']>;
}

export class RaisedRegions {
  readonly #criteria: RegionCriteria;
  readonly #raised = new Map<number, AssociatedTrack>();

  constructor(criteria: RegionCriteria) {
    this.#criteria = criteria;
  }

  situations({ regions = [], atMs, wallMs }: Observation): Situation[] {
    for (const id of this.#raised.keys()) {
      if (!regions.some((region) => region.id === id)) this.#raised.delete(id);
    }
    const timeOf = (ms: number): string => new Date(wallMs - (atMs - ms)).toISOString();
    return regions.flatMap((region) => {
      const associatedTrack = this.#raised.get(region.id) ?? this.#criteria.associatedTrackOf(region, atMs);
      if (associatedTrack === undefined) return [];
      this.#raised.set(region.id, associatedTrack);
      const { id, xyxyNorm, areaNorm } = region;
      return [
        {
          key: `region-${id}`,
          objects: [],
          cause: {
            associatedTrack: { track: associatedTrack.track, label: associatedTrack.label },
            ...this.#criteria.causeOf(region, associatedTrack, atMs, timeOf),
            xyxyNorm,
            areaNorm,
          },
          momentary: false,
          focus: [xyxyNorm],
          moments: this.#criteria.momentsOf(region),
        },
      ];
    });
  }
}

/** An object's ground point passes a line towards a watched side. */

import type { Observation } from '../contract/observation.ts';
import type { LineCrossing } from '../contract/rule-config.ts';
import type { Situation } from '../contract/situation.ts';
import type { Rule } from './rule.ts';

export class LineCrossingRule implements Rule {
  readonly config: LineCrossing;

  constructor(config: LineCrossing) {
    this.config = config;
  }

  observe({ frame, tracks, crossings }: Observation): Situation[] {
    const { line, classes, direction } = this.config;
    const labels: readonly string[] = classes;
    return crossings.flatMap((crossing) => {
      if (crossing.line !== line || (direction !== 'both' && crossing.direction !== direction)) return [];
      const track = tracks.find(({ id }) => id === crossing.track);
      if (track === undefined || !labels.includes(track.label)) return [];
      return [
        {
          key: `track-${track.id}-frame-${frame}`,
          objects: [track],
          cause: { direction: crossing.direction },
          momentary: true,
        },
      ];
    });
  }
}

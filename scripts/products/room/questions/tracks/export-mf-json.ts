/**
 * Exports the answer of a track log as OGC Moving Features JSON 1.0 (MF-JSON Prism, OGC 19-045r3): one feature for each
 * track, whose `temporalGeometry` is a MovingPoint.
 *
 * Coordinates refer to the picture, not to the earth. No reference system names them, so there is no `crs` member;
 * `description` explains this. Gaps, coverage and the query are separate members, which the standard allows.
 */
import type { FoundTrack } from '../../../../../agent/contract/track-log.ts';
import type { TrackAnswerParts } from './export.ts';

const DESCRIPTION =
  'Coordinates are normalised picture coordinates [x, y] of the ground point: 0..1 of the width and height of the ' +
  'picture, origin at the top left, y downwards. They are not geographic. Within `gaps` the box did not analyse, or has no data.';

export function mfJsonOf(parts: TrackAnswerParts): string {
  const { box, case: number, question, order, grade, coverage, matches, more, tracks } = parts;
  const features = tracks.flatMap((track) => featureOf(box, track));
  return JSON.stringify({
    type: 'FeatureCollection',
    description: DESCRIPTION,
    features,
    box,
    case: number,
    question,
    order,
    grade,
    matches,
    more,
    coverage: { seen: coverage.seen, watched: coverage.watched },
    gaps: coverage.gaps,
    moreGaps: coverage.more,
  });
}

function featureOf(box: string, track: FoundTrack): object[] {
  const { path, from, to, class: label, colours, at, durationS, seen, score, stoppedS, cut } = track;
  const points = momentsOf(path, Date.parse(from));
  if (points.length === 0) return [];
  const datetimes = points.map(({ time }) => time);
  return [
    {
      type: 'Feature',
      id: `${box}/${from}/${track.track}`,
      temporalGeometry: {
        type: 'MovingPoint',
        datetimes,
        coordinates: points.map(({ x, y }) => [x, y]),
        interpolation: 'Linear',
      },
      temporalProperties: [
        {
          datetimes,
          // Height of the object's bounding box as a ratio of the picture height.
          boxHeight: { type: 'Measure', values: points.map(({ height }) => height), interpolation: 'Linear' },
          // True if the object was visible on the way to the point.
          seen: {
            type: 'Text',
            values: points.map((one) => (one.isSeen ? 'yes' : 'no')),
            interpolation: 'Discrete',
          },
        },
      ],
      properties: {
        track: track.track,
        class: label,
        colours,
        from,
        to,
        at,
        durationS,
        seen,
        score,
        stoppedS,
        cut,
        widthToHeight: track.widthToHeight,
      },
    },
  ];
}

interface Moment {
  readonly time: string;
  readonly x: number;
  readonly y: number;
  readonly height: number;
  readonly isSeen: boolean;
}

/**
 * Returns points with strictly increasing times, as the standard requires. Of two points in one millisecond the first
 * is kept.
 */
function momentsOf(path: FoundTrack['path'], fromMs: number): Moment[] {
  const moments: Moment[] = [];
  let lastMs = Number.NEGATIVE_INFINITY;
  for (const [seconds, x, y, height, seenFlag] of path) {
    const ms = Math.round(fromMs + seconds * 1000);
    // Drops points further from the start than any track lasts.
    if (ms <= lastMs || Math.abs(ms - fromMs) > 86_400_000) continue;
    lastMs = ms;
    moments.push({ time: new Date(ms).toISOString(), x, y, height, isSeen: seenFlag === 1 });
  }
  return moments;
}

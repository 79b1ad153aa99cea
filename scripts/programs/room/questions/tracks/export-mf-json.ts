/**
 * The answer of a log of tracks as OGC Moving Features JSON 1.0 (MF-JSON Prism, OGC 19-045r3): a feature a track, whose
 * `temporalGeometry` is a MovingPoint.
 *
 * Coordinates are of the picture and not of the earth. There is no `crs` member, since no reference system names them; the
 * member `description` says so. Gaps, coverage and the question are members of their own, which the standard allows.
 */
import type { FoundTrack } from '../../../../../agent/contract/track-log.ts';
import type { TrackAnswerParts } from './export.ts';

const DESCRIPTION =
  'Coordinates are normalised picture coordinates [x, y] of the ground point: 0..1 of the width and height of the ' +
  'picture, origin at the top left, y downwards. They are not geographic. Within `gaps` the box did not look, or cannot tell.';

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
          // The share of the picture's height that the box of the object has.
          boxHeight: { type: 'Measure', values: points.map(({ height }) => height), interpolation: 'Linear' },
          // Whether the object was seen on the way to the point.
          seen: {
            type: 'Text',
            values: points.map((one) => (one.seen ? 'yes' : 'no')),
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
  readonly seen: boolean;
}

/** Returns moments whose times rise, as the standard asks: of two points in one millisecond the first stays. */
function momentsOf(path: FoundTrack['path'], fromMs: number): Moment[] {
  const moments: Moment[] = [];
  let lastMs = Number.NEGATIVE_INFINITY;
  for (const [seconds, x, y, height, seen] of path) {
    const ms = Math.round(fromMs + seconds * 1000);
    // Further from the track than any path is long, it is no moment of it.
    if (ms <= lastMs || Math.abs(ms - fromMs) > 86_400_000) continue;
    lastMs = ms;
    moments.push({ time: new Date(ms).toISOString(), x, y, height, seen: seen === 1 });
  }
  return moments;
}

/** Draws the line or area of the query, with an arrow to each counted side. */
import type { StageSize } from '../../../../../agent/kit/stage.ts';
import { arrowsOf, type DrawnPlace, isInvalid } from './drawn-place.ts';

const ARROW_PX = 34;
const HEAD_PX = 11;

interface Props {
  readonly place: DrawnPlace;
  readonly size: StageSize;
}

export function PlaceShape({ place, size: { w, h } }: Props) {
  const points = place.points.map(([x, y]) => `${x * w},${y * h}`).join(' ');
  const bad = isInvalid(place) ? ' t-bad' : '';
  if (place.kind === 'area') {
    return (
      <g class={`t-shape t-area${bad}`}>
        <polygon class="t-casing" points={points} />
        <polygon class="t-stroke" points={points} />
      </g>
    );
  }
  return (
    <g class={`t-shape t-line${bad}`}>
      <polyline class="t-casing" points={points} />
      <polyline class="t-stroke" points={points} />
      {arrowsOf(place, w, h, ARROW_PX).map(({ side, from, tip }) => {
        const [dx, dy] = [(tip[0] - from[0]) / ARROW_PX, (tip[1] - from[1]) / ARROW_PX];
        const [x, y] = [tip[0] - dx * HEAD_PX, tip[1] - dy * HEAD_PX];
        const half = HEAD_PX * 0.6;
        return (
          <g key={side} class="t-arrow" data-side={side}>
            <path class="t-casing" d={`M${from[0]} ${from[1]}L${x} ${y}`} />
            <path class="t-stroke" d={`M${from[0]} ${from[1]}L${x} ${y}`} />
            <polygon
              points={`${tip[0]},${tip[1]} ${x - dy * half},${y + dx * half} ${x + dy * half},${y - dx * half}`}
            />
          </g>
        );
      })}
    </g>
  );
}

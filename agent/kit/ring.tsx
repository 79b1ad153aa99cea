/** Ring that empties as time runs out, with the time in it. */
import { minutesAndSeconds } from './time.ts';

const RADIUS = 42;
const CIRCUMFERENCE = 2 * Math.PI * RADIUS;

interface RingProps {
  readonly leftS: number;
  readonly ofS: number;
  readonly label: string;
}

export function Ring({ leftS, ofS, label }: RingProps) {
  const remainingRatio = Math.min(1, Math.max(0, leftS / ofS));
  return (
    <svg class="ring" viewBox="0 0 100 100" role="timer" aria-label={`${label} ${minutesAndSeconds(leftS)}`}>
      <circle class="ring-way" cx="50" cy="50" r={RADIUS} />
      <circle
        class="ring-left"
        cx="50"
        cy="50"
        r={RADIUS}
        stroke-dasharray={`${CIRCUMFERENCE * remainingRatio} ${CIRCUMFERENCE}`}
        transform="rotate(-90 50 50)"
      />
      <text x="50" y="50" text-anchor="middle" dominant-baseline="central">
        {minutesAndSeconds(leftS)}
      </text>
    </svg>
  );
}

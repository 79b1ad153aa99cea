/** Corner that can also be moved with the keyboard. */
import type { PointNorm, StageSize } from './stage.ts';

const STEP = 0.005;
const LARGE_STEP = 0.025;
const ARROWS: Readonly<Record<string, PointNorm>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};
/** Half of 44 px, the size that a finger needs. */
const TOUCH_RADIUS_PX = 22;

interface HandleProps {
  readonly index: number;
  readonly at: PointNorm;
  readonly size: StageSize;
  readonly label: string;
  /** Describes its position, in per cent from the left and from the top. */
  readonly place: (x: number, y: number) => string;
  readonly tone?: string;
  readonly onMove: (to: PointNorm) => void;
  readonly onFocus?: () => void;
  readonly onRemove?: () => void;
  readonly onInsert?: () => void;
}

export function Handle(props: HandleProps) {
  const { index, at, size, label, place, tone, onMove, onFocus, onRemove, onInsert } = props;
  const [x, y] = at;
  const percent = (value: number): number => Math.round(value * 100);
  const onKeyDown = (event: KeyboardEvent): void => {
    const arrow = ARROWS[event.key];
    if (arrow !== undefined) {
      const step = event.shiftKey ? LARGE_STEP : STEP;
      onMove([x + arrow[0] * step, y + arrow[1] * step]);
    } else if (event.key === 'Delete' || event.key === 'Backspace') onRemove?.();
    else if (event.key === 'Insert' || event.key === '+') onInsert?.();
    else return;
    event.preventDefault();
  };
  return (
    <g
      class={`handle ${tone ?? ''}`}
      role="slider"
      tabindex={0}
      data-handle={index}
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={percent(x)}
      aria-valuetext={place(percent(x), percent(y))}
      onKeyDown={onKeyDown}
      onFocus={onFocus}
    >
      <circle class="touch" cx={x * size.w} cy={y * size.h} r={TOUCH_RADIUS_PX} />
      <circle class="knob" cx={x * size.w} cy={y * size.h} r="8" />
    </g>
  );
}

/**
 * Moves the focus to the corner that a key has created, or to the one that replaced a deleted one. It runs before the
 * next key, which may move the focus elsewhere: Preact renders changes in a microtask queued before this one.
 */
export function focusHandle(index: number): void {
  queueMicrotask(() => document.querySelector<SVGElement>(`[data-handle="${index}"]`)?.focus());
}

/** Shows the requested time as a bar: hits per slot, a mark for each hit, and gaps hatched. */
import { useSignal } from '@preact/signals';
import { useEffect, useId, useMemo, useRef } from 'preact/hooks';
import { count } from '../views/view-texts.ts';
import { trackWords } from '../words/tracks.ts';
import { type Gap, gapAt, type PlayedTrack } from './replay.ts';
import { axisMarks, slotCounts } from './rows.ts';
import { mark, moment, offsetAt } from './track-texts.ts';

const HEIGHT = 46;
const AXIS = 18;
const SLOT_PX = 9;
/** Minimum width of a gap in px, so that seconds remain visible in a day. */
const GAP_PX_MIN = 3;
const LABEL_PX = 76;

interface Props {
  readonly fromMs: number;
  readonly toMs: number;
  readonly tracks: readonly PlayedTrack[];
  readonly gaps: readonly Gap[];
  readonly chosenIndex?: number | undefined;
  readonly nowMs?: number;
  readonly onSeek?: (ms: number) => void;
}

export function TimeBar({ fromMs, toMs, tracks, gaps, chosenIndex, nowMs, onSeek }: Props) {
  const { bar } = trackWords.value;
  const box = useRef<HTMLDivElement>(null);
  const width = useSignal(0);
  const pointed = useSignal<number | undefined>(undefined);
  const id = useId();
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => {
      width.value = Math.floor(entry?.contentRect.width ?? 0);
    });
    if (box.current !== null) observer.observe(box.current);
    return () => observer.disconnect();
  }, [width]);
  const spanMs = toMs - fromMs;
  const slots = Math.max(12, Math.floor(width.value / SLOT_PX));
  const slotMs = spanMs / slots;
  const textAt = (ms: number): string => {
    const gap = gapAt(gaps, ms);
    if (gap !== undefined)
      return bar.gap(moment(gap.fromMs, spanMs), moment(gap.toMs, spanMs), trackWords.value.gaps[gap.reason]);
    const slot = Math.min(slots - 1, Math.max(0, Math.floor((ms - fromMs) / slotMs)));
    const counts = slotCounts(tracks, { fromMs, toMs }, slots);
    const start = fromMs + slot * slotMs;
    return bar.slot(moment(start, spanMs), moment(start + slotMs, spanMs), count(counts[slot] ?? 0));
  };
  const msAt = (event: PointerEvent): number => {
    const { left, width: wide } = (event.currentTarget as Element).getBoundingClientRect();
    return fromMs + Math.min(1, Math.max(0, (event.clientX - left) / wide)) * spanMs;
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const at = nowMs ?? fromMs;
    const to = {
      ArrowRight: at + slotMs,
      ArrowLeft: at - slotMs,
      ArrowUp: at + slotMs,
      ArrowDown: at - slotMs,
      PageUp: at + 10 * slotMs,
      PageDown: at - 10 * slotMs,
      Home: fromMs,
      End: toMs,
    }[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    // The screen uses the arrow keys to step between hits.
    event.stopPropagation();
    onSeek?.(to);
  };
  const isSlider = onSeek !== undefined && nowMs !== undefined;
  const pointedMs = pointed.value;
  const wide = width.value;
  // While a replay plays, only the needle is rendered again.
  const bars = useMemo(
    () =>
      wide > 0 && (
        <BarDrawing
          {...{ fromMs, toMs, tracks, gaps, chosenIndex, slots }}
          width={wide}
          hatch={`${id}-hatch`}
        />
      ),
    [fromMs, toMs, tracks, gaps, chosenIndex, slots, wide, id],
  );
  return (
    <div
      class={isSlider ? 't-bar t-seek' : 't-bar'}
      ref={box}
      {...(isSlider && {
        role: 'slider',
        tabIndex: 0,
        onKeyDown,
        'aria-label': bar.title,
        'aria-valuemin': 0,
        'aria-valuemax': 1000,
        'aria-valuenow': Math.round(((nowMs - fromMs) / spanMs) * 1000),
        'aria-valuetext': `${moment(nowMs, spanMs)}; ${textAt(nowMs)}`,
      })}
      onPointerMove={(event) => {
        pointed.value = msAt(event);
        if (event.buttons === 1) onSeek?.(msAt(event));
      }}
      onPointerLeave={() => {
        pointed.value = undefined;
      }}
      onPointerDown={(event) => {
        if (event.button === 0) onSeek?.(msAt(event));
      }}
    >
      {bars}
      {isSlider && <i class="t-now" style={{ left: `${((nowMs - fromMs) / spanMs) * 100}%` }} />}
      {pointedMs !== undefined && (
        <span
          class={gapAt(gaps, pointedMs) === undefined ? 't-tip' : 't-tip t-in-gap'}
          aria-hidden="true"
          style={{ left: `${Math.min(86, Math.max(14, ((pointedMs - fromMs) / spanMs) * 100))}%` }}
        >
          {textAt(pointedMs)}
        </span>
      )}
    </div>
  );
}

interface DrawnProps extends Omit<Props, 'nowMs' | 'onSeek'> {
  readonly width: number;
  readonly slots: number;
  readonly hatch: string;
}

function BarDrawing({ fromMs, toMs, tracks, gaps, chosenIndex, width, slots, hatch }: DrawnProps) {
  const x = (ms: number): number => ((ms - fromMs) / (toMs - fromMs)) * width;
  const counts = slotCounts(tracks, { fromMs, toMs }, slots);
  const countMax = Math.max(1, ...counts);
  const wide = width / slots;
  const marks = axisMarks(fromMs, toMs, Math.max(2, Math.floor(width / LABEL_PX)), offsetAt(fromMs));
  const stepMs = (marks[1] ?? toMs) - (marks[0] ?? fromMs);
  const chosenTrack = chosenIndex === undefined ? undefined : tracks[chosenIndex];
  return (
    <svg width={width} height={HEIGHT + AXIS} aria-hidden="true">
      <defs>
        <pattern id={hatch} width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
          <rect class="t-gap-ground" width="7" height="7" />
          <rect class="t-gap-line" width="2.5" height="7" />
        </pattern>
      </defs>
      <rect class="t-ground" width={width} height={HEIGHT} rx="4" />
      {counts.map((n, i) => {
        const high = n === 0 ? 0 : 4 + (n / countMax) * (HEIGHT - 16);
        return (
          <rect
            key={i}
            class="t-slot"
            x={i * wide + 0.5}
            y={HEIGHT - high}
            width={Math.max(1, wide - 1)}
            height={high}
          />
        );
      })}
      {gaps.map((gap) => (
        <rect
          key={gap.fromMs}
          class="t-gap"
          x={x(Math.max(fromMs, gap.fromMs))}
          width={Math.max(GAP_PX_MIN, x(Math.min(toMs, gap.toMs)) - x(Math.max(fromMs, gap.fromMs)))}
          height={HEIGHT}
          fill={`url(#${hatch})`}
        />
      ))}
      <path class="t-hits" d={tracks.map(({ atMs }) => `M${x(atMs).toFixed(1)} 0V9`).join('')} />
      {chosenTrack !== undefined && <path class="t-chosen" d={`M${x(chosenTrack.atMs)} 0V${HEIGHT}`} />}
      {marks.map((ms) => (
        <g key={ms}>
          <path class="t-tick" d={`M${x(ms)} ${HEIGHT}v4`} />
          {x(ms) > 16 && x(ms) < width - 16 && (
            <text class="t-mark" x={x(ms)} y={HEIGHT + 15} text-anchor="middle">
              {mark(ms, stepMs)}
            </text>
          )}
        </g>
      ))}
    </svg>
  );
}

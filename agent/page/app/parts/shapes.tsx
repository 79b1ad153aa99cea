/** Draws the shapes over the picture: draft, outlines and masks of the authorisation, and places of tracks. */
import type { PointNorm } from '../../../contract/geometry.ts';
import type { StageSize } from '../../../kit/stage.ts';
import { drawing, problems } from '../draft.ts';
import { type Shape, type ShapeName, sameShape, shapesOf } from '../drawing.ts';
import { labelOf, separateLabels } from '../label-layout.ts';
import { footOf, type SeenFrame } from '../rule-preview.ts';
import { authorisation } from '../store.ts';
import { words } from '../words/words.ts';
import { ShapeReasons } from './shape-reasons.tsx';

const ARROW_PX = 20;

interface ShapesProps {
  readonly size: StageSize;
  readonly selected?: ShapeName | undefined;
  /** Names of shapes whose rules would fire now. */
  readonly firing?: readonly string[];
  /** Hides names and arrows, if something else is in the foreground. */
  readonly quiet?: boolean;
  /** Shows the letters of the sides on every line, not only on the selected one. They hide names near the line. */
  readonly sides?: boolean;
}

export function Shapes({ size, selected, firing = [], quiet = false, sides = false }: ShapesProps) {
  const bad = new Set(problems.value.map(({ about, id }) => `${about}/${id}`));
  const all = shapesOf(drawing.value);
  const rest = all.filter((shape) => !sameShape(shape, selected));
  const selectedShapes = all.filter((shape) => sameShape(shape, selected));
  // The selected shape keeps its name in place; other names move.
  const labels = [...selectedShapes, ...rest].map((shape) => ({ shape, at: nameAt(shape), text: shape.id }));
  const names = new Map(separateLabels(labels, size).map(({ shape, at }) => [shape, at]));
  return (
    <g class={quiet ? 'shapes quiet-shapes' : 'shapes'}>
      <defs>
        <pattern id="hatch" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
          <rect width="8" height="8" fill="#000" />
          <rect width="3" height="8" fill="#888" />
        </pattern>
      </defs>
      {authorisation.value?.masks.map(({ id, polygon }) => (
        <polygon key={`o-${id}`} class="order-mask" points={pointsOf(polygon, size)} fill="url(#hatch)" />
      ))}
      {[...rest, ...selectedShapes].map((shape) => (
        <ShapeView
          key={`${shape.kind}-${shape.id}`}
          shape={shape}
          size={size}
          nameAt={names.get(shape) ?? nameAt(shape)}
          sides={sides || sameShape(shape, selected)}
          state={`${sameShape(shape, selected) ? ' selected' : ''}${bad.has(`${shape.kind}/${shape.id}`) ? ' bad' : ''}${
            firing.includes(shape.id) ? ' fires' : ''
          }`}
        />
      ))}
      {authorisation.value?.outlines.map(({ id, polygon }) => (
        <polygon key={`l-${id}`} class="outline" points={pointsOf(polygon, size)} />
      ))}
      {!quiet && <ShapeReasons size={size} />}
    </g>
  );
}

interface ShapeViewProps {
  readonly shape: Shape;
  readonly size: StageSize;
  readonly nameAt: PointNorm;
  readonly sides: boolean;
  readonly state: string;
}

function ShapeView({ shape, size, nameAt: at, sides, state }: ShapeViewProps) {
  const points = pointsOf(shape.points, size);
  return (
    <g class={`shape ${shape.kind}${state}`} data-shape={`${shape.kind}/${shape.id}`}>
      {shape.kind === 'line' ? (
        <>
          <polyline class="casing" points={points} />
          <polyline class="stroke" points={points} />
          <Arrows shape={shape} size={size} sides={sides} />
        </>
      ) : (
        <>
          <polygon class="casing" points={points} />
          <polygon class="stroke" points={points} />
        </>
      )}
      <Letters at={at} size={size} text={shape.id} />
    </g>
  );
}

/** Arrows to the sides of a line that its rules watch; both if no rule does. */
function Arrows({ shape, size, sides }: Pick<ShapeViewProps, 'shape' | 'size' | 'sides'>) {
  const [from, to] = shape.points.map(([x, y]) => [x * size.w, y * size.h] as const);
  if (from === undefined || to === undefined) return null;
  const length = Math.hypot(to[0] - from[0], to[1] - from[1]) || 1;
  // Points to the right of from→to, y down.
  const [nx, ny] = [-(to[1] - from[1]) / length, (to[0] - from[0]) / length];
  const [x, y] = [(from[0] + to[0]) / 2, (from[1] + to[1]) / 2];
  const directions = drawing.value.rules.flatMap((rule) =>
    'line' in rule && rule.line === shape.id ? [rule.direction] : [],
  );
  return (['left', 'right'] as const).map((side) => {
    const sign = side === 'right' ? 1 : -1;
    const watched = directions.length === 0 || directions.some((way) => way === 'both' || way === side);
    const tip = [x + sign * nx * ARROW_PX, y + sign * ny * ARROW_PX] as const;
    const base = [x + sign * nx * (ARROW_PX - 9), y + sign * ny * (ARROW_PX - 9)] as const;
    // Direction along the line.
    const [ax, ay] = [ny * 6, -nx * 6];
    const letter: PointNorm = [
      (x + sign * nx * (ARROW_PX + 10)) / size.w,
      (y + sign * ny * (ARROW_PX + 10)) / size.h,
    ];
    return (
      <g key={side} data-side={side} data-watched={watched}>
        {watched && (
          <>
            <line class="arrow" x1={x} y1={y} x2={base[0]} y2={base[1]} />
            <polygon
              class="arrow-head"
              points={`${tip.join()} ${base[0] + ax},${base[1] + ay} ${base[0] - ax},${base[1] - ay}`}
            />
          </>
        )}
        {sides && <Letters at={letter} size={size} text={words.value.zones.sides[side]} />}
      </g>
    );
  });
}

/** Text that stays readable inside the picture. */
export function Letters({ at, size, text }: { at: PointNorm; size: StageSize; text: string }) {
  const { short, x, y } = labelOf(at, size, text);
  return (
    <text class="letters" x={x} y={y} text-anchor="middle" dominant-baseline="central">
      {short}
    </text>
  );
}

export function Feet({ tracks, size }: { tracks: SeenFrame['tracks']; size: StageSize }) {
  return (
    <g class="feet">
      {tracks.map((track) => {
        const [x, y] = footOf(track);
        return <circle key={track.track} data-track={track.track} cx={x * size.w} cy={y * size.h} r="6" />;
      })}
    </g>
  );
}

function pointsOf(points: readonly PointNorm[], { w, h }: StageSize): string {
  return points.map(([x, y]) => `${x * w},${y * h}`).join(' ');
}

/** Returns the place of a shape's name. */
function nameAt({ kind, points }: Shape): PointNorm {
  return kind === 'line' ? (points[0] as PointNorm) : middleOf(points);
}

export function middleOf(points: readonly PointNorm[]): PointNorm {
  const sum = points.reduce<PointNorm>(([x, y], point) => [x + point[0], y + point[1]], [0, 0]);
  return [sum[0] / points.length, sum[1] / points.length];
}

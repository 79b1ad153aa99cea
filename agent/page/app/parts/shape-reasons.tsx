/** Signs in the picture that state why a shape is red, next to the shape. */
import type { StageSize } from '../../../kit/stage.ts';
import { drawing, problems } from '../draft.ts';
import { shapesOf } from '../drawing.ts';
import { pictureView } from '../picture-view.ts';
import type { Problem } from '../problems.ts';
import { type Area, placedSigns } from '../sign-layout.ts';
import { words } from '../words/words.ts';

export function ShapeReasons({ size }: { readonly size: StageSize }) {
  const { zoom, x, y } = pictureView.value;
  const frame: Area = { left: x * size.w, top: y * size.h, w: size.w / zoom, h: size.h / zoom };
  const signs = shapesOf(drawing.value).flatMap(({ kind, id, points }) => {
    const problem = problems.value.find((one) => one.about === kind && one.id === id);
    if (problem === undefined) return [];
    const xs = points.map((point) => point[0] * size.w);
    const ys = points.map((point) => point[1] * size.h);
    const [left, top] = [Math.min(...xs), Math.min(...ys)];
    const about = { left, top, w: Math.max(...xs) - left, h: Math.max(...ys) - top };
    return [{ name: `${kind}/${id}`, text: textOf(problem), about }];
  });
  return placedSigns(signs, frame).map(({ name, lines, area, linePx }) => (
    <g key={name} class="reason" data-reason={name}>
      <rect x={area.left} y={area.top} width={area.w} height={area.h} rx="4" />
      <text text-anchor="middle">
        {lines.map((line, i) => (
          <tspan key={line} x={area.left + area.w / 2} y={area.top + (i + 1) * linePx - 2}>
            {line}
          </tspan>
        ))}
      </text>
    </g>
  ));
}

function textOf({ code, about }: Problem): string {
  const { reasons } = words.value;
  if (code === 'outside-outline') return reasons.outside;
  return about === 'line' ? reasons.noLength : reasons.crosses;
}

/** Loupe: shows the place under a finger that drags a corner, beside the finger. */
import type { PointNorm } from '../../../contract/geometry.ts';
import type { StageSize } from '../../../kit/stage.ts';
import { placeAt } from '../../../kit/zoom.ts';
import { selected } from '../draft.ts';
import { heldCorner, pictureView } from '../picture-view.ts';
import { previewFrame } from '../preview.ts';
import { Shapes } from './shapes.tsx';

/** Diameter in CSS px: larger than a fingertip, and less than half of the smallest picture. */
const LOUPE_PX = 112;
/** Enlargement relative to the screen. */
const FACTOR = 2.5;
const CROSS_PX = 14;

export function Loupe({ size }: { readonly size: StageSize }) {
  const at = heldCorner.value;
  if (at === undefined) return null;
  const large: StageSize = { w: size.w * FACTOR, h: size.h * FACTOR };
  const [x, y] = [at[0] * large.w, at[1] * large.h];
  const [left, top] = [x - LOUPE_PX / 2, y - LOUPE_PX / 2];
  const url = previewFrame.value?.url;
  const image = { left: `${-left}px`, top: `${-top}px`, width: `${large.w}px`, height: `${large.h}px` };
  return (
    <div class={`loupe ${sideOf(at)}`} aria-hidden="true">
      {url !== undefined && <img src={url} alt="" style={image} />}
      <svg viewBox={`${left} ${top} ${LOUPE_PX} ${LOUPE_PX}`} role="presentation">
        <Shapes size={large} selected={selected.value} quiet />
        <path
          class="cross"
          d={`M${x - CROSS_PX},${y}H${x + CROSS_PX}M${x},${y - CROSS_PX}V${y + CROSS_PX}`}
        />
      </svg>
    </div>
  );
}

/** Side of the frame opposite to the finger. */
function sideOf([x, y]: PointNorm): 'left' | 'right' {
  const view = pictureView.value;
  const [middleX] = placeAt(view, [0.5, y]);
  return x > middleX ? 'left' : 'right';
}

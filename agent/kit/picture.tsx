/**
 * Picture with shapes over it. The layer of shapes is wider than the picture by a gutter, so that a finger can take
 * shapes on the picture's edge. A missing picture is replaced by its reason, above the shapes.
 */
import { useSignal } from '@preact/signals';
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { GUTTER_PX, type StageSize } from './stage.ts';
import { type PictureView, WHOLE_PICTURE } from './zoom.ts';

interface PictureProps {
  readonly url: string | undefined;
  /** Width divided by height. */
  readonly aspect: number;
  /** Reason why there is no picture. */
  readonly message: string | undefined;
  readonly label: string;
  /** A finger on it draws, and does not scroll the page. */
  readonly editing: boolean;
  /** Visible part; the whole picture by default. */
  readonly view?: PictureView;
  /** Receives the size of the whole picture, which is larger than the frame if it is enlarged. */
  readonly children: (size: StageSize) => ComponentChildren;
  readonly pointer?: (size: StageSize) => Partial<JSX.IntrinsicElements['svg']>;
  /** Content over the frame, in HTML. */
  readonly overlay?: (size: StageSize) => ComponentChildren;
}

export function Picture(props: PictureProps) {
  const { url, aspect, message, label, editing, view = WHOLE_PICTURE, children, pointer, overlay } = props;
  const frame = useRef<HTMLDivElement>(null);
  const size = useSignal<StageSize>({ w: 0, h: 0 });
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => {
      if (entry !== undefined) size.value = { w: entry.contentRect.width, h: entry.contentRect.height };
    });
    if (frame.current !== null) observer.observe(frame.current);
    return () => observer.disconnect();
  }, [size]);
  const { w, h } = size.value;
  const wholeSize: StageSize = { w: w * view.zoom, h: h * view.zoom };
  const [left, top] = [view.x * wholeSize.w, view.y * wholeSize.h];
  const box = `${left - GUTTER_PX} ${top - GUTTER_PX} ${w + 2 * GUTTER_PX} ${h + 2 * GUTTER_PX}`;
  const isEmpty = url === undefined;
  return (
    <div class={`stage${isEmpty ? ' without' : ''}${editing ? ' editing' : ''}`}>
      <div
        class="stage-frame"
        ref={frame}
        style={{ aspectRatio: String(aspect), '--aspect': String(aspect) }}
      >
        {!isEmpty && (
          <div class="stage-clip">
            <img src={url} alt="" style={imageStyle(view)} />
          </div>
        )}
        {w > 0 && (
          // biome-ignore lint/a11y/useSemanticElements: nothing but SVG can draw it
          <svg class="stage-shapes" viewBox={box} role="group" aria-label={label} {...pointer?.(wholeSize)}>
            {children(wholeSize)}
          </svg>
        )}
        {w > 0 && overlay?.(wholeSize)}
        <p class="stage-message" role="status">
          {isEmpty ? message : ''}
        </p>
      </div>
    </div>
  );
}

function imageStyle({ zoom, x, y }: PictureView): JSX.CSSProperties {
  const percent = (ratio: number): string => `${100 * ratio}%`;
  return { width: percent(zoom), height: percent(zoom), left: percent(-x * zoom), top: percent(-y * zoom) };
}

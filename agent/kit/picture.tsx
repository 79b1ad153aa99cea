/**
 * Picture with shapes over it. The layer of shapes is wider than the picture by a gutter, so that a finger can take
 * shapes on the picture's edge. A missing picture is replaced by its reason, above the shapes.
 */
import { useSignal } from '@preact/signals';
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { GUTTER_PX, type StageSize } from './stage.ts';

interface PictureProps {
  readonly url: string | undefined;
  /** Width divided by height. */
  readonly aspect: number;
  /** Reason why there is no picture. */
  readonly message: string | undefined;
  readonly label: string;
  /** A finger on it draws, and does not scroll the page. */
  readonly editing: boolean;
  readonly children: (size: StageSize) => ComponentChildren;
  readonly pointer?: (size: StageSize) => Partial<JSX.IntrinsicElements['svg']>;
}

export function Picture({ url, aspect, message, label, editing, children, pointer }: PictureProps) {
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
  const box = `${-GUTTER_PX} ${-GUTTER_PX} ${w + 2 * GUTTER_PX} ${h + 2 * GUTTER_PX}`;
  const isEmpty = url === undefined;
  return (
    <div class={`stage${isEmpty ? ' without' : ''}${editing ? ' editing' : ''}`}>
      <div class="stage-frame" ref={frame} style={{ aspectRatio: String(aspect) }}>
        {!isEmpty && <img src={url} alt="" />}
        {w > 0 && (
          // biome-ignore lint/a11y/useSemanticElements: nothing but SVG can draw it
          <svg class="stage-shapes" viewBox={box} role="group" aria-label={label} {...pointer?.(size.value)}>
            {children(size.value)}
          </svg>
        )}
        <p class="stage-message" role="status">
          {isEmpty ? message : ''}
        </p>
      </div>
    </div>
  );
}

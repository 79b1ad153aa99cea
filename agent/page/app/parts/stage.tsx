/** Live picture with the drawing over it, or the reason why there is none. */
import type { ComponentChildren } from 'preact';
import { useEffect } from 'preact/hooks';
import type { PointNorm } from '../../../contract/geometry.ts';
import { Button } from '../../../kit/controls.tsx';
import { Picture } from '../../../kit/picture.tsx';
import type { StageSize } from '../../../kit/stage.ts';
import { placeAt, WHOLE_PICTURE, ZOOM_MAX } from '../../../kit/zoom.ts';
import { pictureView, zoomIn, zoomOut } from '../picture-view.ts';
import { aspect, hasEnded, noPicture, previewFrame, restartPreview } from '../preview.ts';
import { number, words } from '../words/words.ts';
import { type dragging, releaseFingers } from './dragging.ts';
import { Loupe } from './loupe.tsx';

interface StageProps {
  readonly pointer?: ReturnType<typeof dragging>;
  /** Place around which the zoom buttons enlarge; the middle of the visible part by default. */
  readonly zoomPlace?: PointNorm | undefined;
  readonly children: (size: StageSize) => ComponentChildren;
}

export function Stage({ pointer, zoomPlace, children }: StageProps) {
  const drawing = pointer && { pointer, overlay: (size: StageSize) => <Loupe size={size} /> };
  useEffect(() => releaseFingers, []);
  return (
    <>
      <Picture
        url={previewFrame.value?.url}
        aspect={aspect.value}
        message={noPicture.value}
        label={words.value.zones.picture}
        editing={pointer !== undefined}
        view={pointer === undefined ? WHOLE_PICTURE : pictureView.value}
        {...drawing}
      >
        {children}
      </Picture>
      {pointer !== undefined && <Zoom zoomPlace={zoomPlace} />}
      {hasEnded.value && (
        <Button id="look-again" onClick={restartPreview}>
          {words.value.retry}
        </Button>
      )}
    </>
  );
}

/** Buttons for those who cannot use two fingers. */
function Zoom({ zoomPlace }: Pick<StageProps, 'zoomPlace'>) {
  const { picture } = words.value;
  const { zoom } = pictureView.value;
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset would have a frame and a legend
    <div class="zoom" role="group" aria-label={picture.zoom}>
      <Button id="zoom-out" aria-label={picture.zoomOut} disabled={zoom <= 1} onClick={zoomOut}>
        −
      </Button>
      <output>{number(zoom, 1)}×</output>
      <Button
        id="zoom-in"
        aria-label={picture.zoomIn}
        disabled={zoom >= ZOOM_MAX}
        onClick={() => zoomIn(zoomPlace ?? placeAt(pictureView.value, [0.5, 0.5]))}
      >
        +
      </Button>
    </div>
  );
}

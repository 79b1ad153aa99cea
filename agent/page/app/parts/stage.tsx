/** Live picture with the drawing over it, or the reason why there is none. */
import type { ComponentChildren } from 'preact';
import { Button } from '../../../kit/controls.tsx';
import { Picture } from '../../../kit/picture.tsx';
import type { StageSize } from '../../../kit/stage.ts';
import { aspect, hasEnded, noPicture, previewFrame, restartPreview } from '../preview.ts';
import { words } from '../words/words.ts';
import type { dragging } from './dragging.ts';

interface StageProps {
  readonly pointer?: ReturnType<typeof dragging>;
  readonly children: (size: StageSize) => ComponentChildren;
}

export function Stage({ pointer, children }: StageProps) {
  return (
    <>
      <Picture
        url={previewFrame.value?.url}
        aspect={aspect.value}
        message={noPicture.value}
        label={words.value.zones.picture}
        editing={pointer !== undefined}
        {...(pointer !== undefined && { pointer })}
      >
        {children}
      </Picture>
      {hasEnded.value && (
        <Button id="look-again" onClick={restartPreview}>
          {words.value.retry}
        </Button>
      )}
    </>
  );
}

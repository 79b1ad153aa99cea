/** Picture on the screens of a running trial and of a running walk test, which have none of their own. */
import { previewFrame, wantsPicture } from '../preview.ts';
import { PICTURE_SCREENS } from '../screens.ts';
import { screen } from '../store.ts';
import { Feet, Shapes } from './shapes.tsx';
import { Stage } from './stage.tsx';

export function BesidePicture() {
  if (!wantsPicture.value || PICTURE_SCREENS.includes(screen.value)) return null;
  return (
    <Stage>
      {(size) => (
        <>
          <Shapes size={size} />
          <Feet tracks={previewFrame.value?.tracks ?? []} size={size} />
        </>
      )}
    </Stage>
  );
}

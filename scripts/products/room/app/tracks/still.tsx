/** Provides the picture of a view: the newest still in the room, or one requested from the box. */
import { signal } from '@preact/signals';
import { Button } from '../../../../../agent/kit/controls.tsx';
import { may } from '../session.ts';
import { timeText } from '../views/view-texts.ts';
import { trackWords } from '../words/tracks.ts';
import { type AnsweredView, askedStill, asking, askStill } from './question.ts';

/** URLs that the browser could not load. */
const broken = signal<ReadonlySet<string>>(new Set());

interface Still {
  readonly url: string;
  readonly at: string;
}

/** Returns the still, or undefined for an empty frame. */
export function stillOf(view: AnsweredView | undefined, box: string): Still | undefined {
  if (view === undefined) return undefined;
  const requestedStill = askedStill.value;
  if (requestedStill !== undefined && requestedStill.box === box && requestedStill.view === view.view)
    return requestedStill;
  if (view.still === null || !may('see-still')) return undefined;
  const { incident, moment, at } = view.still;
  const url = `/api/incidents/${incident}/stills/${encodeURIComponent(moment)}`;
  return broken.value.has(url) ? undefined : { url, at };
}

export function onBroken(url: string): void {
  broken.value = new Set([...broken.value, url]);
}

interface Props {
  readonly view: AnsweredView;
  readonly box: string;
  /** Offers to request a still. */
  readonly canAsk?: boolean;
}

/** Shows the date of the picture, or why there is none. */
export function StillNote({ view, box, canAsk = false }: Props) {
  const { views } = trackWords.value;
  const still = stillOf(view, box);
  if (still !== undefined) return <p class="quiet t-still-note">{views.still(timeText(still.at))}</p>;
  const requestedStill = askedStill.value;
  const isOther =
    requestedStill !== undefined && requestedStill.box === box && requestedStill.view !== view.view;
  return (
    <p class="quiet t-still-note">
      {view.still === null || !may('see-still') ? views.noStill : views.brokenStill}{' '}
      {isOther && views.otherView}
      {canAsk && !isOther && view.to === null && (
        <Button disabled={asking.value !== undefined} onClick={() => void askStill()}>
          {asking.value === 'still' ? views.askingStill : views.askStill}
        </Button>
      )}
    </p>
  );
}

/** Shows the view with the line or area of the query, drawn by pointer or keyboard. */
import { signal } from '@preact/signals';
import type { PointNorm } from '../../../../../agent/contract/geometry.ts';
import { Button, Choice, Field } from '../../../../../agent/kit/controls.tsx';
import { middles } from '../../../../../agent/kit/drag-handle.ts';
import { focusHandle, Handle } from '../../../../../agent/kit/handle.tsx';
import { Picture } from '../../../../../agent/kit/picture.tsx';
import type { StageSize } from '../../../../../agent/kit/stage.ts';
import { trackWords } from '../words/tracks.ts';
import {
  type Deed,
  type Direction,
  type DrawnPlace,
  isInvalid,
  isLasting,
  placed,
  withCorner,
  withInserted,
  withoutCorner,
} from './drawn-place.ts';
import { pointing } from './pointing.ts';
import { type AnsweredView, drawnPlace, wasTried } from './question.ts';
import { PlaceShape } from './shape.tsx';
import { onBroken, StillNote, stillOf } from './still.tsx';

/** Index of the corner with the keyboard focus. */
const corner = signal(0);
/** Maximum duration in s, as in the query's schema. */
const AT_LEAST_MAX = 86_400;

interface Props {
  readonly view: AnsweredView;
  readonly box: string;
}

export function DrawingPicture({ view, box }: Props) {
  const { drawing } = trackWords.value;
  const still = stillOf(view, box);
  const place = drawnPlace.value;
  return (
    <div
      class="t-drawing"
      style={{ '--aspect': String(view.widthToHeight) }}
      onErrorCapture={() => {
        if (still !== undefined) onBroken(still.url);
      }}
    >
      <Picture
        url={still?.url}
        aspect={view.widthToHeight}
        message={undefined}
        label={drawing.picture}
        editing={place !== undefined}
        pointer={pointing}
      >
        {(size) =>
          place !== undefined && (
            <>
              <PlaceShape place={place} size={size} />
              <Corners place={place} size={size} />
            </>
          )
        }
      </Picture>
      <StillNote view={view} box={box} canAsk />
    </div>
  );
}

function put(next: DrawnPlace): void {
  drawnPlace.value = next;
}

function Corners({ place, size }: { readonly place: DrawnPlace; readonly size: StageSize }) {
  const { drawing } = trackWords.value;
  const { kind, points } = place;
  const cornerCount = points.length;
  return (
    <>
      {kind === 'area' &&
        middles(points).map(([x, y], i) => (
          <circle key={i} class="t-middle" cx={x * size.w} cy={y * size.h} r="5" />
        ))}
      {points.map((at, i) => (
        <Handle
          key={i}
          index={i}
          at={at}
          size={size}
          tone={corner.value === i ? 'active' : ''}
          label={kind === 'line' ? drawing.end(i + 1) : drawing.corner(i + 1, cornerCount)}
          place={drawing.place}
          onMove={(to) => put(withCorner(place, i, to))}
          onFocus={() => {
            corner.value = i;
          }}
          onInsert={() => insertAfter(place, i)}
          onRemove={() => remove(place, i)}
        />
      ))}
    </>
  );
}

function insertAfter(place: DrawnPlace, index: number): void {
  const at: PointNorm | undefined = middles(place.points)[index];
  if (at === undefined) return;
  put(withInserted(place, index, at));
  focusHandle(Math.min(drawnPlace.value?.points.length ?? 1, index + 2) - 1);
}

function remove(place: DrawnPlace, index: number): void {
  put(withoutCorner(place, index));
  focusHandle(Math.min(index, (drawnPlace.value?.points.length ?? 1) - 1));
}

const KINDS = ['none', 'line', 'area'] as const;

/** Fields for the kind of place and its condition. */
export function PlaceFields() {
  const { drawing } = trackWords.value;
  const place = drawnPlace.value;
  const kind = place?.kind ?? 'none';
  return (
    <section class="t-place" aria-label={drawing.title}>
      <fieldset class="t-joined" aria-label={drawing.title}>
        {KINDS.map((one) => (
          <button
            key={one}
            type="button"
            class="button d-small"
            aria-pressed={kind === one}
            onClick={() => {
              if (one !== kind) drawnPlace.value = one === 'none' ? undefined : placed(one);
            }}
          >
            {drawing.kinds[one]}
          </button>
        ))}
      </fieldset>
      <p class="hint">{drawing.hints[kind]}</p>
      {place !== undefined && isInvalid(place) && (
        <p class="fault" role="alert">
          {drawing.invalid[place.kind]}
        </p>
      )}
      {place?.kind === 'line' && <LineFields place={place} />}
      {place?.kind === 'area' && <AreaFields place={place} />}
    </section>
  );
}

function LineFields({ place }: { readonly place: DrawnPlace }) {
  const { drawing } = trackWords.value;
  const ways: readonly Direction[] = ['both', 'left', 'right'];
  return (
    <Choice
      name="direction"
      label={drawing.direction}
      hint={drawing.directionHint}
      value={place.direction}
      options={ways.map((way) => [way, drawing.directions[way]])}
      onChoose={(direction) => put({ ...place, direction: direction as Direction })}
    />
  );
}

function AreaFields({ place }: { readonly place: DrawnPlace }) {
  const { drawing } = trackWords.value;
  const deeds: readonly Deed[] = ['enters', 'leaves', 'stays', 'stops'];
  const isBad = !Number.isInteger(place.atLeastS) || place.atLeastS < 0 || place.atLeastS > AT_LEAST_MAX;
  return (
    <>
      <Choice
        name="does"
        label={drawing.does}
        value={place.does}
        options={deeds.map((deed) => [deed, drawing.deeds[deed]])}
        onChoose={(does) => put({ ...place, does: does as Deed })}
      />
      {isLasting(place.does) && (
        <Field
          name="at-least"
          type="number"
          min={0}
          max={AT_LEAST_MAX}
          step={1}
          label={drawing.atLeast}
          problem={wasTried.value && isBad ? drawing.atLeastProblem : undefined}
          value={Number.isNaN(place.atLeastS) ? '' : place.atLeastS}
          onText={(text) => put({ ...place, atLeastS: text === '' ? Number.NaN : Number(text) })}
        />
      )}
      <p class="t-acts">
        <Button onClick={() => insertAfter(place, Math.min(corner.value, place.points.length - 1))}>
          {drawing.addCorner}
        </Button>
        <Button
          disabled={place.points.length <= 3}
          onClick={() => remove(place, Math.min(corner.value, place.points.length - 1))}
        >
          {drawing.removeCorner}
        </Button>
      </p>
    </>
  );
}

/** Aim screen: shows whether people are large enough for the detector, and sets the ground plane from two of them. */
import { computed, signal } from '@preact/signals';
import type { PointNorm } from '../../../contract/geometry.ts';
import { Check, Notice } from '../../../kit/controls.tsx';
import { rounded } from '../../../kit/drag-handle.ts';
import { Handle } from '../../../kit/handle.tsx';
import type { StageSize } from '../../../kit/stage.ts';
import { change, dragged, drawing } from '../draft.ts';
import {
  handlesOf,
  heightGaugeVerdict,
  horizonOf,
  type MarkedPerson,
  PEOPLE,
  peopleProblem,
  personPx,
  withHandle,
} from '../height-gauge.ts';
import { type Draggable, dragging } from '../parts/dragging.ts';
import { Letters, Shapes } from '../parts/shapes.tsx';
import { Stage } from '../parts/stage.tsx';
import { reveal } from '../picture-view.ts';
import { aspect } from '../preview.ts';
import { agent } from '../store.ts';
import { words } from '../words/words.ts';

/** Places of the height gauges while they do not define a ground plane. */
const loose = signal<readonly MarkedPerson[]>(PEOPLE);
const people = computed(() => drawing.value.groundPlane?.people ?? loose.value);

/** A drag is one undo step, not one for each pixel. */
function put(next: readonly MarkedPerson[], isDone: boolean): void {
  loose.value = next;
  const { groundPlane } = drawing.value;
  if (groundPlane === null) return;
  const nextDrawing = { ...drawing.value, groundPlane: { ...groundPlane, people: [...next] } };
  dragged.value = isDone ? undefined : nextDrawing;
  if (isDone) change(nextDrawing);
}

/** Places before the present drag. */
let before: readonly MarkedPerson[] = PEOPLE;

const heightGauges: Draggable = {
  get points() {
    return handlesOf(people.value);
  },
  withMiddles: false,
  holds: () => false,
  insert: () => false,
  take: (corner) => {
    before = people.value;
    document.querySelector<SVGElement>(`[data-handle="${corner}"]`)?.focus();
  },
  moveCorner: (corner, to) => put(withHandle(people.value, corner, rounded(to)), false),
  moveAll: () => undefined,
  drop: () => put(people.value, true),
  cancel: () => {
    loose.value = before;
    dragged.value = undefined;
  },
};
const pointer = dragging(
  () => heightGauges,
  () => undefined,
);

export function AimScreen() {
  const { aim, people: problemTexts } = words.value;
  const problem = peopleProblem(people.value);
  const isUsed = drawing.value.groundPlane !== null;
  return (
    <>
      <p>{aim.intro}</p>
      <Stage pointer={pointer}>
        {(size) => (
          <>
            <Shapes size={size} quiet />
            <Horizon size={size} />
            {people.value.map((person, i) => (
              <HeightGauge key={i} person={person} size={size} name={i === 0 ? 'A' : 'B'} />
            ))}
            {handlesOf(people.value).map((at, i) => (
              <HeightGaugeHandle key={i} index={i} at={at} size={size} />
            ))}
          </>
        )}
      </Stage>
      <div role="status">
        {people.value.map((person, i) => (
          <Tall key={i} person={person} name={i === 0 ? aim.near : aim.far} />
        ))}
      </div>
      <p class="hint">{aim.instruction}</p>
      <Check
        label={aim.ground}
        checked={isUsed}
        onCheck={(checked) =>
          change({ ...drawing.value, groundPlane: checked ? { people: [...people.value] } : null })
        }
      />
      {isUsed && problem !== undefined && <Notice tone="bad">{problemTexts[problem]}</Notice>}
    </>
  );
}

function Tall({ person, name }: { readonly person: MarkedPerson; readonly name: string }) {
  const { aim, heightGauge } = words.value;
  const input = agent.value?.detectorInputPx;
  if (input === undefined) return null;
  const picture = { widthPx: Math.round(1000 * aspect.value), heightPx: 1000 };
  const px = personPx(person, picture, { widthPx: input[0], heightPx: input[1] });
  const verdict = heightGaugeVerdict(px);
  return (
    <Notice tone={verdict === 'too-small' ? 'bad' : verdict === 'enough' ? 'warn' : 'good'}>
      <strong>{name}</strong> {aim.tall(Math.round(px))} – {heightGauge[verdict]}
    </Notice>
  );
}

function Horizon({ size }: { readonly size: StageSize }) {
  const y = horizonOf(people.value);
  if (y === undefined || y < 0 || y > 1) return null;
  return (
    <g class="horizon">
      <line x1="0" y1={y * size.h} x2={size.w} y2={y * size.h} />
      <Letters at={[0.85, y]} size={size} text={words.value.aim.horizon} />
    </g>
  );
}

interface HeightGaugeProps {
  readonly person: MarkedPerson;
  readonly size: StageSize;
  readonly name: string;
}

function HeightGauge({ person: { head, feet }, size: { w, h }, name }: HeightGaugeProps) {
  const ends = { x1: head[0] * w, y1: head[1] * h, x2: feet[0] * w, y2: feet[1] * h };
  const labelPoint: PointNorm = [(head[0] + feet[0]) / 2 + 16 / w, (head[1] + feet[1]) / 2];
  return (
    <g class="ruler">
      <line class="casing" {...ends} />
      <line class="stroke" {...ends} />
      <Letters at={labelPoint} size={{ w, h }} text={name} />
    </g>
  );
}

function HeightGaugeHandle({ index, at, size }: { index: number; at: PointNorm; size: StageSize }) {
  const { aim } = words.value;
  const name = `${index < 2 ? aim.near : aim.far}, ${index % 2 === 0 ? aim.head : aim.feet}`;
  return (
    <Handle
      index={index}
      at={at}
      size={size}
      label={name}
      place={words.value.zones.place}
      onMove={(to) => put(withHandle(people.value, index, rounded(to)), true)}
      onFocus={() => reveal(at)}
    />
  );
}

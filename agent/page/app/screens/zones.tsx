/** Zones screen: zones, lines and masks, drawn with a finger or with keys. */
import { computed, signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { PointNorm } from '../../../contract/geometry.ts';
import { Button, Field, Notice } from '../../../kit/controls.tsx';
import { hasCloseCorners, middles, rounded, sidesFrom } from '../../../kit/drag-handle.ts';
import { focusHandle, Handle } from '../../../kit/handle.tsx';
import type { StageSize } from '../../../kit/stage.ts';
import { change, drawing, history, problems, redo, ruleFields, selected, undo } from '../draft.ts';
import {
  added,
  CORNERS_MAX,
  freeName,
  removed,
  renamed,
  type Shape,
  type ShapeKind,
  sameShape,
  shapesOf,
  withCorner,
  withInserted,
  withoutCorner,
  withPoints,
} from '../drawing.ts';
import { dragging, SIDE_PX_MIN } from '../parts/dragging.ts';
import { middleOf, Shapes } from '../parts/shapes.tsx';
import { Stage } from '../parts/stage.tsx';
import { reveal } from '../picture-view.ts';
import { watchesLine } from '../rule-fields.ts';
import { authorisation } from '../store.ts';
import { words } from '../words/words.ts';
import { corner, editable, selectedShape, tapped } from './zones-drag.ts';

const pointer = dragging(editable, tapped);

export function ZonesScreen() {
  const { zones } = words.value;
  return (
    <>
      <p>{zones.intro}</p>
      <Stage pointer={pointer} zoomPlace={placeOfInterest()}>
        {(size) => (
          <>
            <Shapes size={size} selected={selected.value} sides />
            <Handles size={size} />
          </>
        )}
      </Stage>
      {isCrowded.value && <p class="hint">{zones.cornersClose}</p>}
      <div class="row">
        <Button id="undo" disabled={history.value.past.length === 0} onClick={undo}>
          ↶ {zones.undo}
        </Button>
        <Button id="redo" disabled={history.value.future.length === 0} onClick={redo}>
          ↷ {zones.redo}
        </Button>
      </div>
      <List />
      <Panel />
      {drawing.value.masks.length > 0 && <p class="hint">{zones.maskNote}</p>}
      {authorisation.value !== null && <p class="hint">{zones.authorisationNote}</p>}
      <p class="hint">{zones.keys}</p>
    </>
  );
}

/** Selected corner, or the middle of the selected shape. */
function placeOfInterest(): PointNorm | undefined {
  const points = selectedShape.value?.points;
  return points === undefined ? undefined : (points[corner.value ?? -1] ?? middleOf(points));
}

/** True if two corners of the selected shape are too close for a finger. Written while the picture is drawn. */
const isCrowded = signal(false);

function Handles({ size }: { readonly size: StageSize }) {
  const shape = selectedShape.value;
  const crowded = shape !== undefined && hasCloseCorners(shape.points, size);
  useEffect(() => {
    isCrowded.value = crowded;
  }, [crowded]);
  if (shape === undefined) return null;
  const name = `${words.value.shapes[shape.kind]} ${shape.id}`;
  const { zones } = words.value;
  const cornerCount = shape.points.length;
  return (
    <>
      {shape.kind !== 'line' &&
        cornerCount < CORNERS_MAX &&
        sidesFrom(shape.points, size, SIDE_PX_MIN).map((i) => {
          const [x, y] = middles(shape.points)[i] as PointNorm;
          return (
            <circle key={`m${i}`} class="middle" data-middle={i} cx={x * size.w} cy={y * size.h} r="6" />
          );
        })}
      {shape.points.map((at, i) => (
        <Handle
          key={i}
          index={i}
          at={at}
          size={size}
          tone={corner.value === i ? 'active' : ''}
          label={shape.kind === 'line' ? zones.end(name, i + 1) : zones.corner(name, i + 1, cornerCount)}
          place={zones.place}
          onMove={(to) => change(withPoints(drawing.value, shape, withCorner(shape, i, rounded(to))))}
          onFocus={() => {
            corner.value = i;
            reveal(at);
          }}
          onRemove={() => removeCorner(shape, i)}
          onInsert={() => insertCorner(shape, i)}
        />
      ))}
    </>
  );
}

function removeCorner(shape: Shape, index: number): void {
  change(withPoints(drawing.value, shape, withoutCorner(shape, index)));
  focusHandle(Math.min(index, (selectedShape.value?.points.length ?? 1) - 1));
}

function insertCorner(shape: Shape, after: number): void {
  const at = middles(shape.points)[after];
  if (at === undefined || shape.points.length >= CORNERS_MAX || shape.kind === 'line') return;
  change(withPoints(drawing.value, shape, withInserted(shape, after, at)));
  focusHandle(after + 1);
}

function List() {
  const { zones, shapes } = words.value;
  const bad = new Set(problems.value.map(({ about, id }) => `${about}/${id}`));
  return (
    <section aria-label={zones.list}>
      <div class="chips">
        {shapesOf(drawing.value).map((shape) => (
          <Button
            key={`${shape.kind}/${shape.id}`}
            data-chip={`${shape.kind}/${shape.id}`}
            aria-pressed={sameShape(shape, selected.value)}
            onClick={() => {
              selected.value = { kind: shape.kind, id: shape.id };
              corner.value = undefined;
            }}
          >
            {bad.has(`${shape.kind}/${shape.id}`) && <span aria-hidden="true">⚠ </span>}
            {shapes[shape.kind]} {shape.id}
          </Button>
        ))}
      </div>
      <div class="row">
        {(['zone', 'line', 'mask'] as const).map((kind) => (
          <Button key={kind} data-add={kind} onClick={() => add(kind)}>
            {zones.add[kind]}
          </Button>
        ))}
      </div>
    </section>
  );
}

/** Adds a shape under a name of the authorisation that is not drawn yet, if there is one. */
function add(kind: ShapeKind): void {
  const authorisedIds = authorisation.value?.rules.flatMap((rule) =>
    rule.zones === 'all' || watchesLine(ruleFields, rule.kind) !== (kind === 'line') ? [] : rule.zones,
  );
  const id = freeName(drawing.value, kind, kind === 'mask' ? [] : (authorisedIds ?? []));
  const next = added(drawing.value, { kind, id });
  if (next === undefined) return;
  change(next);
  selected.value = { kind, id };
  corner.value = undefined;
}

const typedName = signal<{ of: string; text: string } | undefined>(undefined);
const nameText = computed(() => {
  const id = selected.value?.id ?? '';
  return typedName.value?.of === id ? typedName.value.text : id;
});

function Panel() {
  const shape = selectedShape.value;
  if (shape === undefined) return null;
  const { zones, problems: texts } = words.value;
  const against = problems.value.filter(({ about, id }) => about === shape.kind && id === shape.id);
  const index = corner.value;
  return (
    <section class="panel" id="shape-panel">
      <div role="status">
        {against.length === 0 && authorisation.value !== null && <Notice tone="good">{zones.allowed}</Notice>}
        {against.map(({ code }) => (
          <Notice key={code} tone="bad">
            {shape.id}: {texts[code]}
          </Notice>
        ))}
        {shape.points.length >= CORNERS_MAX && <Notice tone="info">{zones.cornersMax}</Notice>}
      </div>
      <Field
        label={zones.name}
        name="shape-name"
        value={nameText.value}
        maxLength={32}
        autocapitalize="none"
        autocomplete="off"
        problem={nameText.value === shape.id ? undefined : zones.nameProblem}
        onText={(text) => rename(shape, text)}
      />
      <div class="row">
        {shape.kind === 'line' ? (
          <Button
            id="swap"
            onClick={() => change(withPoints(drawing.value, shape, [...shape.points].reverse()))}
          >
            {zones.swap}
          </Button>
        ) : (
          <Button
            id="remove-corner"
            disabled={index === undefined || shape.points.length <= 3}
            onClick={() => removeCorner(shape, index ?? 0)}
          >
            {zones.removeCorner}
          </Button>
        )}
        <Button
          id="delete"
          tone="danger"
          onClick={() => {
            change(removed(drawing.value, shape));
            selected.value = undefined;
          }}
        >
          {zones.remove}
        </Button>
      </div>
    </section>
  );
}

function rename(shape: Shape, text: string): void {
  const next = renamed(drawing.value, shape, text);
  if (next === undefined) {
    typedName.value = { of: shape.id, text };
    return;
  }
  typedName.value = undefined;
  change(next);
  selected.value = { kind: shape.kind, id: text };
}

/**
 * Renders the map: one path for all streets, one node per camera, and a view that moves by mouse, wheel and keyboard.
 */
import { computed, signal, useSignal } from '@preact/signals';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import type { Condition } from '../../contract/terms.ts';
import { viewWords } from '../words/views.ts';
import { fleet, rankOf } from './fleet.ts';
import type { CityMap, MapCamera } from './geo.ts';
import type { OpenAt } from './open-alerts.ts';
import { centred, cityView, panned, type View, zoomed } from './view.ts';
import { plain } from './view-texts.ts';

/** Camera (`site/box`) under the pointer, or of the focused row. */
export const pointed = signal<string | undefined>(undefined);

const map = signal<CityMap | undefined>(undefined);
const fullView = computed(() => cityView(map.value?.width ?? 1, map.value?.height ?? 1));
const currentView = signal<View | undefined>(undefined);
const view = computed(() => currentView.value ?? fullView.value);

/**
 * Conditions by camera. The object changes only if one of them does: reports of 1,500 boxes come all the time, and
 * nearly all leave the drawing as it is.
 */
const conditions = computed<ReadonlyMap<string, Condition>>(() => {
  const next = new Map([...(fleet.value ?? [])].map(([key, { condition }]) => [key, condition] as const));
  const isSame =
    next.size === lastConditions.size &&
    [...next].every(([key, condition]) => lastConditions.get(key) === condition);
  if (!isSame) lastConditions = next;
  return lastConditions;
});
let lastConditions: ReadonlyMap<string, Condition> = new Map();

const KEY_STEP = 0.15;
const ZOOM_STEP = 1.5;
/** Zoom exponent per pixel of the wheel; one notch (about 100) is slightly less than ZOOM_STEP. */
const WHEEL_RATIO = 0.003;
/** Movement in px that still counts as a click. */
const CLICK_PX = 4;
/** Zoom factor from which many names are drawn; below it they would overlap. */
const NAMES_FROM = 1.4;
/** Number of names that do not overlap in the whole map. */
const NAMES_FEW = 12;

/** Shapes as in desk.css, in units of about a pixel around the centre. */
const FORMS: Readonly<Record<Condition, string>> = {
  offline: 'M-6-3.5-3.5-6 0-2.5 3.5-6 6-3.5 2.5 0 6 3.5 3.5 6 0 2.5-3.5 6-6 3.5-2.5 0Z',
  blind: 'M-6 0a6 6 0 1 0 12 0a6 6 0 1 0-12 0M-3 0a3 3 0 1 1 6 0a3 3 0 1 1-6 0',
  suspended: 'M-5-5.5h3.6v11h-3.6ZM1.4-5.5h3.6v11h-3.6Z',
  impaired: 'M0-6 6.5 5.5-6.5 5.5Z',
  ending: 'M-5.5-6H5.5L0 0 5.5 6H-5.5L0 0Z',
  well: 'M-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0',
};

/** Centres the map on a camera, unless the whole map is visible. */
export function near(key: string): void {
  const place = map.value?.cameras.find((camera) => camera.key === key);
  if (place !== undefined && currentView.value !== undefined)
    currentView.value = centred(currentView.value, fullView.value, place.x, place.y);
}

interface Props {
  readonly map: CityMap;
  readonly open: OpenAt;
  /** Marked cameras: those of the selected line. */
  readonly chosenKeys: ReadonlySet<string>;
  readonly onPick: (key: string) => void;
}

export function MapView({ map: cityPlan, open, chosenKeys, onPick }: Props) {
  const { plan } = viewWords.value;
  const svg = useRef<SVGSVGElement>(null);
  useEffect(() => {
    map.value = cityPlan;
    currentView.value = undefined;
  }, [cityPlan]);
  useHand(svg, onPick);
  const size = useSize(svg);
  const by = (factor: number) => {
    const { x, y, width, height } = view.value;
    currentView.value = zoomed(view.value, fullView.value, factor, x + width / 2, y + height / 2);
  };
  return (
    <div class="d-map">
      <svg
        ref={svg}
        role="img"
        aria-label={plan.svg}
        tabindex={0}
        viewBox={`${view.value.x} ${view.value.y} ${view.value.width} ${view.value.height}`}
        style={{ '--unit': String(unit(view.value, size)) }}
        onKeyDown={(event) => {
          if (key(event.key, by)) event.preventDefault();
        }}
      >
        <Ground map={cityPlan} />
        {hasNames(cityPlan) && <Names map={cityPlan} />}
        <Markers cameras={cityPlan.cameras} open={open} />
        <ChosenMarks cameras={cityPlan.cameras} chosenKeys={chosenKeys} />
      </svg>
      <div class="d-map-zoom">
        <button type="button" class="button d-small" aria-label={plan.zoomIn} onClick={() => by(ZOOM_STEP)}>
          +
        </button>
        <button
          type="button"
          class="button d-small"
          aria-label={plan.zoomOut}
          onClick={() => by(1 / ZOOM_STEP)}
        >
          −
        </button>
        <button
          type="button"
          class="button d-small"
          onClick={() => {
            currentView.value = undefined;
          }}
        >
          {plan.entireCity}
        </button>
      </div>
    </div>
  );
}

interface Size {
  readonly width: number;
  readonly height: number;
}

/** Returns map units per pixel, for parts whose size is independent of the zoom. */
function unit(part: View, { width, height }: Size): number {
  return Math.max(part.width / width, part.height / height);
}

/** Returns the size of the drawing in pixels. */
function useSize(svg: { readonly current: SVGSVGElement | null }): Size {
  const size = useSignal<Size>({ width: 800, height: 800 });
  useEffect(() => {
    const element = svg.current;
    if (element === null) return undefined;
    const observer = new ResizeObserver(() => {
      const { clientWidth: width, clientHeight: height } = element;
      // A hidden map has no size.
      if (width > 0 && height > 0) size.value = { width, height };
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, [svg, size]);
  return size.value;
}

function Ground({ map: { areas, lines } }: { readonly map: CityMap }) {
  return useMemo(
    () => (
      <g class="d-ground">
        <path class="d-areas" d={areas} />
        <path class="d-streets" d={lines} />
      </g>
    ),
    [areas, lines],
  );
}

function hasNames({ names }: CityMap): boolean {
  return names.length <= NAMES_FEW || view.value.width * NAMES_FROM <= fullView.value.width;
}

function Names({ map: { names } }: { readonly map: CityMap }) {
  return (
    <g class="d-names">
      {names.map(({ x, y, name }, i) => (
        <text key={i} x={x} y={y}>
          {plain(name)}
        </text>
      ))}
    </g>
  );
}

/** Draws the worst on top. */
function Markers({ cameras, open }: { readonly cameras: readonly MapCamera[]; readonly open: OpenAt }) {
  const conditionsByKey = conditions.value;
  return useMemo(() => {
    const worstLast = cameras
      .map((place) => ({ ...place, condition: conditionsByKey.get(place.key) }))
      .sort((a, b) => rank(b.condition) - rank(a.condition));
    const alarmed = worstLast.filter(({ key }) => open.has(key));
    return (
      <g class="d-markers">
        {worstLast.map(({ key, x, y, condition }) => (
          <g
            key={key}
            transform={`translate(${x} ${y})`}
            data-key={key}
            class={`d-marker ${condition ?? 'd-unknown'}`}
          >
            <path d={FORMS[condition ?? 'well']} />
          </g>
        ))}
        {alarmed.map(({ key, x, y }) => (
          <g
            key={`!${key}`}
            transform={`translate(${x} ${y})`}
            data-key={key}
            class={`d-alarm p${open.get(key)?.first.priority}`}
          >
            <circle class="d-pulse" r="11" />
            <circle class="d-ring" r="11" />
            <AlertCount count={open.get(key)?.alertCount ?? 0} />
          </g>
        ))}
        <FocusMark cameras={cameras} />
      </g>
    );
  }, [cameras, open, conditionsByKey]);
}

function rank(condition: Condition | undefined): number {
  return condition === undefined ? Number.POSITIVE_INFINITY : rankOf(condition);
}

/** Shows how many alerts a camera has, from two. */
function AlertCount({ count }: { readonly count: number }) {
  return count < 2 ? null : (
    <text class="d-count" x="12" y="-7">
      {count}
    </text>
  );
}

interface ChosenProps {
  readonly cameras: readonly MapCamera[];
  readonly chosenKeys: ReadonlySet<string>;
}

function ChosenMarks({ cameras, chosenKeys }: ChosenProps) {
  return (
    <g class="d-chosen">
      {cameras
        .filter(({ key }) => chosenKeys.has(key))
        .map(({ key, x, y }) => (
          <g key={key} transform={`translate(${x} ${y})`} class="d-here" data-chosen={key}>
            <circle r="16" />
          </g>
        ))}
    </g>
  );
}

/** Marks the camera of the row in focus. */
function FocusMark({ cameras }: { readonly cameras: readonly MapCamera[] }) {
  const place = cameras.find(({ key }) => key === pointed.value);
  return place === undefined ? null : (
    <g transform={`translate(${place.x} ${place.y})`} class="d-here">
      <circle r="16" />
    </g>
  );
}

function key(name: string, by: (factor: number) => void): boolean {
  const ways: Readonly<Record<string, readonly [number, number]>> = {
    ArrowLeft: [-KEY_STEP, 0],
    ArrowRight: [KEY_STEP, 0],
    ArrowUp: [0, -KEY_STEP],
    ArrowDown: [0, KEY_STEP],
  };
  const way = ways[name];
  if (way !== undefined) currentView.value = panned(view.value, fullView.value, ...way);
  else if (name === '+' || name === '=') by(ZOOM_STEP);
  else if (name === '-') by(1 / ZOOM_STEP);
  else if (name === '0') currentView.value = undefined;
  else return false;
  return true;
}

/** Handles wheel, drag and click. Uses its own listeners, because the wheel must not scroll the page. */
function useHand(svg: { readonly current: SVGSVGElement | null }, onPick: (key: string) => void): void {
  useEffect(() => {
    const element = svg.current;
    if (element === null) return;
    let from: { x: number; y: number; view: View; hasMoved: boolean } | undefined;
    const at = (event: MouseEvent) => {
      const matrix = element.getScreenCTM();
      return new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix?.inverse());
    };
    const wheel = (event: WheelEvent) => {
      event.preventDefault();
      const { x, y } = at(event);
      currentView.value = zoomed(view.value, fullView.value, Math.exp(-event.deltaY * WHEEL_RATIO), x, y);
    };
    const press = (event: PointerEvent) => {
      if (event.button === 0)
        from = { x: event.clientX, y: event.clientY, view: view.value, hasMoved: false };
    };
    const drag = (event: PointerEvent) => {
      if (from === undefined) {
        pointed.value = keyUnder(event);
        return;
      }
      const [right, down] = [event.clientX - from.x, event.clientY - from.y];
      if (!from.hasMoved && Math.hypot(right, down) < CLICK_PX) return;
      from.hasMoved = true;
      element.setPointerCapture(event.pointerId);
      const scale = element.getScreenCTM()?.a ?? 1;
      const { width, height } = from.view;
      currentView.value = panned(from.view, fullView.value, -right / scale / width, -down / scale / height);
    };
    const release = (event: PointerEvent) => {
      const picked = from?.hasMoved === false ? keyUnder(event) : undefined;
      from = undefined;
      if (picked !== undefined) onPick(picked);
    };
    const lose = () => {
      from = undefined;
      pointed.value = undefined;
    };
    element.addEventListener('wheel', wheel, { passive: false });
    element.addEventListener('pointerdown', press);
    element.addEventListener('pointermove', drag);
    element.addEventListener('pointerup', release);
    element.addEventListener('pointerleave', lose);
    return () => {
      element.removeEventListener('wheel', wheel);
      element.removeEventListener('pointerdown', press);
      element.removeEventListener('pointermove', drag);
      element.removeEventListener('pointerup', release);
      element.removeEventListener('pointerleave', lose);
    };
  }, [svg, onPick]);
}

function keyUnder(event: Event): string | undefined {
  const target = event.target instanceof Element ? event.target.closest('[data-key]') : null;
  return target?.getAttribute('data-key') ?? undefined;
}

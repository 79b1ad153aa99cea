/** Map screen: the city as supplied by the room, with its cameras and open alerts. */
import { computed } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import { Notice } from '../../../../../agent/kit/controls.tsx';
import type { Camera } from '../../contract/camera.ts';
import { go } from '../router.ts';
import { tick } from '../session.ts';
import { inOrder, keyOf, selectedKey, watchFleet } from '../views/fleet.ts';
import { cityMap } from '../views/geo.ts';
import { useLoad } from '../views/load.ts';
import { MapView, near, pointed } from '../views/map.tsx';
import { openAlerts, openAt } from '../views/open-alerts.ts';
import { Head, incidentPath, Link, LoadState, Shape } from '../views/parts.tsx';
import { PointedCamera } from '../views/pointed-camera.tsx';
import { ago, count, kindText, reasonText } from '../views/view-texts.ts';
import { viewWords } from '../words/views.ts';
import { words } from '../words/words.ts';

/** Rows beside the map. Queue and camera list contain all. */
const ROWS_MAX = 60;
/** No line is selected on this screen. */
const NONE: ReadonlySet<string> = new Set();

const down = computed(() =>
  inOrder.value.filter(({ condition }) => condition !== 'well' && condition !== 'ending'),
);

export function PlanScreen() {
  const { plan } = viewWords.value;
  const file = useLoad<unknown>('/api/plan');
  useEffect(watchFleet, []);
  const data = file.data.value;
  const map = useMemo(() => (data === undefined ? undefined : cityMap(data)), [data]);
  if (file.status.value === 404) return <PlanNotice line={plan.noMap} />;
  if (typeof map === 'string') return <PlanNotice line={plan.notShown + plan.problems[map]} />;
  return (
    <div class="desk d-plan" data-screen="plan">
      <Head title={words.value.places.plan} />
      <LoadState has={map !== undefined} problem={file.problem.value} onAgain={file.reload} />
      {map !== undefined && (
        <div class="desk-split">
          <div class="desk-main">
            <MapView map={map} open={openAt.value} chosenKeys={NONE} onPick={pick} />
            <p class="d-map-line" role="status">
              <PointedCamera idle={plan.hover} />
            </p>
            {map.skipped > 0 && <p class="hint">{plan.skipped(count(map.skipped))}</p>}
          </div>
          <PlanAside placed={new Set(map.cameras.map(({ key }) => key))} />
        </div>
      )}
    </div>
  );
}

function PlanNotice({ line }: { readonly line: string }) {
  return (
    <div class="desk d-plan" data-screen="plan">
      <Head title={words.value.places.plan} />
      <Notice tone="warn">{line}</Notice>
    </div>
  );
}

/** Opens the camera's alert if there is one, because it waits. */
function pick(key: string): void {
  const open = openAt.value.get(key);
  if (open !== undefined) {
    go(incidentPath(open.first.no));
    return;
  }
  selectedKey.value = key;
  go('/cameras');
}

function PlanAside({ placed }: { readonly placed: ReadonlySet<string> }) {
  const { plan } = viewWords.value;
  const { states } = words.value;
  void tick.value;
  const unplaced = inOrder.value.filter((camera) => !placed.has(keyOf(camera))).length;
  return (
    <aside class="desk-aside">
      <h2>
        {plan.open} <span class="quiet">{count(openAlerts.value.length)}</span>
      </h2>
      {openAlerts.value.length === 0 && <p>{plan.openNone}</p>}
      <ul class="d-rows d-links">
        {openAlerts.value.slice(0, ROWS_MAX).map((incident) => (
          <li key={incident.no} {...pointing(keyOf(incident))}>
            <Link to={incidentPath(incident.no)} class={`p${incident.priority}`}>
              {kindText(incident.kind)}
              <span class="d-why">
                {keyOf(incident)}
                {!placed.has(keyOf(incident)) && ` (${plan.openUnplaced})`}
              </span>
            </Link>
            <span class="quiet">
              {states[incident.state]}
              <br />
              {ago(incident.received)}
            </span>
          </li>
        ))}
      </ul>
      <MoreRows all={openAlerts.value.length} />
      <h2>
        {plan.out} <span class="quiet">{count(down.value.length)}</span>
      </h2>
      {down.value.length === 0 && <p>{plan.outNone}</p>}
      <ul class="d-rows">
        {down.value.slice(0, ROWS_MAX).map((camera) => (
          <Down key={keyOf(camera)} camera={camera} />
        ))}
      </ul>
      <MoreRows all={down.value.length} />
      {unplaced > 0 && <p class="quiet">{plan.unplaced(count(unplaced))}</p>}
    </aside>
  );
}

function MoreRows({ all }: { readonly all: number }) {
  return all > ROWS_MAX ? <p class="quiet">{viewWords.value.plan.moreRows(count(all - ROWS_MAX))}</p> : null;
}

function Down({ camera }: { readonly camera: Camera }) {
  const key = keyOf(camera);
  return (
    <li {...pointing(key)}>
      <Link
        class="d-row-button"
        to="/cameras"
        onFollow={() => {
          selectedKey.value = key;
        }}
      >
        <Shape of={camera.condition} />
        <span>
          <strong>{key}</strong>
          <span class="d-why">
            {camera.reasons.map(reasonText).join(' · ') || viewWords.value.conditions[camera.condition]}
          </span>
        </span>
      </Link>
    </li>
  );
}

/** Marks a row's camera on the map while the row is hovered or focused. */
function pointing(key: string) {
  const on = () => {
    pointed.value = key;
  };
  const off = () => {
    pointed.value = undefined;
  };
  return {
    onMouseEnter: on,
    onMouseLeave: off,
    onFocusIn: () => {
      on();
      near(key);
    },
    onFocusOut: off,
  };
}

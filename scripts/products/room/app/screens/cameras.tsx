/** Cameras screen: all cameras, with those that are faulty now or will be soon. */
import { computed, signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { Notice } from '../../../../../agent/kit/controls.tsx';
import type { IncidentPage } from '../../contract/api.ts';
import type { Camera } from '../../contract/camera.ts';
import type { Incident } from '../../contract/incident.ts';
import { CONDITIONS, type Condition } from '../../contract/terms.ts';
import { useKeys } from '../keys.ts';
import { may, session, tick } from '../session.ts';
import {
  fleet,
  fleetProblem,
  inOrder,
  keyOf,
  loadFleet,
  selectedKey,
  unknownSenderCount,
  unlistedCount,
  watchFleet,
} from '../views/fleet.ts';
import { Installation } from '../views/installation.tsx';
import { useLoad } from '../views/load.ts';
import { Csv, Head, incidentPath, Link, LoadState, Shape } from '../views/parts.tsx';
import { Tiles } from '../views/tiles.tsx';
import {
  ago,
  count,
  daysUntil,
  kindText,
  lasting,
  plain,
  ratioText,
  reasonText,
  remainingText,
  timeText,
} from '../views/view-texts.ts';
import { viewWords } from '../words/views.ts';
import { words } from '../words/words.ts';

/** Length of the list of cameras that need attention; the filter finds more. */
const NEEDS_MAX = 40;
const INCIDENTS_MAX = 12;
const DAY_S = 24 * 3600;
/** Days before expiry from which the date is shown as a fault. The box's last reminders come at 7 and 1 days. */
const SOON_DAYS = 7;

const text = signal('');
const only = signal<ReadonlySet<Condition>>(new Set());

const fitting = computed(() => {
  const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
  const chosenConditions = only.value;
  if (words.length === 0 && chosenConditions.size === 0) return inOrder.value;
  return inOrder.value.filter((camera) => {
    if (chosenConditions.size > 0 && !chosenConditions.has(camera.condition)) return false;
    const all =
      `${keyOf(camera)} ${camera.reasons.map(reasonText).join(' ')} ${camera.version ?? ''}`.toLowerCase();
    return words.every((word) => all.includes(word));
  });
});

const counts = computed(() => {
  const byCondition = new Map<Condition, number>(CONDITIONS.map((condition) => [condition, 0]));
  for (const { condition } of fleet.value?.values() ?? [])
    byCondition.set(condition, (byCondition.get(condition) ?? 0) + 1);
  return byCondition;
});

export function CamerasScreen() {
  const { cameras } = viewWords.value;
  const filter = useRef<HTMLInputElement>(null);
  useEffect(watchFleet, []);
  useKeys({
    '/': () => {
      filter.current?.select();
      filter.current?.focus();
    },
    // Clears the selection first, then the filter.
    Escape: () => {
      if (selectedKey.value === undefined) text.value = '';
      selectedKey.value = undefined;
    },
    Enter: () => document.getElementById('camera-title')?.focus(),
  });
  return (
    <div class="desk d-cameras" data-screen="cameras">
      <Head title={words.value.places.cameras}>
        <Csv path="/api/cameras.csv" />
      </Head>
      <LoadState
        has={fleet.value !== undefined}
        problem={fleetProblem.value}
        onAgain={() => void loadFleet()}
      />
      {fleet.value !== undefined && (
        <>
          {unlistedCount.value > 0 && <Notice tone="warn">{cameras.more(count(unlistedCount.value))}</Notice>}
          {unknownSenderCount.value > 0 && (
            <Notice tone="warn">{cameras.unknownSenders(count(unknownSenderCount.value))}</Notice>
          )}
          <Counts />
          <div class="desk-split">
            <div class="desk-main">
              <Filter input={filter} />
              {fitting.value.length === 0 ? <p>{cameras.nothing}</p> : <Tiles cameras={fitting.value} />}
            </div>
            <Aside />
          </div>
        </>
      )}
    </div>
  );
}

/** Number of cameras in each condition; also filters, and explains the shapes. */
function Counts() {
  const { conditions, cameras } = viewWords.value;
  return (
    <div class="d-tallies">
      {CONDITIONS.map((condition) => (
        <button
          key={condition}
          type="button"
          class={`d-tally ${counts.value.get(condition) === 0 ? 'd-zero' : condition}`}
          aria-pressed={only.value.has(condition)}
          onClick={() => {
            const next = new Set(only.value);
            if (!next.delete(condition)) next.add(condition);
            only.value = next;
          }}
        >
          <Shape of={condition} />
          <strong>{count(counts.value.get(condition) ?? 0)}</strong>
          <span>{conditions[condition]}</span>
        </button>
      ))}
      {only.value.size > 0 && (
        <button
          type="button"
          class="d-link"
          onClick={() => {
            only.value = new Set();
          }}
        >
          {cameras.all}
        </button>
      )}
    </div>
  );
}

function Filter({ input }: { readonly input: { current: HTMLInputElement | null } }) {
  const { cameras } = viewWords.value;
  return (
    <div class="d-finder">
      <label for="camera-filter">{cameras.filter}</label>
      <input
        ref={input}
        id="camera-filter"
        type="search"
        autocomplete="off"
        value={text.value}
        placeholder={cameras.filterHint}
        onInput={(event) => {
          text.value = event.currentTarget.value;
        }}
      />
      <span class="quiet" role="status">
        {cameras.of(count(fitting.value.length), count(fleet.value?.size ?? 0))}
      </span>
    </div>
  );
}

function Aside() {
  void tick.value;
  const camera = selectedKey.value === undefined ? undefined : fleet.value?.get(selectedKey.value);
  return <aside class="desk-aside">{camera === undefined ? <Needs /> : <Details camera={camera} />}</aside>;
}

/** Cameras that are not healthy, the worst first, with the reason. */
function Needs() {
  const { cameras } = viewWords.value;
  const all = fitting.value.filter(({ condition }) => condition !== 'well');
  return (
    <>
      <h2>
        {cameras.needs} <span class="quiet">{count(all.length)}</span>
      </h2>
      {all.length === 0 && <p>{cameras.needsNone}</p>}
      <ul class="d-rows">
        {all.slice(0, NEEDS_MAX).map((camera) => (
          <li key={keyOf(camera)}>
            <button
              type="button"
              class="d-row-button"
              onClick={() => {
                selectedKey.value = keyOf(camera);
              }}
            >
              <Shape of={camera.condition} />
              <span>
                <strong>{keyOf(camera)}</strong>
                <span class="d-why">{reasonsText(camera)}</span>
              </span>
            </button>
          </li>
        ))}
      </ul>
      {all.length > NEEDS_MAX && <p class="quiet">{cameras.needsMore(count(all.length - NEEDS_MAX))}</p>}
    </>
  );
}

function reasonsText(camera: Camera): string {
  const { conditions } = viewWords.value;
  const reasonTexts = camera.reasons.map(reasonText);
  if (camera.condition === 'offline') reasonTexts.push(ago(camera.lastReport));
  if (camera.condition === 'ending') {
    const ends = [camera.certificateEnds, camera.orderEnds].filter((end) => end !== null).sort();
    if (ends[0] !== undefined) reasonTexts.push(remainingText(ends[0]));
  }
  return reasonTexts.length === 0 ? conditions[camera.condition] : reasonTexts.join(' · ');
}

function Details({ camera }: { readonly camera: Camera }) {
  const { cameras, conditions, unknown, status } = viewWords.value;
  const stateParts = [camera.state, camera.mode].filter((part) => part !== null);
  const state = [...new Set(stateParts)].map((part) => status[part] ?? plain(part)).join(' · ');
  return (
    <>
      <div class="d-panel-head">
        <h2 id="camera-title" tabIndex={-1}>
          {keyOf(camera)}
        </h2>
        <button
          type="button"
          class="button d-small"
          onClick={() => {
            selectedKey.value = undefined;
          }}
        >
          {cameras.close}
        </button>
      </div>
      <p class={`d-condition ${camera.condition}`}>
        <Shape of={camera.condition} /> {conditions[camera.condition]}
      </p>
      {camera.reasons.length > 0 && (
        <ul class="d-reasons" aria-label={cameras.reasons}>
          {camera.reasons.map((reason) => (
            <li key={reason}>{reasonText(reason)}</li>
          ))}
        </ul>
      )}
      <dl class="d-facts">
        <dt>{cameras.blind}</dt>
        <dd>
          {camera.blindS === 0
            ? lasting(0)
            : `${lasting(camera.blindS)} (${ratioText(camera.blindS / DAY_S)})`}
        </dd>
        <dt>{cameras.lastAlert}</dt>
        <dd>{camera.lastAlert === null ? cameras.never : <TimeSince at={camera.lastAlert} />}</dd>
        <dt>{cameras.lastReceived}</dt>
        <dd>
          <TimeSince at={camera.lastReport} />
        </dd>
        <dt>{cameras.certificate}</dt>
        <dd>{camera.certificateEnds === null ? unknown : <End at={camera.certificateEnds} />}</dd>
        <dt>{cameras.authorisation}</dt>
        <dd>{camera.orderEnds === null ? unknown : <End at={camera.orderEnds} />}</dd>
        <dt>{cameras.mode}</dt>
        <dd>{state || unknown}</dd>
        <dt>{cameras.version}</dt>
        <dd>{camera.version === null ? unknown : plain(camera.version)}</dd>
      </dl>
      {session.value?.plan === true && (
        <p>
          <Link to="/plan">{cameras.onPlan}</Link>
        </p>
      )}
      {may('see-incidents') && <Installation key={`installation ${keyOf(camera)}`} camera={camera} />}
      {may('see-incidents') && <Incidents key={keyOf(camera)} camera={camera} />}
    </>
  );
}

function TimeSince({ at }: { readonly at: string }) {
  return (
    <>
      {ago(at)} <span class="quiet d-nowrap">{timeText(at)}</span>
    </>
  );
}

function End({ at }: { readonly at: string }) {
  return (
    <>
      {timeText(at, 'day')}{' '}
      <span class={daysUntil(at) < SOON_DAYS ? 'fault d-nowrap' : 'quiet d-nowrap'}>{remainingText(at)}</span>
    </>
  );
}

/** A system condition has no verdict: it is active or over. */
function becameOf({ severity, endedAt, verdict, state }: Incident): string {
  const { states, verdicts, queue, incident } = words.value;
  if (severity === 'system') return endedAt === null ? incident.lasts : queue.endedText;
  return verdict === null ? states[state] : verdicts[verdict];
}

function Incidents({ camera: { site, box } }: { readonly camera: Camera }) {
  const { cameras } = viewWords.value;
  const page = useLoad<IncidentPage>(`/api/incidents?site=${site}&box=${box}&limit=${INCIDENTS_MAX}`);
  const incidents = page.data.value?.incidents;
  return (
    <>
      <h3>{cameras.incidents}</h3>
      <LoadState has={incidents !== undefined} problem={page.problem.value} onAgain={page.reload} />
      {incidents?.length === 0 && <p>{cameras.noIncidents}</p>}
      <ul class="d-rows d-links">
        {incidents?.map((incident) => (
          <li key={incident.no}>
            <span>
              <Link to={incidentPath(incident.no)}>{kindText(incident.kind)}</Link>{' '}
              <span class="quiet">{timeText(incident.received)}</span>
            </span>
            <span class="quiet">{becameOf(incident)}</span>
          </li>
        ))}
      </ul>
      {page.data.value !== undefined && page.data.value.next !== null && (
        <p class="quiet">{cameras.moreIncidents}</p>
      )}
    </>
  );
}

/** Notes at a camera: the newest receipt of its installation, and privacy masks that were removed. */
import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { Notice } from '../../../../../agent/kit/controls.tsx';
import type { IncidentPage } from '../../contract/api.ts';
import type { Camera } from '../../contract/camera.ts';
import type { Incident } from '../../contract/incident.ts';
import { may } from '../session.ts';
import { installationWords } from '../words/installation.ts';
import { useLoad } from './load.ts';
import { incidentPath, Link } from './parts.tsx';
import { count, plain, timeText } from './view-texts.ts';

/** Removed masks that are shown; the list of incidents has all. */
const MASKS_MAX = 3;

export function Installation({ camera: { site, box } }: { readonly camera: Camera }) {
  const path = (kind: string, limit: number): string =>
    `/api/incidents?site=${site}&box=${box}&kind=${kind}&limit=${limit}`;
  const receipts = useLoad<IncidentPage>(path('installed', 1));
  const masks = useLoad<IncidentPage>(path('mask-removed', MASKS_MAX));
  const [receipt] = receipts.data.value?.incidents ?? [];
  const removals = masks.data.value?.incidents ?? [];
  if (receipt === undefined && removals.length === 0) return null;
  return (
    <section id="installation">
      <h3>{installationWords.value.title}</h3>
      {removals.map((removal) => (
        <Removal key={removal.no} removal={removal} />
      ))}
      {receipt !== undefined && <Receipt key={receipt.no} receipt={receipt} />}
    </section>
  );
}

function Removal({ removal: { no, cause, received } }: { readonly removal: Incident }) {
  const { maskRemoved, maskSmaller, origins } = installationWords.value;
  const [removed, smaller, by] = [textIn(cause, 'removed'), textIn(cause, 'smaller'), textIn(cause, 'by')];
  const origin = Object.hasOwn(origins, by) ? origins[by as keyof typeof origins] : plain(by);
  return (
    <Notice tone="warn">
      {removed !== '' && <strong>{maskRemoved(removed)} </strong>}
      {smaller !== '' && <strong>{maskSmaller(smaller)} </strong>}
      {origin} · <Link to={incidentPath(no)}>{timeText(received)}</Link>
    </Notice>
  );
}

function Receipt({ receipt: { no, cause, startedAt, still } }: { readonly receipt: Incident }) {
  const texts = installationWords.value;
  const order = textIn(cause, 'order');
  const [problems, rules] = [textIn(cause, 'problems'), textIn(cause, 'rules')];
  const entries = cause['journalEntries'];
  return (
    <>
      <p>
        <strong>{texts.issued(timeText(startedAt))}</strong> ·{' '}
        {cause['passed'] === true ? texts.passed : texts.failed}
      </p>
      <dl class="d-facts">
        {problems !== '' && <Fact name={texts.problems}>{problems}</Fact>}
        <Fact name={texts.order}>{order === '' ? texts.noOrder : order}</Fact>
        {rules !== '' && <Fact name={texts.rules}>{rules}</Fact>}
        <Fact name={texts.drawn}>
          {['zones', 'lines', 'masks'].map((name) => textIn(cause, name)).join(', ')}
        </Fact>
        {'configuration' in cause && <Fact name={texts.configuration}>{textIn(cause, 'configuration')}</Fact>}
        {typeof entries === 'number' && (
          <Fact name={texts.journal}>
            {texts.entries(count(entries))} {textIn(cause, 'journalRoot')}
          </Fact>
        )}
        <Fact name={texts.session}>{textIn(cause, 'session')}</Fact>
      </dl>
      {still !== null && may('see-still') && <Still no={no} />}
      <p>
        <Link to={incidentPath(no)}>{texts.open}</Link>
      </p>
    </>
  );
}

function Fact({ name, children }: { readonly name: string; readonly children: ComponentChildren }) {
  return (
    <>
      <dt>{name}</dt>
      <dd class="clamp">{children}</dd>
    </>
  );
}

/** Loads the still on request only, because the audit log has an entry for each view. */
function Still({ no }: { readonly no: number }) {
  const texts = installationWords.value;
  const isShown = useSignal(false);
  const isBroken = useSignal(false);
  if (isBroken.value) return <p class="quiet">{texts.noStill}</p>;
  if (isShown.value) {
    return (
      <img
        class="d-receipt"
        src={`/api/incidents/${no}/stills/snapshot`}
        alt={texts.stillAlt}
        onError={() => {
          isBroken.value = true;
        }}
      />
    );
  }
  return (
    <p>
      <button
        type="button"
        class="button d-small"
        id="receipt-still"
        onClick={() => {
          isShown.value = true;
        }}
      >
        {texts.showStill}
      </button>{' '}
      <span class="quiet">{texts.onRecord}</span>
    </p>
  );
}

/** A box may send any member. */
function textIn(cause: Incident['cause'], name: string): string {
  return Object.hasOwn(cause, name) ? plain(String(cause[name])) : '';
}

/** Audit screen: who did what and who saw which picture, the newest first, and whether the log is intact. */
import { signal, useSignal } from '@preact/signals';
import { Button, Field, Notice } from '../../../../../agent/kit/controls.tsx';
import type { AuditEntry, AuditPage } from '../../contract/audit.ts';
import { may } from '../session.ts';
import { useLoad } from '../views/load.ts';
import { Csv, Head, incidentPath, Link, LoadState, Scroll } from '../views/parts.tsx';
import { People } from '../views/people.tsx';
import { RefusedMessageList } from '../views/refused-messages.tsx';
import { count, plain, timeText } from '../views/view-texts.ts';
import { viewWords } from '../words/views.ts';
import { words } from '../words/words.ts';

/** Characters of a hash, enough to distinguish two by eye; the table has all. */
const HASH_CHARS = 12;
/** Maximum length of the details of an entry; the table has all. */
const MORE_CHARS_MAX = 300;

interface AuditRequest {
  readonly user: string;
  readonly incident: string;
  readonly before: number | undefined;
}
const NEWEST: AuditRequest = { user: '', incident: '', before: undefined };

const request = signal<AuditRequest>(NEWEST);

export function AuditScreen() {
  const { audit } = viewWords.value;
  const { user, incident, before } = request.value;
  const query = new URLSearchParams({
    ...(user !== '' && { account: user }),
    ...(incident !== '' && { incident }),
    ...(before !== undefined && { before: String(before) }),
  }).toString();
  const load = useLoad<AuditPage>(query === '' ? '/api/audit' : `/api/audit?${query}`);
  const data = load.data.value;
  return (
    <div class="desk d-audit" data-screen="audit">
      <Head title={words.value.places.audit}>
        <Csv path="/api/audit.csv" />
      </Head>
      <LoadState has={data !== undefined} problem={load.problem.value} onAgain={load.reload} />
      {data !== undefined && <Chain page={data} />}
      {may('end-sessions') && <People />}
      {may('resend-webhooks') && <RefusedMessageList />}
      <Filter key={`${user} ${incident}`} />
      {data !== undefined && (
        <div aria-busy={load.isAsking.value}>
          {data.entries.length === 0 ? <p>{audit.nothing}</p> : <Entries entries={data.entries} />}
          <Pages next={data.next} />
        </div>
      )}
    </div>
  );
}

function Chain({ page: { isIntact, fault: problem } }: { readonly page: AuditPage }) {
  const { audit } = viewWords.value;
  if (isIntact) return <Notice tone="good">{audit.intact}</Notice>;
  return (
    <Notice tone="bad" urgent>
      <strong>{audit.broken}</strong>
      {problem !== null && <p>{audit.location + plain(problem)}</p>}
    </Notice>
  );
}

function Filter() {
  const { audit } = viewWords.value;
  const user = useSignal(request.value.user);
  const incident = useSignal(request.value.incident);
  const isBad = incident.value !== '' && !/^[1-9]\d{0,14}$/.test(incident.value);
  return (
    <form
      class="d-bar"
      onSubmit={(event) => {
        event.preventDefault();
        if (!isBad) request.value = { user: user.value.trim(), incident: incident.value, before: undefined };
      }}
    >
      <Field
        label={audit.account}
        name="account"
        value={user.value}
        maxLength={64}
        autocomplete="off"
        onText={(text) => {
          user.value = text;
        }}
      />
      <Field
        label={audit.incident}
        name="incident"
        value={incident.value}
        inputMode="numeric"
        autocomplete="off"
        problem={isBad ? audit.badIncident : undefined}
        onText={(text) => {
          incident.value = text.trim();
        }}
      />
      <Button type="submit" tone="main">
        {audit.apply}
      </Button>
      {(request.value.user !== '' || request.value.incident !== '') && (
        <Button
          onClick={() => {
            request.value = NEWEST;
          }}
        >
          {audit.clear}
        </Button>
      )}
    </form>
  );
}

function Entries({ entries }: { readonly entries: readonly AuditEntry[] }) {
  const { audit } = viewWords.value;
  return (
    <Scroll label={words.value.places.audit}>
      <table>
        <thead>
          <tr>
            <th scope="col" class="d-n">
              {audit.number}
            </th>
            <th scope="col">{audit.at}</th>
            <th scope="col">{audit.account}</th>
            <th scope="col">{audit.action}</th>
            <th scope="col">{audit.about}</th>
            <th scope="col">{audit.more}</th>
            <th scope="col">{audit.hash}</th>
          </tr>
        </thead>
        <tbody>
          {entries.map((entry) => (
            <Entry key={entry.no} entry={entry} />
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function Entry({ entry }: { readonly entry: AuditEntry }) {
  const { audit, incident } = viewWords.value;
  const isLoud = entry.act === 'refused' || entry.act === 'login-refused';
  return (
    <tr>
      <td class="d-n">{count(entry.no)}</td>
      <td class="d-time">{timeText(entry.at, 'second')}</td>
      <td>
        {plain(entry.account)}{' '}
        <span class="quiet">{{ ...words.value.roles, ...audit.roles }[entry.role]}</span>
      </td>
      <td class={isLoud ? 'fault' : undefined}>{audit.actions[entry.act] ?? plain(entry.act)}</td>
      <td>
        {entry.incident !== null &&
          (may('see-incidents') ? (
            <Link to={incidentPath(entry.incident)}>{incident(entry.incident)}</Link>
          ) : (
            incident(entry.incident)
          ))}{' '}
        {entry.site !== null && (
          <span class="quiet">{entry.box === null ? entry.site : `${entry.site}/${entry.box}`}</span>
        )}
      </td>
      <td class="d-more">{moreText(entry.more)}</td>
      <td class="d-hash" title={entry.hash}>
        {plain(entry.hash.slice(0, HASH_CHARS))}
      </td>
    </tr>
  );
}

function moreText(members: AuditEntry['more']): string {
  const { details } = viewWords.value.audit;
  const text = Object.entries(members)
    .map(([name, value]) => {
      const valueText = typeof value === 'string' ? value : JSON.stringify(value);
      return `${details[name] ?? name}: ${/^[0-9a-f]{64}$/.test(valueText) ? `${valueText.slice(0, HASH_CHARS)}…` : valueText}`;
    })
    .join(' · ');
  return plain(text.length > MORE_CHARS_MAX ? `${text.slice(0, MORE_CHARS_MAX)}…` : text);
}

function Pages({ next }: Pick<AuditPage, 'next'>) {
  const { audit } = viewWords.value;
  const to = (before: number | undefined) => {
    request.value = { ...request.value, before };
    document.querySelector('.d-audit')?.scrollIntoView();
  };
  return (
    <p class="d-pages">
      {request.value.before !== undefined && <Button onClick={() => to(undefined)}>{audit.newest}</Button>}
      {next !== null && <Button onClick={() => to(next)}>{audit.older}</Button>}
    </p>
  );
}

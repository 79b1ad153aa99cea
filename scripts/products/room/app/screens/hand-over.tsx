/** Shift report screen: information for the next shift, on screen and on paper. */
import { signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { Button } from '../../../../../agent/kit/controls.tsx';
import type { HandOver, ShiftLine } from '../../contract/figures.ts';
import type { Incident } from '../../contract/incident.ts';
import { CONDITIONS } from '../../contract/terms.ts';
import { type Interval, IntervalFields, lastHours, queryOf } from '../views/interval.tsx';
import { useLoad } from '../views/load.ts';
import { Csv, Head, incidentPath, Link, LoadState, Shape } from '../views/parts.tsx';
import { SuppressionList } from '../views/suppression-list.tsx';
import { count, kindText, placeText, plain, reasonText, timeText } from '../views/view-texts.ts';
import { viewWords } from '../words/views.ts';
import { words } from '../words/words.ts';

/** Duration of a shift in hours. */
const SHIFT = 8;
const SHIFTS = [SHIFT, 12, 24];

const interval = signal<Interval | undefined>(undefined);

export function HandOverScreen() {
  const { handOver } = viewWords.value;
  interval.value ??= lastHours(SHIFT);
  const between = interval.value;
  const load = useLoad<HandOver>(`/api/hand-over?${queryOf(between)}`);
  const data = load.data.value;
  return (
    <div class="desk d-hand-over" data-screen="hand-over">
      <Head title={words.value.places['hand-over']}>
        <Csv path={`/api/hand-over.csv?${queryOf(between)}`} />
        <Button tone="main" disabled={data === undefined} onClick={() => print()}>
          {handOver.print}
        </Button>
      </Head>
      <div class="d-bar d-no-print">
        <IntervalFields
          value={between}
          presets={SHIFTS}
          onChange={(next) => {
            interval.value = next;
          }}
        />
      </div>
      <LoadState has={data !== undefined} problem={load.problem.value} onAgain={load.reload} />
      {data !== undefined && <Report data={data} isOld={load.isAsking.value} />}
    </div>
  );
}

function Report({ data, isOld }: { readonly data: HandOver; readonly isOld: boolean }) {
  const { handOver } = viewWords.value;
  const { verdicts, suppression } = words.value;
  const open = alertsIn(data.open) + data.more;
  return (
    <article aria-busy={isOld}>
      <p class="d-shift">{handOver.of(timeText(data.from), timeText(data.to))}</p>
      <dl class="d-sums">
        <Sum name={handOver.takenOver} value={count(data.takenOver)} />
        <Sum name={handOver.received} value={count(data.received)} />
        {data.reopened > 0 && <Sum name={handOver.reopened} value={count(data.reopened)} />}
        <Sum name={handOver.closed} value={count(data.closed)} />
        {data.withdrawn > 0 && <Sum name={handOver.withdrawn} value={count(data.withdrawn)} isLoud />}
        <Sum name={handOver.left} value={count(data.left)} isLoud={data.left > 0} />
      </dl>
      <dl class="d-sums">
        <Sum
          name={handOver.verdicts}
          value={(['confirmed', 'false-alarm', 'unclear'] as const)
            .map((verdict) => `${count(data.verdicts[verdict])} ${verdicts[verdict]}`)
            .join(' · ')}
        />
        <Sum
          name={handOver.now}
          value={[
            handOver.waiting(count(open)),
            handOver.sent(count(data.dispatched)),
            handOver.hidden(count(data.suppressed)),
          ].join(' · ')}
        />
        {data.claimsEnded > 0 && <Sum name={handOver.claimsEnded} value={count(data.claimsEnded)} isLoud />}
        <Sum name={handOver.stills} value={count(data.stillsSeen)} />
      </dl>
      <Part title={handOver.open} none={handOver.openNone} total={open}>
        <Lines lines={data.open} />
      </Part>
      {data.more > 0 && <p class="d-loud">{handOver.more(count(data.more))}</p>}
      <Part
        title={handOver.dispatched}
        none={handOver.dispatchedNone}
        total={data.dispatches.length + data.dispatchesMore}
      >
        <Dispatches dispatches={data.dispatches} />
      </Part>
      {data.dispatchesMore > 0 && <p class="d-loud">{handOver.dispatchesMore(count(data.dispatchesMore))}</p>}
      <Part title={handOver.notes} none={handOver.notesNone} total={data.notes.length + data.notesMore}>
        <Notes notes={data.notes} />
      </Part>
      {data.notesMore > 0 && <p class="d-loud">{handOver.notesMore(count(data.notesMore))}</p>}
      <Part title={suppression.strip} none={suppression.none} total={data.suppressions.length}>
        <SuppressionList suppressions={data.suppressions} />
      </Part>
      <Part title={handOver.cameras} none={handOver.camerasNone} total={data.camerasDown.length}>
        <Down cameras={data.camerasDown} />
      </Part>
      {data.camerasMore > 0 && <p class="d-loud">{handOver.camerasMore(count(data.camerasMore))}</p>}
      <div class="d-signs" aria-hidden="true">
        <p>{handOver.sign}</p>
        <p>{handOver.signTo}</p>
      </div>
      {data.record !== null && (
        <p class="d-hash">{handOver.record(count(data.record.no), plain(data.record.hash))}</p>
      )}
    </article>
  );
}

interface SumProps {
  readonly name: string;
  readonly value: string;
  readonly isLoud?: boolean;
}

function Sum({ name, value, isLoud = false }: SumProps) {
  return (
    <div>
      <dt>{name}</dt>
      <dd class={isLoud ? 'd-loud' : undefined}>{value}</dd>
    </div>
  );
}

interface PartProps {
  readonly title: string;
  /** Text for an empty part. */
  readonly none: string;
  readonly total: number;
  readonly children: ComponentChildren;
}

function Part({ title, none, total, children }: PartProps) {
  return (
    <section>
      <h2>
        {title} {total > 0 && <span class="quiet">{count(total)}</span>}
      </h2>
      {total === 0 ? <p class="quiet">{none}</p> : children}
    </section>
  );
}

const alertsIn = (lines: readonly ShiftLine[]): number => lines.reduce((sum, line) => sum + line.count, 0);

/** Shows one row for each cause, with the number of alerts and the time from the first to the last. */
function Lines({ lines }: { readonly lines: readonly ShiftLine[] }) {
  const { handOver } = viewWords.value;
  return (
    <table>
      <thead>
        <tr>
          <th scope="col">{handOver.no}</th>
          <th scope="col">{handOver.receivedAt}</th>
          <AlertHead />
          <th scope="col">{handOver.owner}</th>
        </tr>
      </thead>
      <tbody>
        {lines.map(({ incident, count: alerts, firstReceived, lastReceived }) => (
          <tr key={incident.no}>
            <td>
              <Link to={incidentPath(incident.no)}>{incident.no}</Link>
            </td>
            <td class={alerts > 1 ? undefined : 'd-time'}>
              {alerts > 1
                ? handOver.range(timeText(firstReceived), timeText(lastReceived))
                : timeText(incident.received)}
            </td>
            <AlertCells incident={incident} alerts={alerts} />
            <td>
              <Owner name={incident.claimedBy} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Shows one row for each dispatch, with the patrol's last answer. */
function Dispatches({ dispatches }: Pick<HandOver, 'dispatches'>) {
  const { handOver } = viewWords.value;
  const { patrol: texts } = words.value;
  return (
    <table>
      <thead>
        <tr>
          <th scope="col">{handOver.no}</th>
          <th scope="col">{handOver.sentAt}</th>
          <AlertHead />
          <th scope="col">{texts.name}</th>
          <th scope="col">{handOver.sentBy}</th>
        </tr>
      </thead>
      <tbody>
        {dispatches.map(({ at, account, patrol, answer, answerAt, incident }) => (
          <tr key={`${incident.no} ${at}`}>
            <td>
              <Link to={incidentPath(incident.no)}>{incident.no}</Link>
            </td>
            <td class="d-time">{timeText(at)}</td>
            <AlertCells incident={incident} />
            <td>
              {patrol === null ? (
                texts.unnamed
              ) : (
                <>
                  {plain(patrol)}, {answer === null ? texts.unanswered : texts.answered[answer]}
                  {answerAt !== null && ` ${timeText(answerAt)}`}
                </>
              )}
            </td>
            <td>
              <Owner name={account} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function AlertHead() {
  const { handOver } = viewWords.value;
  return (
    <>
      <th scope="col">{handOver.event}</th>
      <th scope="col">{handOver.place}</th>
      <th scope="col">{handOver.state}</th>
    </>
  );
}

function AlertCells({ incident, alerts = 1 }: { readonly incident: Incident; readonly alerts?: number }) {
  const { states, verdicts } = words.value;
  return (
    <>
      <td>
        {kindText(incident.kind)}
        {alerts > 1 && <strong> {viewWords.value.handOver.alerts(count(alerts))}</strong>}
      </td>
      <td>
        {incident.site}/{incident.box} <span class="quiet">{placeText(incident.place)}</span>
      </td>
      <td>
        {states[incident.state]}
        {incident.verdict !== null && `, ${verdicts[incident.verdict]}`}
      </td>
    </>
  );
}

function Owner({ name }: { readonly name: string | null }) {
  return name === null ? (
    <span class="quiet">{viewWords.value.handOver.nobody}</span>
  ) : (
    <span>{plain(name)}</span>
  );
}

function Notes({ notes }: Pick<HandOver, 'notes'>) {
  const { handOver, incident } = viewWords.value;
  return (
    <ul class="d-notes">
      {notes.map((note, i) => (
        <li key={i}>
          <p class="quiet">
            <Link to={incidentPath(note.incident)}>{incident(note.incident)}</Link> · {timeText(note.at)} ·{' '}
            {handOver.by(plain(note.account))}
          </p>
          <p>{plain(note.text.replace(/\s+/g, ' '))}</p>
        </li>
      ))}
    </ul>
  );
}

function Down({ cameras }: { readonly cameras: HandOver['camerasDown'] }) {
  const { handOver, conditions } = viewWords.value;
  const rank = (condition: string) => (CONDITIONS as readonly string[]).indexOf(condition);
  const worstFirst = [...cameras].sort((a, b) => rank(a.condition) - rank(b.condition));
  return (
    <table>
      <thead>
        <tr>
          <th scope="col">{handOver.camera}</th>
          <th scope="col">{handOver.condition}</th>
          <th scope="col">{viewWords.value.cameras.reasons}</th>
        </tr>
      </thead>
      <tbody>
        {worstFirst.map(({ site, box, condition, reasons }) => {
          const knownCondition = CONDITIONS.find((one) => one === condition);
          return (
            <tr key={`${site}/${box}`}>
              <td>
                {site}/{box}
              </td>
              <td>
                {knownCondition !== undefined && <Shape of={knownCondition} />}{' '}
                {knownCondition === undefined ? plain(condition) : conditions[knownCondition]}
              </td>
              <td>{reasons.map(reasonText).join(' · ')}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

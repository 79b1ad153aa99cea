/** Week screen: alerts, verdicts, times to claim and to close, and cameras out of service, from Monday to Sunday. */
import type { ComponentChildren } from 'preact';
import { Button, Notice } from '../../../../../agent/kit/controls.tsx';
import type { Durations, Week } from '../../contract/week.ts';
import { useKeys } from '../keys.ts';
import { go, search } from '../router.ts';
import { may, nowMs } from '../session.ts';
import { useLoad } from '../views/load.ts';
import { Csv, Head, LoadState, Scroll } from '../views/parts.tsx';
import { PrecisionBar, reviewedCount } from '../views/precision.tsx';
import { count, FEW_VERDICTS, kindText, lasting, ratioText, timeText } from '../views/view-texts.ts';
import { dayAfter, weekNumber } from '../views/week-days.ts';
import { reportWords } from '../words/reports.ts';
import { viewWords } from '../words/views.ts';

/** Noon has the same date in every zone within 11 h of UTC. */
const dayText = (day: string): string => timeText(`${day}T12:00:00.000Z`, 'day');

const DAY = /^\d{4}-\d{2}-\d{2}$/;

/** Query of the week in the URL; an empty text for the current one. */
function queryIn(url: string): string {
  const day = new URLSearchParams(url).get('day') ?? '';
  return DAY.test(day) ? `?day=${day}` : '';
}

export function WeekScreen() {
  const { week } = reportWords.value;
  const query = queryIn(search.value);
  const load = useLoad<Week>(`/api/week${query}`);
  const data = load.data.value;
  const turn = (days: number): void => {
    if (data !== undefined) go(`/week?day=${dayAfter(data.from, days)}`, { replaces: true });
  };
  useKeys({ ArrowLeft: () => turn(-7), ArrowRight: () => turn(7) });
  return (
    <div class="desk d-week" data-screen="week">
      <Head title={data === undefined ? '…' : week.title(weekNumber(data.from))}>
        <Turn name={week.previous} keyName="←" onClick={() => turn(-7)} />
        <Turn name={week.next} keyName="→" onClick={() => turn(7)} />
        {query !== '' && <Button onClick={() => go('/week', { replaces: true })}>{week.current}</Button>}
        {may('export') && <Csv path={`/api/week.csv${query}`} />}
      </Head>
      <LoadState has={data !== undefined} problem={load.problem.value} onAgain={load.reload} />
      {data !== undefined && (
        <div aria-busy={load.isAsking.value}>
          <p class="d-shift">{week.days(dayText(data.from), dayText(data.to))}</p>
          <Limits week={data} />
          <Sums week={data} />
          {data.total.alerts === 0 ? <p>{week.none}</p> : <Days days={data.days} />}
          {data.rules.length > 0 && <Rules week={data} />}
          <OutOfService week={data} />
        </div>
      )}
    </div>
  );
}

function Turn({
  name,
  keyName,
  onClick,
}: {
  readonly name: string;
  readonly keyName: string;
  readonly onClick: () => void;
}) {
  return (
    <Button onClick={onClick}>
      {name}{' '}
      <span class="kbd" aria-hidden="true">
        {keyName}
      </span>
    </Button>
  );
}

/** States what is no longer stored. */
function Limits({ week: { from, total, storedAlerts, storedFrom, sumsFrom } }: { readonly week: Week }) {
  const { week } = reportWords.value;
  const hasBegun = Date.parse(`${from}T00:00:00.000Z`) < nowMs();
  const lines = [
    ...(from < sumsFrom ? [week.sumsOver(dayText(sumsFrom))] : []),
    ...(storedAlerts < total.alerts ? [week.partlyStored(count(storedAlerts), count(total.alerts))] : []),
    ...(storedFrom === null && hasBegun ? [week.nothingStored] : []),
    ...(storedFrom !== null && storedFrom.slice(0, 10) > from ? [week.storedFrom(timeText(storedFrom))] : []),
  ];
  return lines.length === 0 ? null : (
    <Notice tone="info">
      {lines.map((line) => (
        <p key={line}>{line}</p>
      ))}
    </Notice>
  );
}

function Sums({
  week: { total, claim, close, outOfService, outOfServiceS, moreOutOfService },
}: {
  readonly week: Week;
}) {
  const { week } = reportWords.value;
  const { share: right, low, high } = total;
  return (
    <dl class="d-sums d-week-sums">
      <Sum name={week.alerts} value={count(total.alerts)} />
      <Sum name={week.confirmed} value={right === null ? week.noVerdict : ratioText(right)}>
        {low !== null && high !== null && (
          <>
            {week.of(count(reviewedCount(total)))}
            <br />
            {week.between(ratioText(low), ratioText(high))}
          </>
        )}
      </Sum>
      <Times name={week.claim} durations={claim} />
      <Times name={week.close} durations={close} />
      <Sum name={week.outOfService} value={count(outOfService.length + moreOutOfService)}>
        {outOfServiceS > 0 && hoursText(outOfServiceS)}
      </Sum>
    </dl>
  );
}

interface SumProps {
  readonly name: string;
  readonly value: string;
  readonly children?: ComponentChildren;
}

function Sum({ name, value, children }: SumProps) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
      <dd class="d-week-more">{children}</dd>
    </div>
  );
}

function Times({ name, durations }: { readonly name: string; readonly durations: Durations }) {
  const { week } = reportWords.value;
  const { count: measuredCount, medianS, p90S } = durations;
  if (medianS === null || p90S === null) return <Sum name={name} value={week.noTimes} />;
  return (
    <Sum name={name} value={week.median(lasting(medianS))}>
      {week.p90(lasting(p90S))}
      <br />
      {week.count(count(measuredCount))}
    </Sum>
  );
}

function hoursText(seconds: number): string {
  const hours = seconds / 3600;
  return reportWords.value.week.hours(count(hours < 10 ? Math.round(hours * 10) / 10 : Math.round(hours)));
}

function Days({ days }: Pick<Week, 'days'>) {
  const { week } = reportWords.value;
  return (
    <Scroll label={week.day}>
      <table>
        <SumsHead first={week.day} />
        <tbody>
          {days.map((row) => (
            <tr key={row.day}>
              <th scope="row">{dayText(row.day)}</th>
              <SumsCells row={row} />
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function Rules({ week: { rules, moreRules } }: { readonly week: Week }) {
  const { week } = reportWords.value;
  const { statistics } = viewWords.value;
  return (
    <section>
      <h2>{week.rules}</h2>
      <Scroll label={week.rules}>
        <table>
          <SumsHead first={statistics.rule} hasKind />
          <tbody>
            {rules.map((row) => (
              <tr key={`${row.site}/${row.box}/${row.rule}/${row.kind}`}>
                <th scope="row">{`${row.site}/${row.box}/${row.rule}`}</th>
                <td>{kindText(row.kind)}</td>
                <SumsCells row={row} />
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
      {moreRules > 0 && <p class="hint">{week.more(count(moreRules))}</p>}
      {rules.some((row) => reviewedCount(row) < FEW_VERDICTS) && (
        <p class="hint">{statistics.smallHint(FEW_VERDICTS)}</p>
      )}
    </section>
  );
}

function SumsHead({ first, hasKind = false }: { readonly first: string; readonly hasKind?: boolean }) {
  const { statistics } = viewWords.value;
  return (
    <thead>
      <tr>
        <th scope="col">{first}</th>
        {hasKind && <th scope="col">{statistics.by.kind}</th>}
        <th scope="col" class="d-n">
          {statistics.alerts}
        </th>
        <th scope="col">{statistics.precision}</th>
        <th scope="col" class="d-n">
          {statistics.reviewed}
        </th>
        <th scope="col" class="d-n">
          {statistics.unclear}
        </th>
      </tr>
    </thead>
  );
}

function SumsCells({ row }: { readonly row: Week['days'][number] | Week['rules'][number] }) {
  return (
    <>
      <td class="d-n">{count(row.alerts)}</td>
      <td class="d-precision-cell">
        <PrecisionBar of={row} />
      </td>
      <td class="d-n">{count(reviewedCount(row))}</td>
      <td class="d-n">{count(row.unclear)}</td>
    </>
  );
}

function OutOfService({ week: { outOfService, moreOutOfService } }: { readonly week: Week }) {
  const { week } = reportWords.value;
  const { statistics } = viewWords.value;
  return (
    <section>
      <h2>{week.outOfService}</h2>
      <p class="hint">{outOfService.length === 0 ? week.outOfServiceNone : week.outOfServiceHint}</p>
      {outOfService.length > 0 && (
        <Scroll label={week.outOfService}>
          <table>
            <thead>
              <tr>
                <th scope="col">{statistics.by.box}</th>
                <th scope="col" class="d-n">
                  {week.time}
                </th>
              </tr>
            </thead>
            <tbody>
              {outOfService.map(({ site, box, s }) => (
                <tr key={`${site}/${box}`}>
                  <th scope="row">{`${site}/${box}`}</th>
                  <td class="d-n">{hoursText(s)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
      {moreOutOfService > 0 && <p class="hint">{week.moreCameras(count(moreOutOfService))}</p>}
    </section>
  );
}

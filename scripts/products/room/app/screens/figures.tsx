/** Statistics screen: precision of the boxes, with its confidence interval. */
import { signal } from '@preact/signals';
import { Choice } from '../../../../../agent/kit/controls.tsx';
import type { Statistics, StatisticsBy } from '../../contract/figures.ts';
import { may } from '../session.ts';
import { type Interval, IntervalFields, lastHours, queryOf } from '../views/interval.tsx';
import { useLoad } from '../views/load.ts';
import { Csv, Head, LoadState, Scroll } from '../views/parts.tsx';
import { PrecisionBar, reviewedCount } from '../views/precision.tsx';
import { count, FEW_VERDICTS, kindText, lasting, plain, timeText } from '../views/view-texts.ts';
import { viewWords } from '../words/views.ts';
import { words } from '../words/words.ts';

type Row = Statistics['rows'][number];

const DAYS = [24, 7 * 24, 30 * 24, 90 * 24];
const FIRST_DAYS = 30;
/** Order of the list. Repeated here because contract/figures.ts needs a library that the browser lacks. */
const BY: readonly StatisticsBy[] = ['rule', 'kind', 'site', 'box', 'hour', 'day'];

const by = signal<StatisticsBy>('rule');
const interval = signal<Interval | undefined>(undefined);
/** Keeps the first interval; one that moves with the clock would cause endless requests. */
const currentInterval = () => {
  interval.value ??= lastHours(FIRST_DAYS * 24);
  return interval.value;
};

export function StatisticsScreen() {
  const { statistics } = viewWords.value;
  const between = currentInterval();
  const query = `${queryOf(between)}&by=${by.value}`;
  return (
    <div class="desk d-figures" data-screen="figures">
      <Head title={words.value.places.figures}>
        {may('export') && <Csv path={`/api/figures.csv?${query}`} />}
      </Head>
      <p class="hint">{statistics.intro}</p>
      <div class="d-bar">
        <Choice
          label={statistics.byLabel}
          name="by"
          value={by.value}
          options={BY.map((value) => [value, statistics.by[value]] as const)}
          onChoose={(value) => {
            by.value = value as StatisticsBy;
          }}
        />
        <IntervalFields
          value={between}
          presets={DAYS}
          onChange={(next) => {
            interval.value = next;
          }}
        />
      </div>
      <Loaded key={by.value} query={query} />
    </div>
  );
}

/** Recreated for another grouping, so that hours are never shown as rules. */
function Loaded({ query }: { readonly query: string }) {
  const { statistics } = viewWords.value;
  const load = useLoad<Statistics>(`/api/figures?${query}`);
  const data = load.data.value;
  return (
    <>
      <LoadState has={data !== undefined} problem={load.problem.value} onAgain={load.reload} />
      {data !== undefined && (
        <div aria-busy={load.isAsking.value}>
          {data.rows.length === 0 ? <p>{statistics.none}</p> : <Rows rows={data.rows} />}
          <Suppressed muted={data.muted} />
        </div>
      )}
    </>
  );
}

/** Sorts hours and days by time, all others by number of alerts. */
function sorted(rows: readonly Row[]): Row[] {
  if (by.value === 'hour' || by.value === 'day') return [...rows].sort((a, b) => (a.key < b.key ? -1 : 1));
  return [...rows].sort((a, b) => b.alerts - a.alerts || (a.key < b.key ? -1 : 1));
}

function Rows({ rows }: { readonly rows: readonly Row[] }) {
  const { statistics } = viewWords.value;
  const { patrol, suppression } = words.value;
  const hasFew = rows.some((row) => reviewedCount(row) < FEW_VERDICTS);
  return (
    <>
      <Scroll label={statistics.precision}>
        <table>
          <thead>
            <tr>
              <th scope="col">{statistics.by[by.value]}</th>
              <th scope="col" class="d-n">
                {statistics.alerts}
              </th>
              <th scope="col">{statistics.precision}</th>
              <th scope="col" class="d-n">
                {statistics.reviewed}
              </th>
              <th scope="col" class="d-n">
                {statistics.confirmed}
              </th>
              <th scope="col" class="d-n">
                {statistics.falseAlarms}
              </th>
              <th scope="col" class="d-n">
                {statistics.unclear}
              </th>
              <th scope="col" class="d-n" title={statistics.claimHint}>
                {statistics.claim}
              </th>
              <th scope="col" class="d-n" title={patrol.arrivalHint}>
                {patrol.arrival}
              </th>
              <th scope="col" class="d-n" title={suppression.countHint}>
                {suppression.strip}
              </th>
            </tr>
          </thead>
          <tbody>
            {sorted(rows).map((row) => (
              <tr key={row.key}>
                <th scope="row">{keyText(row.key)}</th>
                <td class="d-n">{count(row.alerts)}</td>
                <td class="d-precision-cell">
                  <PrecisionBar of={row} />
                </td>
                <td class="d-n">{count(reviewedCount(row))}</td>
                <td class="d-n">{count(row.confirmed)}</td>
                <td class="d-n">{count(row.falseAlarms)}</td>
                <td class="d-n">{count(row.unclear)}</td>
                <td class="d-n">{row.meanClaimS === null ? '–' : lasting(row.meanClaimS)}</td>
                <td class="d-n">{row.meanArrivalS === null ? '–' : lasting(row.meanArrivalS)}</td>
                <td class="d-n">{count(row.suppressed)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
      {hasFew && <p class="hint">{statistics.smallHint(FEW_VERDICTS)}</p>}
    </>
  );
}

function keyText(key: string): string {
  if (by.value === 'kind') return kindText(key);
  if (by.value === 'hour') return `${plain(key)} h`;
  // Noon has the same date in every zone within 11 h of UTC.
  if (by.value === 'day' && /^\d{4}-\d{2}-\d{2}$/.test(key)) return timeText(`${key}T12:00:00.000Z`, 'day');
  return plain(key);
}

function Suppressed({ muted: suppressedRules }: Pick<Statistics, 'muted'>) {
  const { statistics } = viewWords.value;
  return (
    <section>
      <h2>{statistics.suppressedTitle}</h2>
      <p class="hint">
        {suppressedRules.length === 0 ? statistics.suppressedNone : statistics.suppressedIntro}
      </p>
      {suppressedRules.length > 0 && (
        <Scroll label={statistics.suppressedTitle}>
          <table>
            <thead>
              <tr>
                <th scope="col">{statistics.at}</th>
                <th scope="col">{statistics.by.box}</th>
                <th scope="col">{statistics.rule}</th>
                <th scope="col">{statistics.by.kind}</th>
                <th scope="col" class="d-n">
                  {statistics.suppressed}
                </th>
              </tr>
            </thead>
            <tbody>
              {suppressedRules.map(({ site, box, rule, kind, suppressed, at }) => (
                <tr key={`${site}/${box}/${rule}/${at}`}>
                  <td class="d-time">{timeText(at)}</td>
                  <td>{`${site}/${box}`}</td>
                  <td>{rule}</td>
                  <td>{kindText(kind)}</td>
                  <td class="d-n">{count(suppressed)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
    </section>
  );
}

/** Shows the progress of a search, missing answers and matches. */
import { useSignal } from '@preact/signals';
import { Notice } from '../../../../../agent/kit/controls.tsx';
import type { SearchState } from '../../contract/api.ts';
import { viewWords } from '../words/views.ts';
import { incidentPath, Link, Scroll } from './parts.tsx';
import { count, kindText, placeText, plain, timeText } from './view-texts.ts';

/** Rows drawn before a click loads more: three screens. */
const ROWS = 100;

export function SearchResults({ state }: { readonly state: SearchState }) {
  const { search } = viewWords.value;
  const { askedCount, answeredCount, missing, matches, more } = state;
  return (
    <>
      <h2>
        {plain(state.case)} <span class="quiet">{plain(state.reason)}</span>
      </h2>
      <div class="d-search-progress">
        <progress
          max={Math.max(1, askedCount)}
          value={answeredCount}
          aria-label={search.progress(count(answeredCount), count(askedCount))}
        />
        <p role="status">
          <strong>{state.isDone ? search.completed : search.running}</strong> ·{' '}
          {search.progress(count(answeredCount), count(askedCount))} ·{' '}
          {search.matches(count(matches.length + more))}
        </p>
      </div>
      {state.fault !== null && (
        <Notice tone="bad" urgent>
          {plain(state.fault)}
        </Notice>
      )}
      {missing.length > 0 && (
        <details class="d-missing" open={missing.length <= 10}>
          <summary>{search.missing(count(missing.length))}</summary>
          <ul>
            {missing.map((line) => (
              <li key={line}>{plain(line)}</li>
            ))}
          </ul>
        </details>
      )}
      {more > 0 && <Notice tone="warn">{search.more(count(more))}</Notice>}
      {matches.length === 0 ? (
        <p>{state.isDone ? search.nothing : search.nothingYet}</p>
      ) : (
        <MatchTable matches={matches} />
      )}
    </>
  );
}

function MatchTable({ matches }: Pick<SearchState, 'matches'>) {
  const { search, moreRows, incident } = viewWords.value;
  const rowCount = useSignal(ROWS);
  return (
    <Scroll label={search.matches(count(matches.length))}>
      <table>
        <thead>
          <tr>
            <th scope="col">{search.time}</th>
            <th scope="col">{search.box}</th>
            <th scope="col">{search.kind}</th>
            <th scope="col">{search.place}</th>
            <th scope="col">{search.phase}</th>
            <th scope="col">{search.incident}</th>
            <th scope="col">{search.sealed}</th>
          </tr>
        </thead>
        <tbody>
          {matches.slice(0, rowCount.value).map((event) => (
            <tr key={`${event.box} ${event.event}`}>
              <td class="d-time">{timeText(event.time, 'second')}</td>
              <td>{event.box}</td>
              <td>{kindText(event.kind)}</td>
              <td>{placeText(event.place)}</td>
              <td>{search.phases[event.phase] ?? plain(event.phase)}</td>
              <td>
                {event.incident === null ? (
                  <span class="quiet">–</span>
                ) : (
                  <Link to={incidentPath(event.incident)}>{incident(event.incident)}</Link>
                )}
              </td>
              <td>{event.sealed ? search.stored : <span class="quiet">–</span>}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {matches.length > rowCount.value && (
        <button
          type="button"
          class="button d-small"
          onClick={() => {
            rowCount.value += 5 * ROWS;
          }}
        >
          {moreRows(count(Math.min(5 * ROWS, matches.length - rowCount.value)))}
        </button>
      )}
    </Scroll>
  );
}

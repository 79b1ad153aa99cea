/** Lists the logged-in people for a supervisor, who may end anyone's sessions. */
import { useSignal } from '@preact/signals';
import { Button } from '../../../../../agent/kit/controls.tsx';
import type { Present } from '../../contract/session.ts';
import { explain } from '../acts.ts';
import { ApiProblem, post } from '../api.ts';
import { tell } from '../toasts.ts';
import { viewWords } from '../words/views.ts';
import { words } from '../words/words.ts';
import { useLoad } from './load.ts';
import { LoadState, Scroll } from './parts.tsx';
import { ago, count, plain, timeText } from './view-texts.ts';

export function People() {
  const { people } = viewWords.value;
  const load = useLoad<Present>('/api/sessions');
  const ending = useSignal<string | undefined>(undefined);
  const data = load.data.value;
  const end = async (user: string): Promise<void> => {
    ending.value = user;
    try {
      const { endedCount } = await post<{ endedCount: number }>('/api/sessions/end', { user });
      tell('good', people.sessionsEnded(plain(user), endedCount));
    } catch (error) {
      if (!(error instanceof ApiProblem)) throw error;
      tell('bad', explain(error));
    }
    ending.value = undefined;
    load.reload();
  };
  return (
    <details class="d-people">
      <summary>
        {people.title} {data !== undefined && <span class="quiet">{count(data.people.length)}</span>}
      </summary>
      <p class="quiet">{people.about}</p>
      <LoadState has={data !== undefined} problem={load.problem.value} onAgain={load.reload} />
      {data !== undefined && (
        <Scroll label={people.title}>
          <table>
            <thead>
              <tr>
                <th scope="col">{viewWords.value.audit.account}</th>
                <th scope="col" class="d-n">
                  {people.sessions}
                </th>
                <th scope="col">{people.began}</th>
                <th scope="col">{people.lastUsed}</th>
                <th scope="col">{people.logOut}</th>
              </tr>
            </thead>
            <tbody>
              {data.people.map(({ user, role, sessions, startedAt, lastUsedAt }) => (
                <tr key={`${user} ${role}`}>
                  <td>
                    {plain(user)} <span class="quiet">{words.value.roles[role]}</span>
                  </td>
                  <td class="d-n">{count(sessions)}</td>
                  <td class="d-time">{timeText(startedAt)}</td>
                  <td class="d-time">{ago(lastUsedAt)}</td>
                  <td>
                    <Button
                      aria-label={`${people.end}: ${plain(user)}`}
                      disabled={ending.value !== undefined}
                      onClick={() => void end(user)}
                    >
                      {people.end}
                    </Button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
    </details>
  );
}

/** Starts the room's console in a browser. */
import { effect } from '@preact/signals';
import { render } from 'preact';
import type { Session } from '../contract/session.ts';
import { explain } from './acts.ts';
import { startAlarm } from './alarm/alarm.ts';
import { ApiProblem, get, post, takeKept } from './api.ts';
import { startFocus } from './focus.ts';
import { startKeys } from './keys.ts';
import { Frame } from './parts/frame.tsx';
import { loadPatrols } from './patrols.ts';
import { startEndedClaims } from './queue/ended-claims.ts';
import { waiting } from './queue/store.ts';
import { startRouter } from './router.ts';
import { session, startClock, took } from './session.ts';
import { startFeed } from './stream.ts';
import { startTheme } from './theme.ts';
import { tell } from './toasts.ts';
import { words } from './words/words.ts';

const root = document.getElementById('app');
if (root === null) throw new Error('index.html: the element #app is missing');
startTheme();
startRouter();
startClock();
startKeys();
startFocus(root);
effect(() => {
  document.title = waiting.value > 0 ? `(${waiting.value}) Vigie` : 'Vigie';
});
await enter();
render(<Frame />, root);
if (session.value !== undefined) {
  startAlarm();
  startEndedClaims();
  await sendKept(session.value.user);
  await startFeed();
  await loadPatrols();
}

async function enter(): Promise<void> {
  try {
    took(await get<Session>('/api/session'));
  } catch (error) {
    if (!(error instanceof ApiProblem)) throw error;
    if (error.status !== 401) tell('bad', explain(error));
  }
}

/** Sends the actions stored during a login, except those of another person. */
async function sendKept(user: string): Promise<void> {
  const actions = takeKept();
  const { login } = words.value;
  let sentCount = 0;
  for (const { path, body, key, ...action } of actions) {
    if (action.user !== user) continue;
    try {
      await post(path, body, { key });
      sentCount += 1;
    } catch (error) {
      tell('bad', explain(error));
    }
  }
  if (sentCount > 0) tell('good', login.actionsSent(sentCount));
  const otherActions = actions.filter((action) => action.user !== user);
  if (otherActions[0] !== undefined) tell('bad', login.notSent(otherActions[0].user, otherActions.length));
}

/** Login screen, also shown when a session ends during work. */
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { Button, Notice } from '../../../../../agent/kit/controls.tsx';
import { language, setLanguage } from '../../../../../agent/kit/words.ts';
import type { Login, Session } from '../../contract/session.ts';
import { ENTER_PATH } from '../../contract/terms.ts';
import { explain } from '../acts.ts';
import { ApiProblem, get, post } from '../api.ts';
import { keepPlace } from '../router.ts';
import { expired, session, took } from '../session.ts';
import { words } from '../words/words.ts';

interface LoginProps {
  /** Called after the first login, or when another person has logged in. */
  readonly onEntered: () => void;
}

export function LoginScreen({ onEntered }: LoginProps) {
  const { login, roles, frame } = words.value;
  const other = language.value === 'fr' ? 'en' : 'fr';
  const ways = useSignal<Login | undefined>(undefined);
  const problem = useSignal<string | undefined>(undefined);
  const title = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    title.current?.focus();
    void (async () => {
      try {
        ways.value = await get<Login>('/api/login');
      } catch (error) {
        problem.value = explain(error);
      }
    })();
  }, [ways, problem]);
  const enter = async (name: string): Promise<void> => {
    const before = session.value?.user;
    try {
      took(await post<Session>('/api/login', { name }));
      if (session.value?.user !== before) onEntered();
    } catch (error) {
      if (!(error instanceof ApiProblem)) throw error;
      problem.value = explain(error);
    }
  };
  return (
    <main class="login" id="content">
      <header>
        <p class="brand">Vigie</p>
        <button type="button" class="small" lang={other} onClick={() => setLanguage(other)}>
          {frame.language}
        </button>
      </header>
      <h1 tabIndex={-1} ref={title}>
        {login.title}
      </h1>
      {expired.value && session.value !== undefined && (
        <Notice tone="info">{login.expired(session.value.user)}</Notice>
      )}
      {problem.value !== undefined && (
        <Notice tone="bad" urgent>
          {problem.value}
        </Notice>
      )}
      {ways.value === undefined && problem.value === undefined && <p role="status">{frame.loading}</p>}
      {ways.value?.method === 'oidc' && (
        <a class="button main" href={ENTER_PATH} onClick={keepPlace}>
          {login.oidc}
        </a>
      )}
      {ways.value?.method === 'local' && (
        <>
          <p class="quiet">{login.demo}</p>
          {ways.value.accounts.length === 0 && <Notice tone="info">{login.byLink}</Notice>}
          {ways.value.accounts.map(({ name, role }) => (
            <Button key={name} data-account={name} onClick={() => void enter(name)}>
              {login.as(name, roles[role])}
            </Button>
          ))}
        </>
      )}
    </main>
  );
}

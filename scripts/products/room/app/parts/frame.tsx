/** Frame of every screen: header, connection state, content, messages and dialogs. */
import { useSignal } from '@preact/signals';
import { useEffect, useLayoutEffect } from 'preact/hooks';
import { Button, Notice } from '../../../../../agent/kit/controls.tsx';
import { language, setLanguage } from '../../../../../agent/kit/words.ts';
import { explain } from '../acts.ts';
import { post } from '../api.ts';
import { isHelpOpen } from '../keys.ts';
import { isMapShown } from '../queue/map-place.ts';
import { waiting } from '../queue/store.ts';
import { go, openNo, type Place, path, place, placesOf } from '../router.ts';
import { IncidentScreen } from '../screens/incident-view.tsx';
import { LoginScreen } from '../screens/login.tsx';
import { QueueScreen } from '../screens/queue.tsx';
import { loadView, retryView, viewOf } from '../screens/views.ts';
import { expired, session } from '../session.ts';
import { link, tellSessionOver } from '../stream.ts';
import { nextTheme, theme } from '../theme.ts';
import { tell } from '../toasts.ts';
import { words } from '../words/words.ts';
import { AlarmButton, SoundLine } from './alarm-button.tsx';
import { DemoClock, RoomClock } from './clock.tsx';
import { Dialogs } from './dialogs.tsx';
import { LookDialog } from './look-dialog.tsx';
import { LinkMark } from './marks.tsx';
import { NotesDialog } from './notes-dialog.tsx';
import { PatrolDialog } from './patrol-dialog.tsx';
import { QueueMap } from './queue-map.tsx';
import { SuppressDialog } from './suppress-dialog.tsx';
import { Toasts } from './toast-list.tsx';

/** During a login within a session, the work stays in the page but is hidden. */
export function Frame() {
  if (session.value === undefined) return <LoginScreen onEntered={() => location.reload()} />;
  return (
    <>
      {expired.value && <LoginScreen onEntered={() => location.reload()} />}
      <div class="frame" hidden={expired.value}>
        <a class="skip" href="#content">
          {words.value.frame.skip}
        </a>
        <Header />
        <Connection />
        <DemoClock />
        <SoundLine />
        <Screen />
      </div>
      {!expired.value && <Dialogs />}
      {!expired.value && <LookDialog />}
      {!expired.value && <NotesDialog />}
      {!expired.value && <PatrolDialog />}
      {!expired.value && <SuppressDialog />}
      <Toasts />
    </>
  );
}

function Header() {
  const { frame, roles, places } = words.value;
  const now = session.value;
  const isMenuOpen = useSignal(false);
  useLayoutEffect(() => {
    isMenuOpen.value = false;
  }, [path.value, isMenuOpen]);
  if (now === undefined) return null;
  const other = language.value === 'fr' ? 'en' : 'fr';
  return (
    <header class={isMenuOpen.value ? 'top menu-open' : 'top'}>
      <p class="brand">Vigie</p>
      <button
        type="button"
        class="small menu"
        aria-expanded={isMenuOpen.value}
        onClick={() => {
          isMenuOpen.value = !isMenuOpen.value;
        }}
      >
        <span aria-hidden="true">☰</span> <span class="unseen">{frame.menu}, </span>
        {places[place.value]}
        {place.value === 'queue' && waiting.value > 0 && <span class="count">{waiting.value}</span>}
      </button>
      <nav aria-label={frame.nav}>
        {placesOf(now).map((one) => (
          <PlaceLink key={one} to={one} text={places[one]} />
        ))}
      </nav>
      <RoomClock />
      <p class={`link ${link.value}`} role="status">
        <LinkMark link={link.value} /> {frame.links[link.value]}
      </p>
      <p class="who">
        <b>{now.user}</b> <span>{roles[now.role]}</span>
      </p>
      <AlarmButton />
      <button type="button" class="small" id="language" lang={other} onClick={() => setLanguage(other)}>
        {frame.language}
      </button>
      <button
        type="button"
        class="small square"
        id="theme"
        aria-label={frame.theme[theme.value]}
        title={frame.theme[theme.value]}
        onClick={nextTheme}
      >
        <svg class="mark" viewBox="0 0 20 20" aria-hidden="true">
          <circle cx="10" cy="10" r="7" class="drawn" />
          {theme.value !== 'light' && (
            <path
              d={theme.value === 'dark' ? 'M10 3a7 7 0 0 1 0 14a7 7 0 0 1 0-14z' : 'M10 3a7 7 0 0 1 0 14z'}
              class="filled"
            />
          )}
        </svg>
      </button>
      <button
        type="button"
        class="small square"
        id="help"
        aria-label={frame.help}
        title={frame.help}
        onClick={() => {
          isHelpOpen.value = true;
        }}
      >
        ?
      </button>
      <button type="button" class="small" id="logout" onClick={() => void leave()}>
        {frame.logout}
      </button>
    </header>
  );
}

async function leave(): Promise<void> {
  try {
    await post('/api/logout', {});
    tellSessionOver();
    location.assign('/');
  } catch (error) {
    tell('bad', explain(error));
  }
}

function PlaceLink({ to, text }: { readonly to: Place; readonly text: string }) {
  const isHere = place.value === to;
  const count = to === 'queue' ? waiting.value : 0;
  return (
    <a
      href={`/${to}`}
      aria-current={isHere ? 'page' : undefined}
      onClick={(event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        go(`/${to}`);
      }}
    >
      {text}
      {count > 0 && <span class="count">{count}</span>}
    </a>
  );
}

function Connection() {
  const { frame } = words.value;
  return (
    <div aria-live="assertive" class="connection">
      {link.value === 'disconnected' && <Notice tone="bad">{frame.lostNotice}</Notice>}
      {link.value === 'unavailable' && <Notice tone="warn">{frame.unavailableNotice}</Notice>}
    </div>
  );
}

function Screen() {
  const now = place.value;
  const isOpen = openNo.value !== undefined;
  // Moves the focus to the title, so that screen readers announce the change. Runs before the next key press, because
  // that may focus a field, and its text must stay there.
  useLayoutEffect(() => {
    if (openNo.value === undefined) document.querySelector<HTMLElement>('main h1')?.focus();
  }, [now, isOpen]);
  if (now !== 'queue') {
    const isAllowed = session.value !== undefined && placesOf(session.value).includes(now);
    // The list of closed incidents has the layout of the queue, with an incident beside it.
    const layout = now === 'closed' ? (isOpen ? 'work opened' : 'work') : 'screen';
    return (
      <main id="content" class={layout} tabIndex={-1}>
        {isAllowed ? <View key={now} of={now} /> : <Notice tone="info">{words.value.frame.noPlace}</Notice>}
      </main>
    );
  }
  return (
    <main
      id="content"
      class={`work${isOpen ? ' opened' : ''}${isMapShown.value ? ' mapped' : ''}`}
      tabIndex={-1}
    >
      <QueueScreen />
      {openNo.value !== undefined && <IncidentScreen no={openNo.value} />}
      <QueueMap />
    </main>
  );
}

/** A screen beside the queue, which is loaded when it is opened first. */
function View({ of }: { readonly of: Exclude<Place, 'queue'> }) {
  const { frame } = words.value;
  const Loaded = viewOf(of);
  useEffect(() => void loadView(of), [of]);
  useLayoutEffect(() => {
    if (typeof Loaded === 'function') document.querySelector<HTMLElement>('main h1')?.focus();
  }, [Loaded]);
  if (typeof Loaded === 'function') return <Loaded />;
  if (Loaded === 'loading') return <p role="status">{frame.loading}</p>;
  return (
    <Notice tone="bad">
      {frame.notLoaded} <Button onClick={() => void retryView(of)}>{frame.retry}</Button>
    </Notice>
  );
}

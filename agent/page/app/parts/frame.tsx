/** Frame of every screen: name of the box, language, steps, a running trial, and navigation. */
import { useSignal } from '@preact/signals';
import type { ComponentType } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';
import { Button, Notice } from '../../../kit/controls.tsx';
import { language, setLanguage } from '../../../kit/words.ts';
import { wantsPicture } from '../preview.ts';
import { AimScreen } from '../screens/aim.tsx';
import { CameraScreen } from '../screens/camera.tsx';
import { FiresScreen } from '../screens/fires.tsx';
import { GoScreen } from '../screens/go.tsx';
import { PairScreen } from '../screens/pair.tsx';
import { ReceiptScreen } from '../screens/receipt.tsx';
import { RulesScreen } from '../screens/rules.tsx';
import { TryScreen } from '../screens/try.tsx';
import { WalkScreen } from '../screens/walk.tsx';
import { ZonesScreen } from '../screens/zones.tsx';
import { type Screen, STEPS } from '../screens.ts';
import { hello, isUnreachable, page, screen, show, trial, trouble } from '../store.ts';
import { canTry, tryDraft } from '../trial.ts';
import { words } from '../words/words.ts';
import { BesidePicture } from './beside-picture.tsx';
import { TrialActions, TrialBar } from './trial-bar.tsx';
import { lacksConfiguration, UnreadableConfig } from './unreadable-config.tsx';
import { UnsentActs } from './unsent-acts.tsx';

const VIEWS: Readonly<Record<Screen, ComponentType>> = {
  pair: PairScreen,
  camera: CameraScreen,
  aim: AimScreen,
  zones: ZonesScreen,
  rules: RulesScreen,
  fires: FiresScreen,
  try: TryScreen,
  walk: WalkScreen,
  go: GoScreen,
  receipt: ReceiptScreen,
};

export function Frame() {
  const now = screen.value;
  const View = VIEWS[now];
  const title = useRef<HTMLHeadingElement>(null);
  const first = useRef(true);
  // Moves the focus, so that screen readers announce the new screen before the next key.
  useLayoutEffect(() => {
    if (!first.current) title.current?.focus();
    first.current = false;
  }, [now]);
  return (
    <div class="page" data-screen={now} data-picture={wantsPicture.value}>
      <header class="top">
        <p class="name">
          Vigie <strong>{hello.value?.box ?? ''}</strong>
        </p>
        <Button
          id="language"
          lang={language.value === 'fr' ? 'en' : 'fr'}
          onClick={() => setLanguage(language.value === 'fr' ? 'en' : 'fr')}
        >
          {words.value.language}
        </Button>
      </header>
      {now !== 'pair' && <Stepper now={now} />}
      <main>
        <h1 tabindex={-1} ref={title}>
          {words.value.screens[now]}
        </h1>
        {now !== 'pair' && <TrialBar />}
        <div aria-live="assertive">
          {isUnreachable.value && now !== 'pair' && (
            <Notice tone="bad">{words.value.errors['unreachable']}</Notice>
          )}
          {trouble.value !== undefined && <Notice tone="bad">{trouble.value}</Notice>}
          <UnsentActs />
          <UnreadableConfig screen={now} />
        </div>
        <BesidePicture />
        {now !== 'pair' && page.value === undefined ? (
          <p>{words.value.loading}</p>
        ) : (
          !lacksConfiguration(now) && <View />
        )}
      </main>
      {now !== 'pair' && (trial.value === null ? <Way now={now} /> : <TrialActions />)}
    </div>
  );
}

function Stepper({ now }: { readonly now: Screen }) {
  const open = useSignal(false);
  const at = (STEPS as readonly Screen[]).indexOf(now);
  const go = (step: Screen) => {
    open.value = false;
    show(step);
  };
  return (
    <nav class="steps" aria-label={words.value.allSteps}>
      <Button id="steps" aria-expanded={open.value} onClick={() => (open.value = !open.value)}>
        <span>
          {words.value.step(at + 1, STEPS.length)} · {words.value.screens[now]}
        </span>
        <span aria-hidden="true">{open.value ? '▴' : '▾'}</span>
      </Button>
      <div class="progress" aria-hidden="true">
        {STEPS.map((step, i) => (
          <span key={step} class={i < at ? 'done' : i === at ? 'now' : ''} />
        ))}
      </div>
      {open.value && (
        <ol>
          {STEPS.map((step) => (
            <li key={step}>
              <Button
                aria-current={step === now ? 'step' : undefined}
                onClick={() => go(step)}
                data-step={step}
              >
                {words.value.screens[step]}
              </Button>
            </li>
          ))}
        </ol>
      )}
    </nav>
  );
}

/** Opens the next screen. Opening the trial screen also starts the trial, if it is possible. */
function goOn(next: Screen): void {
  const tries = next === 'try' && canTry.value;
  show(next);
  if (tries) void tryDraft();
}

function Way({ now }: { readonly now: Screen }) {
  const at = (STEPS as readonly Screen[]).indexOf(now);
  const before = STEPS[at - 1];
  const next = STEPS[at + 1];
  return (
    <nav class="way" aria-label={words.value.nextStep}>
      {before !== undefined && (
        <Button id="back" onClick={() => show(before)}>
          ← {words.value.previousStep}
        </Button>
      )}
      {next !== undefined && (
        <Button id="next" tone="main" onClick={() => goOn(next)}>
          {next === 'try' && canTry.value ? words.value.try.go : words.value.screens[next]} →
        </Button>
      )}
    </nav>
  );
}

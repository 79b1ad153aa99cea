/** Walk test screen: a scene is acted several times, and the box's detections of it are counted. */
import { signal } from '@preact/signals';
import type { WalkView } from '../../../contract/page-link.ts';
import { Button, Choice, Field, Notice } from '../../../kit/controls.tsx';
import { cancelCountdown, countdownS, DELAYS_S, startCountdown } from '../countdown.ts';
import { changes, installed } from '../draft.ts';
import { PASSES_MAX } from '../limits.ts';
import { TrialFate } from '../parts/trial-fate.tsx';
import { perform } from '../repeated-acts.ts';
import { placeOf } from '../rule-fields.ts';
import { agent, refresh } from '../store.ts';
import { allowSound } from '../walk-cues.ts';
import { number, words } from '../words/words.ts';

const PASSES = 5;
/** Default delay before a pass, in s. */
const DELAY_S = 10;

async function answer(choice: 'go' | 'repeat' | 'abort'): Promise<void> {
  cancelCountdown();
  await perform('walk-answer', { answer: choice });
  await refresh();
}

/** The selection stays while the box is unreachable for a moment and the screen is created again. */
const chosenRule = signal<string | undefined>(undefined);
const passes = signal(String(PASSES));
const delayS = signal(String(DELAY_S));

/** Starts the next pass after the chosen delay. Must be called in a tap. */
function startPass(): void {
  allowSound();
  if (delayS.value === '0') void answer('go');
  else startCountdown(Number(delayS.value), () => void answer('go'));
}

export function WalkScreen() {
  const { walk } = words.value;
  const test = agent.value?.walk ?? null;
  const runs =
    test !== null && (test.phase === 'ready' || test.phase === 'watching' || test.phase === 'done');
  return (
    <>
      <div aria-live="polite">
        <TrialFate />
      </div>
      <p>{walk.intro}</p>
      {changes.value.length > 0 && <Notice tone="warn">{walk.draft}</Notice>}
      {test !== null && <Test test={test} />}
      {!runs && <Begin isRepeat={test !== null} />}
    </>
  );
}

function Begin({ isRepeat }: { readonly isRepeat: boolean }) {
  const { walk, kinds } = words.value;
  const rules = installed.value?.rules ?? [];
  const rule = rules.find(({ id }) => id === chosenRule.value)?.id ?? rules[0]?.id ?? '';
  const passCount = Number(passes.value);
  const fine = Number.isInteger(passCount) && passCount >= 1 && passCount <= PASSES_MAX;
  if (rules.length === 0) return <Notice tone="info">{walk.none}</Notice>;
  const start = async (): Promise<void> => {
    allowSound();
    const outcome = await perform('walk-start', { rule, passes: passCount });
    // A user who starts the test is ready for its first pass.
    if (outcome === 'done') startPass();
    await refresh();
  };
  const range = words.value.rules.range('1', String(PASSES_MAX));
  return (
    <section>
      {isRepeat && <h2>{walk.anotherTest}</h2>}
      <Choice
        label={walk.rule}
        name="walk-rule"
        value={rule}
        options={rules.map((one) => [one.id, `${kinds[one.kind]} · ${placeOf(one)}`])}
        onChoose={(id) => {
          chosenRule.value = id;
        }}
      />
      <Field
        label={walk.passes}
        type="number"
        inputMode="numeric"
        min={1}
        max={PASSES_MAX}
        value={passes.value}
        {...(fine ? { hint: range } : { problem: range })}
        onText={(text) => {
          passes.value = text;
        }}
      />
      <Delay />
      <p class="hint">{walk.cues}</p>
      <Button id="walk-start" tone="main" disabled={!fine} onClick={() => void start()}>
        {walk.start}
      </Button>
    </section>
  );
}

function Delay() {
  const { walk } = words.value;
  return (
    <Choice
      label={walk.delay}
      name="walk-delay"
      value={delayS.value}
      options={DELAYS_S.map((s) => [String(s), s === 0 ? walk.atOnce : walk.afterS(String(s))])}
      onChoose={(s) => {
        delayS.value = s;
      }}
    />
  );
}

/** Seconds until the pass begins, readable from the place where the scene is acted. */
function Countdown({ secondsLeft }: { readonly secondsLeft: number }) {
  const { walk } = words.value;
  return (
    <div id="countdown">
      <p>
        <strong>{walk.goThere}</strong>
      </p>
      <p class="countdown" role="timer" aria-label={walk.startsIn(String(secondsLeft))}>
        {secondsLeft}
      </p>
      <Button id="countdown-stop" onClick={cancelCountdown}>
        {walk.stopCountdown}
      </Button>
    </div>
  );
}

function Test({ test }: { readonly test: WalkView }) {
  const { walk } = words.value;
  const { phase, outcomes, passes, passedS, windowS } = test;
  const seenCount = outcomes.filter((outcome) => outcome === 'seen').length;
  return (
    <section class="panel" id="walk" data-phase={phase}>
      <h2>
        {test.rule} ·{' '}
        {phase === 'ready' || phase === 'watching'
          ? walk.pass(Math.min(outcomes.length + 1, passes), passes)
          : walk.result(seenCount, outcomes.length)}
      </h2>
      <ol class="outcomes">
        {outcomes.map((outcome, i) => (
          <li key={i} class={outcome}>
            {walk.outcome[outcome]}
          </li>
        ))}
      </ol>
      {phase === 'ready' && countdownS.value !== undefined && <Countdown secondsLeft={countdownS.value} />}
      {phase === 'watching' && (
        <>
          <p>
            <strong>{walk.watching}</strong>
          </p>
          <progress value={passedS} max={windowS || 1} aria-label={walk.watching} />
          <p>{walk.time(number(passedS), number(windowS))}</p>
        </>
      )}
      <div aria-live="assertive">
        <Last test={test} />
      </div>
      <Answers test={test} />
    </section>
  );
}

function Last({ test: { last, phase } }: { readonly test: WalkView }) {
  const { walk, walkLast } = words.value;
  if (phase === 'kept') return <Notice tone="good">{walk.savedNote}</Notice>;
  if (last === null) return null;
  return (
    <Notice tone={last.code === 'seen' ? 'good' : last.code === 'missed' ? 'bad' : 'warn'}>
      {walkLast[last.code]}
      {last.code === 'seen' && last.seconds !== null && walk.after(number(last.seconds, 1))}
    </Notice>
  );
}

function Answers({ test: { phase, outcomes } }: { readonly test: WalkView }) {
  const { walk } = words.value;
  if (phase === 'kept' || phase === 'over') return null;
  return (
    <>
      {phase === 'ready' && countdownS.value === undefined && (
        <>
          <Delay />
          <Button id="walk-go" tone="main" onClick={startPass}>
            {walk.go}
          </Button>
        </>
      )}
      {phase === 'done' && (
        <Button id="walk-keep" tone="main" onClick={() => void answer('go')}>
          {walk.keep}
        </Button>
      )}
      <div class="row">
        {phase !== 'watching' && countdownS.value === undefined && outcomes.length > 0 && (
          <Button id="walk-repeat" onClick={() => void answer('repeat')}>
            {walk.repeat}
          </Button>
        )}
        <Button id="walk-abort" tone="danger" onClick={() => void answer('abort')}>
          {walk.abort}
        </Button>
      </div>
    </>
  );
}

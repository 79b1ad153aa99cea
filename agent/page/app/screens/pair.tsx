/** Pairing screen: the code on the label authorises a phone to change the box. */
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { Button, Field, Notice } from '../../../kit/controls.tsx';
import { minutesAndSeconds } from '../../../kit/time.ts';
import { ask, RefusalError } from '../api.ts';
import { forgetCode, setupCode, storeCode } from '../setup-code.ts';
import { agent, explain, hello, refresh, show } from '../store.ts';
import { words } from '../words/words.ts';

/** Time that the phone waits for the agent before it continues without it. */
const FIRST_WORD_MS = 5000;
const ASK_AGAIN_MS = 500;
/** Time for the answer, after which the phone repeats the same attempt. */
const PAIR_WITHIN_MS = 10_000;
const PAIR_AGAIN_MS = 2000;

/** A busy box may miss the first request for its state. */
async function firstWord(): Promise<void> {
  const untilMs = Date.now() + FIRST_WORD_MS;
  for (;;) {
    await refresh();
    if (agent.value !== null || Date.now() >= untilMs) return;
    await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
  }
}

interface Problem {
  readonly text: () => string;
  readonly untilMs: number;
}

export function PairScreen() {
  const problem = useSignal<Problem | undefined>(undefined);
  const nowMs = useSignal(Date.now());
  const busy = useSignal(false);
  const isUnanswered = useSignal(false);
  useEffect(() => {
    const timer = setInterval(() => {
      nowMs.value = Date.now();
    }, 500);
    return () => clearInterval(timer);
  }, [nowMs]);
  const { pair, pairing } = words.value;
  const waitS = Math.max(0, ((problem.value?.untilMs ?? 0) - nowMs.value) / 1000);

  const submit = async (): Promise<void> => {
    busy.value = true;
    if (!isUnanswered.value) problem.value = undefined;
    try {
      await ask('POST', '/api/pair', storeCode(), PAIR_WITHIN_MS);
      forgetCode();
      setupCode.value = '';
      if (hello.value !== undefined) hello.value = { ...hello.value, paired: true };
      await firstWord();
      // A camera that delivers pictures needs no check of its address.
      show(agent.value?.status.report.camera.state === 'streaming' ? 'aim' : 'camera');
    } catch (error) {
      problem.value = problemOf(error);
      const { status } = error as RefusalError;
      if (status === 401) forgetCode();
      isUnanswered.value = status === 0;
    }
    busy.value = false;
  };
  // The box may have paired this phone although its answer was lost. The same attempt is admitted again.
  useEffect(() => {
    if (!isUnanswered.value || busy.value) return;
    const timer = setTimeout(() => void submit(), PAIR_AGAIN_MS);
    return () => clearTimeout(timer);
  }, [isUnanswered.value, busy.value]);

  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      <p>{pair.intro}</p>
      <Field
        label={pair.code}
        hint={pair.hint}
        name="code"
        value={setupCode.value}
        autocomplete="off"
        autocapitalize="characters"
        spellcheck={false}
        maxLength={40}
        required
        onText={(text) => {
          setupCode.value = text;
          isUnanswered.value = false;
        }}
      />
      <Button type="submit" id="pair" tone="main" disabled={busy.value || waitS > 0}>
        {pair.go}
      </Button>
      <div aria-live="assertive">
        {problem.value !== undefined && <Notice tone="bad">{problem.value.text()}</Notice>}
      </div>
      {isUnanswered.value && (
        <p class="wait" id="unsent">
          {pair.unsent}
        </p>
      )}
      {waitS > 0 && <p class="wait">{pair.wait(minutesAndSeconds(waitS))}</p>}
    </form>
  );

  function problemOf(error: unknown): Problem {
    const {
      error: reason = '',
      left: triesLeft,
      retryInS,
    } = error instanceof RefusalError ? error.refusal : {};
    nowMs.value = Date.now();
    const untilMs = retryInS === undefined ? 0 : nowMs.value + retryInS * 1000;
    if (!(reason in pairing)) {
      const errorText = explain(error);
      return { untilMs, text: () => errorText };
    }
    const text = () => {
      const refusalText = words.value.pairing[reason as keyof typeof pairing];
      return triesLeft === undefined
        ? refusalText
        : `${refusalText} ${words.value.pair.triesLeft(triesLeft)}`;
    };
    return { untilMs, text };
  }
}

/** Bar for a running trial, on every screen, and its two actions at the bottom of the screen. */

import { Button } from '../../../kit/controls.tsx';
import { Ring } from '../../../kit/ring.tsx';
import { TRIAL_SECONDS } from '../limits.ts';
import { openActs } from '../repeated-acts.ts';
import { endTrial, isEndUnknown, leftS } from '../trial.ts';
import { words } from '../words/words.ts';

export function TrialBar() {
  const secondsLeft = leftS.value;
  if (secondsLeft === undefined) return null;
  const { running, goesBack, endUnknown, timeLeft: leftWord } = words.value.try;
  return (
    <section class="trial" aria-label={running}>
      <Ring leftS={secondsLeft} ofS={TRIAL_SECONDS} label={leftWord} />
      <p>
        <strong>{running}.</strong> {isEndUnknown.value ? endUnknown : goesBack}
      </p>
    </section>
  );
}

/** Replaces the buttons to the next and the previous screen, so that the large button ends the trial. */
export function TrialActions() {
  const { running, keep, revert } = words.value.try;
  return (
    <nav class="way" aria-label={running}>
      <Button
        id="revert"
        disabled={openActs.value.includes('revert')}
        onClick={() => void endTrial('revert')}
      >
        {revert}
      </Button>
      <Button
        id="keep"
        tone="main"
        disabled={openActs.value.includes('keep')}
        onClick={() => void endTrial('keep')}
      >
        {keep}
      </Button>
    </nav>
  );
}

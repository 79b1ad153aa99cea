/** Bar for a running trial, on every screen, with its two actions. */

import { Button } from '../../../kit/controls.tsx';
import { Ring } from '../../../kit/ring.tsx';
import { TRIAL_SECONDS } from '../limits.ts';
import { endTrial, leftS } from '../trial.ts';
import { words } from '../words/words.ts';

export function TrialBar() {
  const secondsLeft = leftS.value;
  if (secondsLeft === undefined) return null;
  const { running, goesBack, keep, revert, timeLeft: leftWord } = words.value.try;
  return (
    <section class="trial" aria-label={running}>
      <Ring leftS={secondsLeft} ofS={TRIAL_SECONDS} label={leftWord} />
      <p>
        <strong>{running}.</strong> {goesBack}
      </p>
      <div class="row">
        <Button id="revert" onClick={() => void endTrial('revert')}>
          {revert}
        </Button>
        <Button id="keep" tone="main" onClick={() => void endTrial('keep')}>
          {keep}
        </Button>
      </div>
    </section>
  );
}

/** Notice of the outcome of the last trial. */
import { Notice } from '../../../kit/controls.tsx';
import { trial } from '../store.ts';
import { fate } from '../trial.ts';
import { words } from '../words/words.ts';

export function TrialFate() {
  const texts = words.value.try;
  if (fate.value === undefined || trial.value !== null) return null;
  const text = {
    kept: texts.appliedNote,
    'went-back': texts.wentBack,
    'too-late': texts.tooLate,
    reverted: texts.reverted,
  }[fate.value];
  return (
    <div id="fate" data-fate={fate.value}>
      <Notice tone={fate.value === 'kept' ? 'good' : 'warn'}>{text}</Notice>
    </div>
  );
}

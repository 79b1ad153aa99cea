/** Notice of the acts that have not reached the box, with the way to drop them. */
import { Button, Notice } from '../../../kit/controls.tsx';
import { clearActs, unsentActs } from '../repeated-acts.ts';
import { words } from '../words/words.ts';

export function UnsentActs() {
  const { unsent } = words.value;
  if (unsentActs.value.length === 0) return null;
  const names = unsentActs.value.map((kind) => unsent.acts[kind]).join(', ');
  return (
    <div id="unsent" role="status">
      <Notice tone="warn">
        <strong>
          {unsent.title} {names}.
        </strong>{' '}
        {unsent.note}
        <Button id="clear-acts" onClick={clearActs}>
          {unsent.clear}
        </Button>
      </Notice>
    </div>
  );
}

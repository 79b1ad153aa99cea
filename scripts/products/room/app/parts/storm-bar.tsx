/** Actions on a storm as a whole: its rule can be suppressed if all of it is of one rule. */
import type { Storm } from '../queue/lines.ts';
import { isSuppressible, suppressing } from '../suppressions.ts';
import { words } from '../words/words.ts';

function suppressStorm({ of, members }: Storm): (() => void) | undefined {
  const [first] = members;
  if (of !== 'box' || first === undefined || !members.every(isSuppressible)) return undefined;
  return () => {
    suppressing.value = first;
  };
}

/** Returns the keys for useKeys. */
export function stormKeys(storm: Storm): Record<string, () => void> {
  const run = suppressStorm(storm);
  return run === undefined ? {} : { s: run };
}

export function StormBar({ storm }: { readonly storm: Storm }) {
  const { actions } = words.value;
  const run = suppressStorm(storm);
  return (
    <div class="acts">
      <p class="quiet">{actions.storm}</p>
      {run !== undefined && (
        <button type="button" class="act suppress" aria-keyshortcuts="s" onClick={run}>
          {actions.suppress}{' '}
          <span class="kbd" aria-hidden="true">
            s
          </span>
        </button>
      )}
    </div>
  );
}

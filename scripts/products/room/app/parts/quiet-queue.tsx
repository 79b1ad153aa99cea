/**
 * Text of an empty queue, which tells whether an alert can come at all, with the cameras that prevent it. It is loaded
 * with the words of the cameras' conditions when the queue is empty.
 */
import { useEffect } from 'preact/hooks';
import type { Camera } from '../../contract/camera.ts';
import type { Condition } from '../../contract/terms.ts';
import { session } from '../session.ts';
import { fleet, inOrder, keyOf, watchFleet } from '../views/fleet.ts';
import { reasonText } from '../views/view-texts.ts';
import { viewWords } from '../words/views.ts';
import { words } from '../words/words.ts';

/** Conditions in which a camera raises no alert. */
const SILENT: readonly Condition[] = ['offline', 'blind', 'suspended'];
/** Cameras that are named; more are counted. */
const NAMED_MAX = 5;

const isSilent = ({ condition }: Camera): boolean => SILENT.includes(condition);

function reasonsOf({ condition, reasons }: Camera): string {
  const { conditions } = viewWords.value;
  return [conditions[condition], ...reasons.map(reasonText)].join(' · ');
}

export function QuietQueue() {
  useEffect(watchFleet, []);
  const { queue } = words.value;
  const { cannot } = viewWords.value;
  if (fleet.value === undefined) return <p class="empty">{queue.empty}</p>;
  const all = inOrder.value;
  const silent = all.filter(isSilent);
  const isNone = silent.length === all.length;
  return (
    <div class="empty" data-can-alert={!isNone}>
      <p>{queue.empty}</p>
      {isNone && <p class="cannot">{all.length === 0 ? cannot.noCamera : cannot.none(all.length)}</p>}
      {!isNone && silent.length > 0 && <p>{cannot.some(silent.length, all.length)}</p>}
      {silent.length > 0 && (
        <ul>
          {silent.slice(0, NAMED_MAX).map((camera) => (
            <li key={keyOf(camera)}>
              <strong>{keyOf(camera)}</strong> {reasonsOf(camera)}
            </li>
          ))}
          {silent.length > NAMED_MAX && <li>{cannot.more(silent.length - NAMED_MAX)}</li>}
        </ul>
      )}
      {!isNone && session.value?.demo === true && <p>{cannot.demo}</p>}
    </div>
  );
}

/** Line below a map: the camera under the pointer or of the focused row, with its condition and its alerts. */
import { viewWords } from '../words/views.ts';
import { fleet } from './fleet.ts';
import { pointed } from './map.tsx';
import { openAt } from './open-alerts.ts';
import { kindText, reasonText } from './view-texts.ts';

interface Props {
  /** Text without such a camera. */
  readonly idle: string;
}

export function PointedCamera({ idle }: Props) {
  const { plan, conditions } = viewWords.value;
  const key = pointed.value;
  if (key === undefined) return <span class="quiet">{idle}</span>;
  const camera = fleet.value?.get(key);
  const open = openAt.value.get(key);
  return (
    <>
      <strong>{key}</strong>
      {camera !== undefined &&
        ` · ${[conditions[camera.condition], ...camera.reasons.map(reasonText)].join(' · ')}`}
      {open !== undefined && ` · ${plan.alerts(open.alertCount)}: ${kindText(open.first.kind)}`}
    </>
  );
}

/** Rule preview screen: shows the present tracks and the effect of the drawn rules on them. */
import { effect, signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { trackName } from '../../../contract/track-name.ts';
import { Notice } from '../../../kit/controls.tsx';
import { drawing } from '../draft.ts';
import { Feet, Shapes } from '../parts/shapes.tsx';
import { Stage } from '../parts/stage.tsx';
import { previewFrame } from '../preview.ts';
import { placeOf } from '../rule-fields.ts';
import { FiringWatch, type RuleWatch } from '../rule-preview.ts';
import { number, words } from '../words/words.ts';

const watches = signal<readonly RuleWatch[]>([]);
/** Number of tracks inside that are named. */
const NAMED_MAX = 4;

export function FiresScreen() {
  const { fires } = words.value;
  useEffect(() => {
    // Starts again with the screen, as the preview does.
    const watch = new FiringWatch();
    return effect(() => {
      const frame = previewFrame.value;
      watches.value = watch.update(frame ?? { atMs: 0, tracks: [] }, drawing.value);
    });
  }, []);
  const firing = watches.value.filter((one) => one.fires).map(({ rule }) => placeOf(rule));
  return (
    <>
      <p>{fires.intro}</p>
      <Stage>
        {(size) => (
          <>
            <Shapes size={size} firing={firing} />
            <Feet tracks={previewFrame.value?.tracks ?? []} size={size} />
          </>
        )}
      </Stage>
      {drawing.value.rules.length === 0 && <Notice tone="info">{fires.none}</Notice>}
      <ul class="cards">
        {watches.value.map((watch) => (
          <li key={watch.rule.id} data-watch={watch.rule.id} data-fires={watch.fires}>
            <Watch watch={watch} />
          </li>
        ))}
      </ul>
      <p class="hint">{fires.note}</p>
    </>
  );
}

function Watch({ watch }: { readonly watch: RuleWatch }) {
  const { fires, kinds, labels } = words.value;
  const { rule, inside, needS, stationaryS, crossed, evaluatedByBox } = watch;
  const now = previewFrame.value?.atMs ?? 0;
  return (
    <div class={watch.fires ? 'card firing' : 'card'}>
      <h2>
        {kinds[rule.kind]} · {placeOf(rule)}
      </h2>
      <p>
        <strong role="status">{watch.fires ? fires.fires : fires.quiet}</strong>
      </p>
      {'line' in rule ? (
        <p>{fires.crossed(crossed.left, crossed.right)}</p>
      ) : (
        <>
          <p>
            {'minCount' in rule ? fires.crowd(inside.length, rule.minCount) : fires.inside(inside.length)}
          </p>
          <ul class="inside">
            {inside.slice(0, NAMED_MAX).map(({ track, label, sinceMs }) => (
              <li key={track}>
                {fires.insideFor(labels[label], trackName(track), number((now - sinceMs) / 1000))}
              </li>
            ))}
          </ul>
          {needS !== undefined && !evaluatedByBox && (
            <>
              <progress value={Math.min(stationaryS, needS)} max={needS || 1} aria-label={fires.fires} />
              <p>{fires.needs(number(Math.min(stationaryS, needS)), number(needS))}</p>
            </>
          )}
        </>
      )}
      {evaluatedByBox && <p class="hint">{fires.byBox}</p>}
    </div>
  );
}

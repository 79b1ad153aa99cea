/** Bar of a ratio, with a whisker for its interval; pale if there are few verdicts. */
import type { Precision } from '../../contract/incident.ts';
import { viewWords } from '../words/views.ts';
import { FEW_VERDICTS, ratioText } from './view-texts.ts';

export function reviewedCount({ confirmed, falseAlarms }: Precision): number {
  return confirmed + falseAlarms;
}

export function PrecisionBar({ of }: { readonly of: Precision }) {
  const { statistics } = viewWords.value;
  const { share: right, low, high } = of;
  if (right === null || low === null || high === null)
    return <span class="quiet">{statistics.noVerdict}</span>;
  const isFew = reviewedCount(of) < FEW_VERDICTS;
  const label = statistics.range(ratioText(right), ratioText(low), ratioText(high));
  return (
    <div class={isFew ? 'd-precision d-few' : 'd-precision'}>
      <svg viewBox="0 0 100 14" preserveAspectRatio="none" role="img" aria-label={label}>
        <rect class="d-way" width="100" height="8" y="3" />
        <rect class="d-share" width={100 * right} height="8" y="3" />
        <path class="d-whisker" d={`M${100 * low} 2V12M${100 * low} 7H${100 * high}M${100 * high} 2V12`} />
      </svg>
      <strong>{ratioText(right)}</strong>
      <span class="quiet">
        {ratioText(low)}–{ratioText(high)}
        {isFew && `, ${statistics.small}`}
      </span>
    </div>
  );
}

/** Table of the suppressions of a shift. */
import type { Suppression } from '../../contract/suppression.ts';
import { subjectName } from '../suppressions.ts';
import { words } from '../words/words.ts';
import { count, plain, timeText } from './view-texts.ts';

export function SuppressionList({ suppressions }: { readonly suppressions: readonly Suppression[] }) {
  const { suppression: texts } = words.value;
  return (
    <table>
      <thead>
        <tr>
          <th scope="col">{texts.column}</th>
          <th scope="col">{texts.begin}</th>
          <th scope="col">{texts.endTime}</th>
          <th scope="col">{texts.reasonColumn}</th>
          <th scope="col">{texts.account}</th>
          <th scope="col" class="d-n">
            {texts.incidents}
          </th>
        </tr>
      </thead>
      <tbody>
        {suppressions.map((suppression) => (
          <tr key={suppression.no}>
            <td>{subjectName(suppression)}</td>
            <td class="d-time">{timeText(suppression.startedAt)}</td>
            <td class="d-time">{timeText(suppression.endedAt ?? suppression.until)}</td>
            <td>{plain(suppression.reason)}</td>
            <td>{plain(suppression.account)}</td>
            <td class="d-n">{count(suppression.incidents)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

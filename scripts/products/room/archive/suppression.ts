/** Keeps new incidents out of the queue while operators suppress their rule or camera. */
import { iso, type Queries } from '../database/sql.ts';

interface NewIncident {
  readonly site: string;
  readonly box: string;
  readonly rule: string;
  readonly severity: string;
  readonly priority: number;
  suppression: number | null;
  is_suppressed: boolean;
}

/**
 * Marks the incidents whose rule or camera is suppressed, and counts them with their suppression. Alerts of priority 1
 * are never marked, whatever their rule was before. The counter `rev` must be locked; `rev` is the last number taken.
 */
export async function suppressNew(
  transaction: Queries,
  incidents: Iterable<NewIncident>,
  { rev, nowMs }: { readonly rev: number; readonly nowMs: number },
): Promise<void> {
  const alerts = [...incidents].filter(({ severity, priority }) => severity === 'alert' && priority > 1);
  if (alerts.length === 0) return;
  // The one that ends last keeps an incident out of the queue for as long as any does.
  const running = await transaction.all<{ no: number; site: string; box: string; rule: string }>(
    'SELECT no, site, box, rule FROM suppression WHERE ended_at IS NULL AND ends_at > $1 ORDER BY ends_at DESC, no',
    [iso(nowMs)],
  );
  const counts = new Map<number, number>();
  for (const alert of alerts) {
    const suppression = running.find(
      ({ site, box, rule }) =>
        site === alert.site && box === alert.box && (rule === '' || rule === alert.rule),
    );
    if (suppression === undefined) continue;
    alert.suppression = suppression.no;
    alert.is_suppressed = true;
    counts.set(suppression.no, (counts.get(suppression.no) ?? 0) + 1);
  }
  for (const [no, count] of counts) {
    await transaction.run('UPDATE suppression SET incidents = incidents + $2, rev = $3 WHERE no = $1', [
      no,
      count,
      rev,
    ]);
  }
}

/** Tests the metrics file of a rollout for Prometheus: a failed write is reported once. */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { RolloutMetricsFile } from '../../scripts/programs/fleet/rollout/metrics.ts';
import type { RolloutView } from '../../scripts/programs/fleet/rollout/view.ts';
import { HandClock } from '../lib/outbox.ts';
import { scratch } from '../lib/paths.ts';

const VIEW: RolloutView = {
  rollout: 'r-1',
  kind: 'release',
  description: '43-1.5.0',
  state: 'running',
  reason: null,
  wave: 0,
  createdAt: '2026-11-25T11:00:00.000Z',
  createdBy: 'anna',
  notAfter: '2026-11-26T11:00:00.000Z',
  nextWave: null,
  waves: [],
  waitsFor: [],
  stuck: null,
  stuckHours: 48,
  boxes: [],
};

void t.test('a failed write is reported once, and again only after a successful one', (t) => {
  const dir = join(scratch(t), 'node-exporter');
  const file = join(dir, 'rollout.prom');
  const clock = new HandClock();
  const warnings: string[] = [];
  const metrics = new RolloutMetricsFile({ file, clock, warn: (line) => warnings.push(line) });
  const writeNext = (): void => {
    clock.advance(15_000);
    metrics.writeIfDue(() => VIEW);
  };
  for (let i = 0; i < 3; i += 1) writeNext();
  t.equal(warnings.length, 1);
  t.match(warnings[0], `fleet.yaml: metricsFile: ${file} cannot be written (ENOENT`);
  t.match(warnings[0], /; make its folder, or leave metricsFile out$/);
  mkdirSync(dir);
  writeNext();
  t.match(readFileSync(file, 'utf8'), /vigie_rollout_state\{rollout="r-1",state="running"\} 1\n/);
  rmSync(dir, { recursive: true });
  for (let i = 0; i < 3; i += 1) writeNext();
  t.equal(warnings.length, 2, 'another fault');
  t.end();
});

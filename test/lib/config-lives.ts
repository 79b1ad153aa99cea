/** Starts of the agent under successive configurations, limited to what reports the changes. */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import { TrustedClock } from '../../agent/base/trusted-clock.ts';
import type { Authorisation } from '../../agent/contract/authorisation.ts';
import type { Config } from '../../agent/contract/config.ts';
import type { ChangeOrigin } from '../../agent/contract/config-change.ts';
import type { JournalContent } from '../../agent/contract/journal.ts';
import { EVENT_KINDS } from '../../agent/contract/kinds.ts';
import { AgentFlow } from '../../agent/flow.ts';
import { ownFolder } from '../../agent/orders/restraint-folder.ts';
import { ConfigNotice } from '../../agent/restraint/config-notice.ts';
import { JournalRecorder } from '../../agent/restraint/journal/recorder.ts';
import { VisionStatus } from '../../agent/supervisor/status.ts';
import { TrackLogStatus } from '../../agent/tracks/status.ts';
import { contentOf } from '../../scripts/programs/oversight/timeline/content.ts';
import { configOf } from './agent.ts';
import { KeptNotes } from './kept-notes.ts';
import { HandClock, SILENT } from './outbox.ts';
import { BOX, SITE } from './room.ts';

export const zone = (id: string, left: number): object => ({
  id,
  polygon: [
    [left, 0.5],
    [left + 0.2, 0.5],
    [left + 0.2, 0.9],
  ],
});
export const RULE = { id: 'stays', kind: 'loitering', zone: 'court', purpose: 'order' };
export const boxWith = (more: object = {}): Config =>
  configOf(
    {
      site: SITE,
      box: BOX,
      camera: { source: 'rtsp://admin:hunter2@10.0.0.2/main' },
      zones: [zone('court', 0.1)],
      rules: [RULE],
      ...more,
    },
    'replay',
  );

export function contentsIn(stateDir: string): JournalContent[] {
  return readFileSync(join(stateDir, 'journal/contents/000.jsonl'), 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => contentOf((JSON.parse(line) as { content: JournalContent }).content));
}

export interface Lifetime {
  /** Entries that this run added to the journal. */
  readonly entered: JournalContent[];
  /** Messages sent to the room. */
  readonly messages: readonly {
    readonly kind: string;
    readonly phase: string;
    readonly cause: Record<string, unknown>;
  }[];
}

/** Runs one start of the agent, limited to its report of changes; `cut` kills it before it could report. */
export function live(
  stateDir: string,
  config: Config,
  {
    authorisation,
    isKilled = false,
    by = 'box',
  }: { authorisation?: Authorisation; isKilled?: boolean; by?: ChangeOrigin } = {},
): Lifetime {
  const clock = new HandClock();
  const recorder = new JournalRecorder({
    boot: 'b',
    clock,
    log: SILENT,
    config,
    stateDir,
    changeOrigin: () => by,
    alertsDays: () => 30,
    publisher: undefined,
    steady: new TrustedClock(clock, () => true),
    archive: { records: () => [], record: () => undefined },
    status: new VisionStatus({ detector: { input: [416, 256] } }),
    folder: ownFolder(stateDir),
    trackStatus: new TrackLogStatus(),
  });
  const notes = new KeptNotes();
  const flow = new AgentFlow({
    keepSealed: undefined,
    config,
    sink: notes,
    clock,
    log: SILENT,
    boot: 'b',
    clockSynced: () => true,
  });
  flow.start(notes);
  const before = existsSync(join(stateDir, 'journal/contents')) ? contentsIn(stateDir).length : 0;
  recorder.start();
  const notice = new ConfigNotice({
    config,
    stateDir,
    log: SILENT,
    journal: recorder,
    restraint: { authorisation },
    flow,
  });
  if (!isKilled) for (let i = 0; i < 3; i += 1) notice.tick();
  const messages = notes.events.map(({ data: { rule, phase, cause } }) => ({
    kind: rule.kind,
    phase,
    cause,
  }));
  return { entered: contentsIn(stateDir).slice(before), messages };
}

/** True if the value matches the published schema. */
export function fits(kind: string, part: 'cause' | 'params', value: unknown): boolean {
  const schema = EVENT_KINDS.find((one) => one.kind === kind)?.[part];
  return schema !== undefined && Value.Check(schema, value);
}

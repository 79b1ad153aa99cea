/** Starts of the agent under successive configurations, limited to what reports the changes. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import type { Authorisation } from '../../agent/contract/authorisation.ts';
import type { Config } from '../../agent/contract/config.ts';
import type { ChangeOrigin } from '../../agent/contract/config-change.ts';
import type { JournalContent } from '../../agent/contract/journal.ts';
import { EVENT_KINDS } from '../../agent/contract/kinds.ts';
import { ConfigNotice } from '../../agent/restraint/config-notice.ts';
import { configOf } from './agent.ts';
import { contentsIn, makeRecorder } from './journal.ts';
import { KeptNotes, makeFlow } from './kept-notes.ts';
import { HandClock, SILENT } from './outbox.ts';
import { BOX, SITE } from './room.ts';

export const zone = (id: string, left: number): object => ({
  id,
  polygon: [
    [left, 0.5],
    [Number((left + 0.2).toFixed(4)), 0.5],
    [Number((left + 0.2).toFixed(4)), 0.9],
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
  const recorder = makeRecorder(stateDir, config, { clock, changeOrigin: () => by });
  const notes = new KeptNotes();
  const flow = makeFlow(notes, clock, config);
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

/** A flow of the agent for tests, and a sink that stores its notes as an outbox does. */
import type { Clock } from '../../agent/base/clock.ts';
import type { EventSink, UnnumberedEvent } from '../../agent/contract/event-sink.ts';
import type { Notes } from '../../agent/contract/outbox.ts';
import type { Ruling } from '../../agent/contract/permit.ts';
import type { RuleConfig } from '../../agent/contract/rule-config.ts';
import { AgentFlow, type AgentFlowOptions } from '../../agent/flow.ts';
import { permitReplay } from '../../agent/restraint/permit.ts';
import { SILENT } from './outbox.ts';

export class KeptNotes implements EventSink {
  readonly events: UnnumberedEvent[] = [];
  readonly #notes = new Map<string, string>();

  accept(event: UnnumberedEvent, _pictures: unknown, notes: Notes): void {
    this.events.push(event);
    this.remember(notes);
  }

  remember(notes: Notes): void {
    for (const [key, text] of Object.entries(notes)) {
      if (text === null) this.#notes.delete(key);
      else this.#notes.set(key, text);
    }
  }

  notes(prefix: string): { key: string; text: string }[] {
    const rows = [...this.#notes].map(([key, text]) => ({ key, text }));
    return rows.filter(({ key }) => key.startsWith(prefix)).sort((a, b) => (a.key < b.key ? -1 : 1));
  }
}

/** A flow without sealed stills; it is not started. */
export function makeFlow(
  sink: EventSink,
  clock: Clock,
  config: Partial<AgentFlowOptions['config']> = {},
  options: Partial<AgentFlowOptions> = {},
): AgentFlow {
  const site = { site: 'site', box: 'box', timeZone: 'Europe/Paris', holidays: [] };
  return new AgentFlow({
    config: { ...site, rules: [], alertsPerHour: 60, ...config },
    keepSealed: undefined,
    sink,
    clock,
    log: SILENT,
    boot: 'b',
    clockSynced: () => true,
    ...options,
  });
}

/** The ruling under which all of these rules run. */
export function allowing(rules: readonly RuleConfig[]): Ruling {
  return { mode: 'active', reason: null, permit: permitReplay({ rules: [...rules] }), refusals: new Map() };
}

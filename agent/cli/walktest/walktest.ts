/** `vigie walktest`: how many of the scenes that a technician acts the running box sees. */
import type { Watching } from '../../accuracy/store.ts';
import { WalkTest, type WalkTestOptions, watchingBox, windowS } from '../../accuracy/walk-test.ts';
import { systemClock } from '../../base/clock.ts';
import { AgentError } from '../../base/errors.ts';
import { isOnAt } from '../../base/schedule.ts';
import type { WalkResult } from '../../contract/accuracy.ts';
import type { RuleConfig } from '../../contract/rule-config.ts';
import { openBoxRecord } from '../record-file.ts';
import { stateDir } from '../state-dir.ts';
import { assertTerminal, PunctualTechnician, TypingTechnician } from './technician.ts';

export interface WalkTestCommand {
  readonly rule: string;
  readonly passes: number;
  readonly every?: number;
  readonly state?: string;
}

export async function walktest(options: WalkTestCommand): Promise<void> {
  if (options.every === undefined) assertTerminal(process.stdin);
  const dir = stateDir(options.state, process.env);
  const store = openBoxRecord(dir);
  const stopping = new AbortController();
  const stop = (): void => stopping.abort();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, stop);
  try {
    const { watching } = watchingBox(store, dir);
    const rule = chosen(watching, options);
    store.readOnly(true);
    const common = { store, rule, isOn: () => isOn(rule, watching), signal: stopping.signal };
    const result = await test({ ...common, passes: options.passes, clock: systemClock }, options.every);
    process.stdout.write(`${summary(rule, result)}\n`);
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, stop);
    store.close();
  }
}

/** The rule as the running agent has it. Throws where it has none, or where the test could not work. */
function chosen(watching: Watching, { rule: id, every }: WalkTestCommand): RuleConfig {
  const rule = watching.rules.find((candidate) => candidate.id === id);
  if (rule === undefined) {
    const ids = watching.rules.map((candidate) => candidate.id).join(', ');
    throw new AgentError(
      'config',
      `--rule ${id}: the running agent has no such rule; it has ${ids || 'none'}`,
    );
  }
  if (!isOn(rule, watching)) {
    throw new AgentError('config', `--rule ${id}: it is off now by its schedule; test it while it is on`);
  }
  if (every !== undefined && every < windowS(rule)) {
    throw new AgentError(
      'config',
      `--every ${every}: a pass of rule ${id} may take ${windowS(rule)} s; give at least that`,
    );
  }
  return rule;
}

function isOn(rule: RuleConfig, watching: Watching): boolean {
  return isOnAt(rule, watching, systemClock.wallMs());
}

async function test(
  options: Omit<WalkTestOptions, 'technician' | 'unattended'>,
  everyS: number | undefined,
): Promise<WalkResult> {
  const { stdin, stderr } = process;
  const { rule, clock, signal } = options;
  stderr.write(
    `Walk test of rule ${rule.id} (${rule.kind}). A pass is seen when the rule raises an alert within ${windowS(rule)} s.\n` +
      'The room gets these alerts like any other: tell it. Somebody else who sets the rule off counts too: watch out.\n',
  );
  if (everyS !== undefined) {
    const technician = new PunctualTechnician(stderr, everyS, clock, signal);
    return await new WalkTest({ ...options, technician, unattended: true }).run();
  }
  const technician = new TypingTechnician(stdin, stderr, signal);
  try {
    return await new WalkTest({ ...options, technician, unattended: false }).run();
  } finally {
    technician.close();
  }
}

function summary({ id }: RuleConfig, { seen, passes, repeated, recall, low, high }: WalkResult): string {
  const again = repeated === 0 ? '' : `, ${repeated} repeated`;
  const interval = `95 % interval ${low.toFixed(2)}–${high.toFixed(2)}`;
  return `${id}: ${seen} of ${passes} passes seen${again}; recall ${recall.toFixed(2)}, ${interval}`;
}

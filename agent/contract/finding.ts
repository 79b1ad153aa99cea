/** Finding of the doctor on one subject: one line and, for a failure, how to fix it. */
export interface Finding {
  /** One or two words, unique in a report. */
  readonly name: string;
  /** `unknown`: cannot be determined from here. It is never treated as ok. */
  readonly state: 'ok' | 'failed' | 'unknown';
  /** Observation with its values. No secrets. */
  readonly detail: string;
  /** Action for a person; only with `failed`. */
  readonly fix?: string;
}

const MARKS = { ok: '✓', failed: '✗', unknown: '?' } as const;

export const ok = (name: string, detail: string): Finding => ({ name, state: 'ok', detail });
export const unknown = (name: string, detail: string): Finding => ({ name, state: 'unknown', detail });
export const failed = (name: string, detail: string, fix: string): Finding => ({
  name,
  state: 'failed',
  detail,
  fix,
});

export function findingText({ name, state, detail, fix }: Finding): string {
  const line = `${MARKS[state]} ${name.padEnd(12)} ${detail}`;
  return fix === undefined ? line : `${line}\n${' '.repeat(15)}→ ${fix}`;
}

/** Names of the findings that a running agent reports about itself, so that no other process checks them. */
export const OF_THE_AGENT: readonly string[] = [
  'mode',
  'camera',
  'analysis',
  'detector',
  'view',
  'outbox',
  'broker',
];

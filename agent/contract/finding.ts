/** What the doctor says of one thing: one line, and under a failure how to mend it. */
export interface Finding {
  /** One word or two; unique in a report. */
  readonly name: string;
  /** `unknown` is said where it cannot be told from here; it is never taken for ok. */
  readonly state: 'ok' | 'failed' | 'unknown';
  /** What was seen, with figures. No secrets. */
  readonly detail: string;
  /** What a person must do; only with `failed`. */
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

/** Names of the findings that a running agent has of itself, and nobody else needs to look for. */
export const OF_THE_AGENT: readonly string[] = [
  'mode',
  'camera',
  'analysis',
  'detector',
  'view',
  'outbox',
  'broker',
];

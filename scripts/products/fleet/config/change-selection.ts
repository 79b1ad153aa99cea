/** Decides for each chosen box: it gets a new file, has it already, or is left out with a reason. */

import { AgentError, rethrowBug } from '../../../../agent/base/errors.ts';
import { sha256Of } from '../../../../agent/base/sha256.ts';
import { streamWithSecret, withoutSecrets } from '../../../../agent/config/secrets.ts';
import type { BoxRow } from '../store.ts';
import type { Copies } from './copies.ts';
import type { FileChange } from './diff.ts';
import { type Authorisations, problemsOf } from './validation.ts';

export interface Choice {
  readonly changes: readonly FileChange[];
  readonly upToDate: readonly BoxRow[];
  readonly leftOut: readonly { readonly box: BoxRow; readonly reason: string }[];
  /** Validation errors. If there are any, no order is sent. */
  readonly validationErrors: readonly { readonly box: BoxRow; readonly lines: readonly string[] }[];
}

export interface ChoiceOptions {
  readonly boxes: readonly BoxRow[];
  readonly copies: Copies;
  readonly authorisations: Authorisations;
  readonly nowMs: number;
  /** Returns the file that replaces this one. Throws AgentError `config`. */
  change(text: string): string;
}

export function chooseChanges({ boxes, copies, authorisations, nowMs, change }: ChoiceOptions): Choice {
  const changes: FileChange[] = [];
  const upToDate: BoxRow[] = [];
  const leftOut: { box: BoxRow; reason: string }[] = [];
  const validationErrors: { box: BoxRow; lines: readonly string[] }[] = [];
  for (const box of boxes) {
    const before = copyOf(box, copies);
    if (typeof before !== 'string') leftOut.push({ box, reason: before.reason });
    else {
      try {
        const after = textToSend(change(before));
        const lines = problemsOf(box, { before, after }, authorisations, nowMs);
        if (after === before) upToDate.push(box);
        else if (lines.length > 0) validationErrors.push({ box, lines });
        else changes.push({ site: box.site, box: box.box, before, after });
      } catch (error) {
        rethrowBug(error);
        validationErrors.push({ box, lines: [error.message] });
      }
    }
  }
  return { changes, upToDate, leftOut, validationErrors };
}

/** Returns the file that the box has, or why it is unknown. */
export function copyOf(box: BoxRow, copies: Copies): string | { readonly reason: string } {
  const { report, other } = box;
  if (report === undefined) return { reason: 'it has not reported' };
  if (other !== null) return { reason: 'it reports with another key than before (fleet box BOX)' };
  const { sha256, phase, rollout } = report.config;
  if (sha256 === null) return { reason: 'its file cannot be read there; fix it on the box' };
  if (phase === 'probation') return { reason: `its file is on trial (${rollout ?? 'a rollout'})` };
  const copy = copies.current(box, sha256);
  if (copy !== undefined) return copy;
  return {
    reason: copies.has(box)
      ? 'its file was changed on the box, the copy is another (fleet config pull, then check it)'
      : 'there is no copy of its file (fleet config pull)',
  };
}

/** Returns the text to send. Throws AgentError `config` if it contains a login. */
function textToSend(text: string): string {
  const stream = streamWithSecret(text);
  if (stream !== undefined) {
    const message = `camera.${stream}: a login is not sent, since the broker would retain it; write *** in its place, and the box keeps its own`;
    throw new AgentError('config', message);
  }
  const maskedText = withoutSecrets(text);
  if (maskedText === undefined) throw new AgentError('config', 'the file is not readable as YAML');
  return maskedText;
}

/** Returns the `fields` of a configuration rollout. */
export function fieldsOf({ after }: FileChange, revision: number) {
  return { revision, sha256: sha256Of(after), yaml: after };
}

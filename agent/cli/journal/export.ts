/** `vigie journal export`: writes a journal to one file, to pass on. */
import { existsSync } from 'node:fs';
import { AgentError, messageOf } from '../../base/errors.ts';
import { exportJournal } from '../../restraint/journal/export.ts';
import { print } from '../print.ts';

export function journalExport(dir: string, options: { readonly out: string }): void {
  const { out } = options;
  let size: number;
  try {
    size = exportJournal(dir, out);
  } catch (error) {
    if (!(error instanceof Error) || !('syscall' in error)) throw error;
    const right = existsSync(out) ? '; name a new file with --out' : '';
    throw new AgentError('config', `${dir} cannot be exported to ${out}: ${messageOf(error)}${right}`, error);
  }
  print(`${out}: ${size} entries`);
}

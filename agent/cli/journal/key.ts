/** `vigie journal key`: prints the key that verifies this box's journal, to be stored away from the box. */
import { print } from '../print.ts';
import { stateDir } from '../state-dir.ts';
import { ownKey } from './own-key.ts';

export function journalKey(options: { readonly state: string | undefined }): void {
  print(ownKey(stateDir(options.state, process.env)));
}

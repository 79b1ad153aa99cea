/** `vigie journal key`: what checks this box's journal, to be kept away from the box. */
import { print } from '../print.ts';
import { stateDir } from '../state-dir.ts';
import { ownKey } from './own-key.ts';

export function journalKey(options: { readonly state: string | undefined }): void {
  print(ownKey(stateDir(options.state, process.env)));
}

/** Reads the state of the box's certificate, which `vigie-enrol` writes readable for every user on the box. */
import { readFileSync, statSync } from 'node:fs';
import { Value } from '@sinclair/typebox/value';
import { messageOf } from '../../base/errors.ts';
import { jsonOf } from '../../base/json.ts';
import { EnrolStatus } from '../../contract/enrolment.ts';
import type { EnrolmentView } from '../../contract/page-api.ts';

const FILE_BYTES_MAX = 4096;

export function enrolmentView(file: string): EnrolmentView {
  const none = (reason: string | null): EnrolmentView => ({ state: 'none', reason, notAfter: null });
  try {
    const stat = statSync(file, { throwIfNoEntry: false });
    if (stat === undefined) return none(null);
    const content = stat.size > FILE_BYTES_MAX ? undefined : jsonOf(readFileSync(file, 'utf8'));
    if (!Value.Check(EnrolStatus, content)) return none(`${file} cannot be read`);
    const { state, reason, notAfter } = content;
    return { state, reason, notAfter };
  } catch (error) {
    return none(`${file}: ${messageOf(error)}`);
  }
}

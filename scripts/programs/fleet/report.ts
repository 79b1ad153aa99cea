/** What a box reports, believed only where it is signed by the box's key and is of the topic on which it came. */

import { AgentError } from '../../../agent/base/errors.ts';
import { CommandRefused } from '../../../agent/contract/command.ts';
import { UPDATE_REPORT_BYTES_MAX, UPDATE_REPORT_TYPE, UpdateReport } from '../../../agent/contract/update.ts';
import {
  envelopeOpener,
  envelopeReader,
  keyIdOf,
  ofForm,
  parseJson,
  publicKeyOf,
} from '../../../agent/orders/dsse.ts';

const KIND = {
  payloadType: UPDATE_REPORT_TYPE,
  bytesMax: UPDATE_REPORT_BYTES_MAX,
  signatures: 1,
  keysIn: 'the report itself',
} as const;
const read = envelopeReader(KIND);
const open = envelopeOpener(KIND);

export interface OpenedReport {
  readonly report: UpdateReport;
  /** Of the key that has signed. */
  readonly fingerprint: string;
}

/**
 * Form and signature by the key that the report names, which is the box's own word: whether it is the key that is known of
 * the box is for the caller. Throws CommandRefused.
 */
export function openReport(bytes: Uint8Array, site: string, box: string): OpenedReport {
  const claimed = parseJson(read(bytes).payload, 'the report');
  const report = ofForm(UpdateReport, claimed, 'not a report');
  const key = readKey(report.key);
  const fingerprint = keyIdOf(key);
  open(bytes, new Map([[fingerprint, key]]));
  if (report.site !== site || report.box !== box)
    throw new CommandRefused(
      'wrong-box',
      `it is of ${report.box} at ${report.site} and came from ${box} at ${site}`,
    );
  return { report, fingerprint };
}

function readKey(spki: string): ReturnType<typeof publicKeyOf> {
  try {
    return publicKeyOf(spki);
  } catch (error) {
    if (error instanceof AgentError) throw error;
    throw new CommandRefused('malformed', 'its key is no ed25519 key', { cause: error });
  }
}

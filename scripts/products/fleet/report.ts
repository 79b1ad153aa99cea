/**
 * Opens a box's report, which is accepted only if its key has signed it and it belongs to the topic on which it came.
 */

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
  /** Fingerprint of the signing key. */
  readonly fingerprint: string;
}

/**
 * Checks form and signature with the key that the report itself names. The caller must check whether this is the known
 * key of the box. Throws CommandRefused.
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
    throw new CommandRefused('malformed', 'its key is not an ed25519 key', { cause: error });
  }
}

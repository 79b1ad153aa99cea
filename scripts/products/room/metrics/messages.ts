/**
 * Parses the messages of boxes from the broker. All validation happens here.
 *
 * INVARIANTS:
 * - Accepted messages follow the contract and describe the box of their topic. Unknown members are accepted, as the
 *   contract requires.
 * - Signatures are not verified: the broker's access rules prove the sender, and metrics decide nothing.
 */
import { TypeCompiler } from '@sinclair/typebox/compiler';
import { jsonOf } from '../../../../agent/base/json.ts';
import { envelopeOf } from '../../../../agent/contract/command.ts';
import { HealthReport, StatusReport } from '../../../../agent/contract/health.ts';
import type { MeasuredHealth } from '../../../../agent/contract/health-metrics.ts';
import { MODE_TYPE, ModeStatement } from '../../../../agent/contract/mode.ts';
import { UPDATE_REPORT_TYPE, UpdateReport } from '../../../../agent/contract/update.ts';
import { isTime, openSchema } from '../contract/open-schema.ts';

/** Maximum message size in bytes, also for a hostile box. A health report has 3 kB, a signed update report 2 kB. */
export const MESSAGE_BYTES_MAX = 65_536;

/** Topic levels after `vigie/<site>/<box>/`. */
export const BRANCHES = ['status', 'health', 'mode', 'update/reported'] as const;
export type Branch = (typeof BRANCHES)[number];

export interface BoxReports {
  status?: StatusReport;
  health?: MeasuredHealth;
  mode?: ModeStatement;
  report?: UpdateReport;
}

const status = TypeCompiler.Compile(openSchema(StatusReport));
const health = TypeCompiler.Compile(openSchema(HealthReport));
const mode = TypeCompiler.Compile(openSchema(ModeStatement));
const report = TypeCompiler.Compile(openSchema(UpdateReport));
const envelope = TypeCompiler.Compile(envelopeOf(MESSAGE_BYTES_MAX, 1));

/** Reasons to refuse a message. */
export type Refusal = 'form' | 'identity';

/** Stores the content of a message in `reports`, or returns the reason for refusing it. */
export function read(
  branch: Branch,
  payload: Buffer,
  { site, box }: { readonly site: string; readonly box: string },
  reports: BoxReports,
): Refusal | undefined {
  const isOwn = (one: { readonly site: string; readonly box: string }): boolean =>
    one.site === site && one.box === box;
  const text = payload.toString();
  if (branch === 'status') {
    const content = jsonOf(text);
    if (!status.Check(content) || !isTime(content.time)) return 'form';
    reports.status = content;
    return undefined;
  }
  if (branch === 'health') {
    const content = jsonOf(text);
    if (!health.Check(content) || !isTime(content.time)) return 'form';
    if (!isOwn(content)) return 'identity';
    reports.health = measuredPart(content);
    return undefined;
  }
  if (branch === 'mode') {
    const content = signed(text, MODE_TYPE);
    if (!mode.Check(content) || !isTime(content.time)) return 'form';
    if (!isOwn(content)) return 'identity';
    reports.mode = content;
    return undefined;
  }
  const content = signed(text, UPDATE_REPORT_TYPE);
  if (!report.Check(content) || !isTime(content.at)) return 'form';
  if (!isOwn(content)) return 'identity';
  reports.report = content;
  return undefined;
}

/** Returns the validated time of a message, in ms. */
export function timeIn(branch: Branch, reports: BoxReports): number {
  const at = {
    status: reports.status?.time,
    health: reports.health?.time,
    mode: reports.mode?.time,
    'update/reported': reports.report?.at,
  }[branch];
  return Date.parse(at ?? '');
}

function measuredPart(content: HealthReport): MeasuredHealth {
  const { counters: _counters, restraint, detector, accuracy: _accuracy, ...rest } = content;
  const { installation, validUntil } = restraint;
  return { ...rest, restraint: { validUntil, installation }, detector: detector && {} };
}

/** Returns the content of a DSSE envelope. */
function signed(text: string, payloadType: string): unknown {
  const content = jsonOf(text);
  if (!envelope.Check(content) || content.payloadType !== payloadType) return undefined;
  return jsonOf(Buffer.from(content.payload, 'base64').toString());
}

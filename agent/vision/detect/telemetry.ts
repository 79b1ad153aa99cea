/** Refuses an ONNX Runtime that could send usage data. */
import { AgentError } from '../../base/errors.ts';

/**
 * Checks that telemetry is disabled. Since 1.29 ONNX Runtime reads /etc/machine-id, writes under ~/.cache/Microsoft and
 * looks up a collector, unless this variable is set before it is loaded.
 * @throws AgentError `config`
 */
export function checkTelemetry(): void {
  if (process.env['ORT_DISABLE_TELEMETRY'] === '1') return;
  throw new AgentError(
    'config',
    'ONNX Runtime sends usage data unless ORT_DISABLE_TELEMETRY=1 is in the environment; it is not, so the ' +
      'detector does not start: set it in the unit or the script that starts vision',
  );
}

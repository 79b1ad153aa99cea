/** English texts about the installation of a camera. */
import type { ChangeOrigin } from '../../../../../agent/contract/config-change.ts';

const origins: Readonly<Record<ChangeOrigin | 'several', string>> = {
  technician: 'by a technician at the box’s page',
  order: 'by an order of the control room',
  box: 'on the box itself',
  several: 'by several people',
};

export const INSTALLATION_EN = {
  origins,
  title: 'Installation',
  issued: (time: string) => `Installed on ${time}`,
  passed: 'final check: PASS',
  failed: 'final check: FAIL',
  problems: 'Not good at that time',
  order: 'Authorisation',
  noOrder: 'none',
  rules: 'Rules, walk tests',
  drawn: 'Zones, lines, masks',
  configuration: 'Configuration, SHA-256',
  journal: 'Journal',
  entries: (n: string) => `${n} entries`,
  session: 'Session on the page',
  showStill: 'Show the still',
  onRecord: 'Your view is recorded in the audit log.',
  stillAlt: 'Redacted still of the installation',
  noStill: 'The still has not come, or is no longer kept.',
  open: 'Open the receipt',
  maskRemoved: (names: string) => `Privacy mask removed: ${names}`,
  maskSmaller: (names: string) => `Privacy mask made smaller: ${names}`,
};

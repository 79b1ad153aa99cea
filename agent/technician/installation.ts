/** Builds the facts of an installation's receipt from the parts that hold them. */
import type { Authorisation } from '../contract/authorisation.ts';
import type { Config } from '../contract/config.ts';
import type { Finding } from '../contract/finding.ts';
import { INSTALLATION_TEXT_MAX, type Installation } from '../contract/installation.ts';
import type { LocalStatus } from '../contract/local-status.ts';

export interface InstallationSources {
  readonly config: Pick<Config, 'zones' | 'lines' | 'masks' | 'rules'>;
  readonly authorisation: Authorisation | undefined;
  readonly status: LocalStatus;
  readonly findings: readonly Finding[];
  /** SHA-256 of the configuration without logins. */
  readonly shownSha256: string | undefined;
  /** The configuration is on trial, so it is not final. */
  readonly isOnTrial: boolean;
  readonly session: string;
}

export function installationOf(sources: InstallationSources): Installation {
  const { config, authorisation, status, findings, shownSha256, isOnTrial, session } = sources;
  const { report, journal } = status;
  const failures = findings.filter(({ state }) => state !== 'ok');
  const mayRun = report.mode === 'active' && authorisation?.installation !== true && !isOnTrial;
  const passed = mayRun && failures.every(({ state }) => state !== 'failed');
  return {
    passed,
    problems: listText(failures.map(({ name }) => name)),
    order: (authorisation?.order ?? '').slice(0, INSTALLATION_TEXT_MAX),
    ...(authorisation !== undefined && { orderUntil: authorisation.notAfter }),
    version: report.versions['vigie'] ?? '',
    ...(shownSha256 !== undefined && { configuration: shownSha256 }),
    ...(journal !== null && { journalEntries: journal.entries, journalRoot: journal.root }),
    zones: config.zones.length,
    lines: config.lines.length,
    masks: config.masks.length,
    rules: listText(config.rules.map(({ id }) => `${id} ${walkText(status, id)}`)),
    reason: `the final check has ${passed ? 'passed' : 'failed'}`,
    session,
  };
}

function walkText({ report }: LocalStatus, id: string): string {
  const walk = report.accuracy?.rules.find(({ rule }) => rule === id)?.walk ?? null;
  return walk === null ? '–' : `${walk.seen}/${walk.passes}`;
}

function listText(names: readonly string[]): string {
  const text = names.join(', ');
  return text.length <= INSTALLATION_TEXT_MAX ? text : `${text.slice(0, INSTALLATION_TEXT_MAX - 1)}…`;
}

/**
 * `vigie-oversight transparency`: makes the public page of a box and the sign for its site, from data that the box
 * exports.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { writeAtomically } from '../../../../agent/base/atomic-file.ts';
import { systemClock } from '../../../../agent/base/clock.ts';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { programVersion } from '../../../../agent/base/package-root.ts';
import { SiteTime } from '../../../../agent/base/site-time.ts';
import { print, printNote } from '../../../../agent/cli/print.ts';
import { loadConfig } from '../../../../agent/config/load.ts';
import type { Authorisation } from '../../../../agent/contract/authorisation.ts';
import type { Config } from '../../../../agent/contract/config.ts';
import type { SignedAuthorisation } from '../../../../agent/restraint/authorisations.ts';
import { type Checked, checkedJournal, nameOf } from '../journal/checked.ts';
import { TimelineWriter } from '../timeline/timeline.ts';
import { authorisationFor } from './authorisation.ts';
import { missingResumes, monthsOf, stateNow } from './counts.ts';
import type { PublicFacts, PublicRule } from './facts.ts';
import { publicPage, publicSign, publicSignText } from './page.ts';
import type { Language } from './texts.ts';

export interface TransparencyOptions {
  /** The box's configuration. */
  readonly config: string;
  /** The signed authorisation, or installation authorisation. Without it the page says that there is none. */
  readonly order?: string;
  /** The authority's public key; by default the file that the configuration names. */
  readonly authorityKey?: string;
  /** Folder of the journal, a copy of it, or its export. */
  readonly journal: string;
  /** Verifier key of the journal, or a file that contains it. */
  readonly key: string;
  readonly out: string;
  /** Future address of the page. */
  readonly url: string;
  /** Contact for people's rights. */
  readonly contact: string;
  readonly language: Language;
}

/** Maximum length of the address: a QR code on a sign stays readable from two metres. */
const URL_MAX = 200;

/** Returns the exit code; 1 if the journal is not intact, which the page says too. */
export function transparency(options: TransparencyOptions): number {
  const { out, language } = options;
  const facts = gather(options);
  write(out, 'index.html', publicPage(facts, language));
  write(out, 'sign.html', publicSign(facts, language));
  write(out, 'sign.txt', publicSignText(facts, language));
  print(`${join(out, 'index.html')}, sign.html and sign.txt written`);
  if (facts.journal.inOrder) return 0;
  printNote(
    'vigie-oversight: the journal is NOT intact, and the page says so; `vigie-oversight verify` gives the reason',
  );
  return 1;
}

function gather(options: TransparencyOptions): PublicFacts {
  const { config: file, journal: place, key, url, contact } = options;
  assertUrl(url);
  if (contact.trim() === '') {
    throw new AgentError('config', '--contact: empty; name whom people ask about their rights');
  }
  // Read as on the box, without this machine's environment.
  const config = loadConfig(file, { env: {}, mode: 'check', files: false });
  const { checked: journal, read: writer } = checkedJournal(place, { key }, () => new TimelineWriter());
  assertSameBox(config, journal);
  // Taken after the journal was read, so that no entry is later.
  const madeMs = systemClock.wallMs();
  const { firstMs } = writer;
  const signedAuthorisation = authorisationFor(config, options, { nowMs: madeMs, obeyed: writer.authority });
  if ('reason' in signedAuthorisation)
    printNote(
      `vigie-oversight: the page says that there is no valid authorisation: ${signedAuthorisation.reason}`,
    );
  const authorisation = 'reason' in signedAuthorisation ? null : signedAuthorisation.content;
  const months = monthsOf(writer, new SiteTime(config.timeZone), madeMs);
  return {
    site: config.site,
    box: config.box,
    timeZone: config.timeZone,
    version: writer.version ?? programVersion(),
    contact: contact.trim(),
    url,
    madeAt: new Date(madeMs),
    mode: stateNow(writer, madeMs),
    missingResumes: missingResumes(writer, months, madeMs),
    authorisation,
    rules: rulesOf(config, 'reason' in signedAuthorisation ? [] : signedAuthorisation.coverage),
    masks: masksOf(config, authorisation),
    sealedTo: authorisation?.ageRecipients ?? [],
    retention: retentionOf(config, authorisation),
    tracks: authorisation?.tracks ?? null,
    months,
    journal: {
      verifierKey: journal.keyText,
      size: journal.checkpoint?.size ?? 0,
      rootHash: journal.checkpoint?.root.toString('base64') ?? '',
      from: firstMs === undefined ? null : new Date(firstMs),
      inOrder: journal.wrong.length === 0 && journal.checkpoint !== undefined,
    },
  };
}

/** A journal proves nothing about another box's configuration. */
function assertSameBox({ site, box }: Config, { key }: Checked): void {
  const own = `vigie/${site}/${box}`;
  if (key.name === own) return;
  throw new AgentError(
    'config',
    `--key: it is the key of ${nameOf(key.name)}, and --config that of ${nameOf(own)}`,
  );
}

/** Counts a mask that both authorisation and configuration draw once. */
function masksOf({ masks }: Config, authorisation: Authorisation | null): number {
  const all = [...masks, ...(authorisation?.masks ?? [])];
  return new Set(all.map(({ polygon }) => JSON.stringify(polygon))).size;
}

function rulesOf({ rules }: Config, coverage: SignedAuthorisation['coverage']): PublicRule[] {
  return rules.map((rule) => {
    const place = 'line' in rule ? rule.line : rule.zone;
    const grant = coverage.find(({ rule: id }) => id === rule.id)?.grant;
    if (grant === undefined) return { kind: rule.kind, place, grant: null };
    const { legalBasis = '', shadow } = grant;
    return { kind: rule.kind, place, grant: { purpose: rule.purpose, legalBasis, shadow } };
  });
}

function retentionOf({ retention }: Config, authorisation: Authorisation | null): PublicFacts['retention'] {
  const ceilings = authorisation?.retention ?? retention;
  const seals = (authorisation?.ageRecipients ?? []).length > 0;
  return {
    eventsDays: Math.min(retention.eventsDays, ceilings.eventsDays),
    snapshotsDays: Math.min(retention.snapshotsDays, ceilings.snapshotsDays),
    sealedDays: seals ? Math.min(retention.sealedDays, ceilings.sealedDays) : 0,
  };
}

function assertUrl(url: string): void {
  const protocol = URL.canParse(url) ? new URL(url).protocol : '';
  if (url.length <= URL_MAX && (protocol === 'https:' || protocol === 'http:')) return;
  const right = `the address at which people will find the page, https://…, ${URL_MAX} characters at most`;
  throw new AgentError('config', `--url: "${url.slice(0, URL_MAX)}" is not right; write ${right}`);
}

function write(dir: string, name: string, text: string): void {
  const file = join(dir, name);
  try {
    if (!existsSync(dir)) mkdirSync(dir, { recursive: true });
    writeAtomically(file, text, 0o644);
  } catch (error) {
    throw new AgentError(
      'config',
      `${file} cannot be written: ${messageOf(error)}; name another --out`,
      error,
    );
  }
}

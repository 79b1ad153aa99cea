/** `vigie transparency`: the public page of a box, and the sign for its pole. */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { writeAtomically } from '../../base/atomic-file.ts';
import { systemClock } from '../../base/clock.ts';
import { AgentError, messageOf } from '../../base/errors.ts';
import { programVersion } from '../../base/package-root.ts';
import { SiteTime } from '../../base/site-time.ts';
import { loadConfig } from '../../config/load.ts';
import type { Authorisation } from '../../contract/authorisation.ts';
import type { Config } from '../../contract/config.ts';
import { Authority } from '../../restraint/authority.ts';
import { JOURNAL_DIR } from '../../restraint/journal/key.ts';
import type { Signed } from '../../restraint/orders.ts';
import { checkedJournal } from '../journal/checked.ts';
import { ownKey } from '../journal/own-key.ts';
import { StoryTeller } from '../journal/story/story.ts';
import { print, printNote } from '../print.ts';
import { stateDir } from '../state-dir.ts';
import { missingResumes, monthsOf, stateNow } from './counts.ts';
import type { PublicFacts, PublicRule } from './facts.ts';
import { publicPage, publicSign, publicSignText } from './page.ts';
import type { Language } from './texts.ts';

export interface TransparencyOptions {
  readonly config: string;
  readonly state?: string;
  readonly out: string;
  /** Where the page will stand. */
  readonly url: string;
  /** Whom to ask about one's rights. */
  readonly contact: string;
  readonly language: Language;
}

/** What a QR code on a sign still shows well enough to be read from two metres. */
const URL_MAX = 200;

/** Returns the exit code: 1 when the journal is not in order, which the page says too. */
export function transparency(options: TransparencyOptions): number {
  const { out, language } = options;
  const facts = gather(options);
  write(out, 'index.html', publicPage(facts, language));
  write(out, 'sign.html', publicSign(facts, language));
  write(out, 'sign.txt', publicSignText(facts, language));
  print(`${join(out, 'index.html')}, sign.html and sign.txt written`);
  if (facts.journal.inOrder) return 0;
  printNote('vigie: the journal is NOT in order, and the page says so; `vigie journal verify` says why');
  return 1;
}

function gather({ config: file, state, url, contact }: TransparencyOptions): PublicFacts {
  assertUrl(url);
  if (contact.trim() === '') {
    throw new AgentError('config', '--contact: empty; name whom people ask about their rights');
  }
  const config = loadConfig(file, { env: process.env, mode: 'check', files: false });
  const dir = stateDir(state, process.env);
  const verifierKey = ownKey(dir);
  const place = join(dir, JOURNAL_DIR);
  const { checked: journal, read: teller } = checkedJournal(
    place,
    { key: verifierKey },
    () => new StoryTeller(),
  );
  // After the journal was read: nothing that it says is later.
  const madeMs = systemClock.wallMs();
  const { firstMs } = teller;
  const authority = new Authority({ config, stateDir: dir, clock: systemClock });
  authority.load();
  const held = authority.now();
  const authorisation = 'reason' in held ? null : held.content;
  const months = monthsOf(teller, new SiteTime(config.timeZone), madeMs);
  return {
    site: config.site,
    box: config.box,
    timeZone: config.timeZone,
    version: programVersion(),
    contact: contact.trim(),
    url,
    madeAt: new Date(madeMs),
    mode: stateNow(teller, madeMs),
    missingResumes: missingResumes(teller, months, madeMs),
    authorisation,
    rules: rulesOf(config, 'reason' in held ? [] : held.coverage),
    masks: masksOf(config, authorisation),
    sealedTo: authorisation?.ageRecipients ?? [],
    retention: retentionOf(config, authorisation),
    tracks: authorisation?.tracks ?? null,
    trackRows: teller.trackRows,
    months,
    journal: {
      verifierKey,
      size: journal.checkpoint?.size ?? 0,
      rootHash: journal.checkpoint?.root.toString('base64') ?? '',
      from: firstMs === undefined ? null : new Date(firstMs),
      inOrder: journal.wrong.length === 0 && journal.checkpoint !== undefined,
    },
  };
}

/** One that order and configuration both draw is one. */
function masksOf({ masks }: Config, authorisation: Authorisation | null): number {
  const all = [...masks, ...(authorisation?.masks ?? [])];
  return new Set(all.map(({ polygon }) => JSON.stringify(polygon))).size;
}

function rulesOf({ rules }: Config, coverage: Signed['coverage']): PublicRule[] {
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

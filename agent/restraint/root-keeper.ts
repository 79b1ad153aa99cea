/**
 * Root's side of the record: answers one request of a program, which may be any member of the group.
 *
 * INVARIANTS: a request can restrain the box more, never less:
 * - A suspension ends only by a resume that two keys of the authorisation have signed.
 * - An authorisation counts only with a signature of the authority's key in this folder.
 * - The journal's head only moves to one that continues it.
 * - A request never names a file or a command.
 */
import { spawnSync } from 'node:child_process';
import { Value } from '@sinclair/typebox/value';
import { writeAtomically } from '../base/atomic-file.ts';
import { AgentError, messageOf, rethrowBug } from '../base/errors.ts';
import { jsonOf } from '../base/json.ts';
import type { Authorisation } from '../contract/authorisation.ts';
import { RootRequest } from '../contract/root-record.ts';
import {
  ENDED_FILE,
  JOURNAL_FILE,
  type JournalRecord,
  type RestraintFolder,
} from '../orders/restraint-folder.ts';
import { boxRefusal, openAuthorisation, timeRefusal } from '../orders/signed-authorisation.ts';
import { newSuspensionId, SUSPENSION_FILE, suspensionText } from '../orders/suspension.ts';
import { isConsistent } from './journal/consistency.ts';
import { openCheckpoint, parseVerifierKey } from './journal/note.ts';
import { parseProvenHead } from './journal/proven-head.ts';
import { openResume } from './resume.ts';

/** Readable by everyone: vision and the agent use it. */
const MODE = 0o644;
const STOP_WITHIN_MS = 10_000;

export interface RootKeeperOptions {
  readonly folder: RestraintFolder;
  readonly nowMs: number;
  /**
   * Returns a signed authorisation of the configuration; undefined if there is no installation authorisation. Throws
   * AgentError.
   */
  readAuthorisation(name: 'authorisation' | 'installation'): Uint8Array | undefined;
}

/** Executes the request in the line; returns the reason for a refusal, or null. */
export function keep(line: string, options: RootKeeperOptions): string | null {
  const request = jsonOf(line);
  if (!Value.Check(RootRequest, request)) return 'not a request of this version';
  try {
    execute(request, options);
    return null;
  } catch (error) {
    rethrowBug(error);
    return error.message.slice(0, 1000);
  }
}

function execute(request: RootRequest, options: RootKeeperOptions): void {
  if (request.op === 'suspend') suspend(request, options);
  if (request.op === 'resume') resume(Buffer.from(request.envelope), options);
  if (request.op === 'keep-head') keepHead(request, options);
  if (request.op === 'stop-vision') stopVision();
}

/**
 * Records a suspension; an existing one stays unchanged. An id identifies one suspension permanently. Otherwise a
 * caller could reuse the id of an earlier one whose signed end he has.
 */
function suspend(
  { id, since, reason, by }: Extract<RootRequest, { op: 'suspend' }>,
  { folder, nowMs }: RootKeeperOptions,
): void {
  if (folder.suspension()?.suspended === true) return;
  const at = since ?? new Date(nowMs).toISOString();
  const own = folder.endedIds().includes(id) ? newSuspensionId() : id;
  write(folder.path(SUSPENSION_FILE), suspensionText({ suspended: true, id: own, since: at, reason, by }));
}

function resume(envelope: Uint8Array, options: RootKeeperOptions): void {
  const { folder, nowMs } = options;
  const state = folder.suspension();
  if (state?.suspended !== true) return;
  const { site, box } = folder.box();
  const authorisation = activeAuthorisation(site, box, options);
  const { reason, names } = openResume(envelope, authorisation, { site, box, suspension: state.id }, nowMs);
  const nowText = new Date(nowMs).toISOString();
  const by = names.join(', ').slice(0, 100);
  // Written first: a cut between the two must not leave an id that can be used again.
  write(folder.path(ENDED_FILE), JSON.stringify([...new Set([...folder.endedIds(), state.id])]));
  write(
    folder.path(SUSPENSION_FILE),
    suspensionText({ suspended: false, id: state.id, since: nowText, reason, by }),
  );
}

/**
 * Returns the authorisation if it holds, otherwise the installation authorisation.
 *
 * @throws AgentError neither holds
 */
export function activeAuthorisation(
  site: string,
  box: string,
  { folder, nowMs, readAuthorisation }: RootKeeperOptions,
): Authorisation {
  const validAuthorisation = (name: 'authorisation' | 'installation'): Authorisation | undefined => {
    const bytes = readAuthorisation(name);
    if (bytes === undefined) return undefined;
    const authorisation = openAuthorisation(bytes, folder.authority());
    const error = boxRefusal(authorisation, { site, box }) ?? timeRefusal(authorisation, nowMs);
    if (error !== undefined) throw error;
    return authorisation;
  };
  try {
    const authorisation = validAuthorisation('authorisation');
    if (authorisation !== undefined) return authorisation;
    throw new AgentError('config', '`authorisation` is not in the configuration');
  } catch (error) {
    rethrowBug(error);
    const installation = validAuthorisation('installation');
    if (installation?.installation === true) return installation;
    throw error;
  }
}

function keepHead(
  { verifierKey, provenHead }: Extract<RootRequest, { op: 'keep-head' }>,
  { folder }: RootKeeperOptions,
): void {
  const before = folder.journal();
  const { site, box } = folder.box();
  const verifier = parseVerifierKey(verifierKey);
  const { note, from, proof } = parseProvenHead(provenHead);
  const after = openCheckpoint(note, verifier);
  if (after.origin !== `vigie/${site}/${box}`) throw new AgentError('denied', `this is ${box} at ${site}`);
  if (before !== undefined) {
    if (before.verifierKey !== verifierKey)
      throw new AgentError('denied', 'the journal is another one than before');
    const checkpoint = openCheckpoint(before.head, verifier);
    if (from !== checkpoint.size || !isConsistent(checkpoint, after, proof))
      throw new AgentError('denied', 'the journal does not continue its recorded head');
  }
  const record: JournalRecord = { version: 1, verifierKey, head: note };
  write(folder.path(JOURNAL_FILE), JSON.stringify(record));
}

/** Returns when systemd has no process of the unit. */
function stopVision(): void {
  const { status, error, stderr } = spawnSync('systemctl', ['--quiet', 'stop', 'vigie-vision.service'], {
    encoding: 'utf8',
    timeout: STOP_WITHIN_MS,
  });
  if (status === 0) return;
  throw new AgentError(
    'unavailable',
    `vision cannot be stopped: ${error ? messageOf(error) : stderr.trim()}`,
  );
}

/** Throws AgentError `unavailable`. */
function write(file: string, text: string): void {
  try {
    writeAtomically(file, text, MODE);
  } catch (error) {
    throw new AgentError('unavailable', `${file} cannot be written: ${messageOf(error)}`, error);
  }
}

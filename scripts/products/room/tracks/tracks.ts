/** Queries the track log of one box, by a signed command that the box records in its journal. */
import type { KeyObject } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { SingleBar } from 'cli-progress';
import { messageOf } from '../../../../agent/base/errors.ts';
import type { SiteTime } from '../../../../agent/base/site-time.ts';
import { wrong } from '../../../../agent/cli/bad-option.ts';
import { print, printJson, printNote } from '../../../../agent/cli/print.ts';
import { signingKey } from '../../../../agent/cli/signing-key.ts';
import type { TrackArgs } from '../../../../agent/contract/track-log.ts';
import { type Room, type RoomOptions, roomOf } from '../../../lib/room-link/room-file.ts';
import { timeOfSite } from '../questions/time-of-site.ts';
import { approvalIn, assertApproves, signedApproval } from '../questions/tracks/approval.ts';
import { EXPORT_FORMATS, type ExportFormat } from '../questions/tracks/export.ts';
import { csvOf } from '../questions/tracks/export-csv.ts';
import { mfJsonOf } from '../questions/tracks/export-mf-json.ts';
import { type FetchedTracks, fetchStill, fetchTracks } from '../questions/tracks/fetch.ts';
import { QUESTION_OPTIONS, type QuestionOptions, trackArgs } from '../questions/tracks/request.ts';
import { savedQuestion } from './saved-question.ts';
import { tell } from './tell.ts';

export interface TracksOptions extends RoomOptions, QuestionOptions {
  readonly sign: string;
  /** File with box, case, reason and query. */
  readonly question?: string;
  readonly approval?: string;
  readonly approve?: string;
  readonly max: number;
  readonly out?: string;
  readonly format?: string;
  readonly timeout: number;
  readonly timeZone?: string;
  readonly json?: boolean;
}

interface TracksJob {
  readonly options: TracksOptions & { readonly box: string };
  readonly room: Room;
  readonly key: KeyObject;
  readonly args: TrackArgs;
  readonly time: SiteTime;
}

/** Runs the command. Returns the exit code: 0 only if everything was returned and the time has no gap. */
export async function tracks(options: TracksOptions): Promise<number> {
  const room = roomOf(options);
  const key = signingKey(options.sign);
  const time = timeOfSite(options, room);
  const { box, args: typed } = subjectOf(options, time);
  const job = { options: { ...options, box }, room, key, time, args: typed };
  const format = formatOf(options);
  if (options.approve !== undefined) return approve(options.approve, job);
  const args = withApproval(job);
  const { still } = options;
  if (still !== undefined) return saveStill(still, { ...job, args });
  return question(format, { ...job, args });
}

function subjectOf(options: TracksOptions, time: SiteTime): ReturnType<typeof savedQuestion> {
  const { question: file } = options;
  if (file === undefined) return trackArgs(options, time);
  const extraOption = QUESTION_OPTIONS.find((name) => options[name] !== undefined);
  if (extraOption === undefined) return savedQuestion(file);
  const name = extraOption === 'atLeast' ? 'at-least' : extraOption;
  throw wrong(`--${name}`, 'is in the file of --question already; leave it out');
}

/**
 * Returns the output format, or undefined for lines for a person.
 * @throws {AgentError} `config`, one line
 */
function formatOf({ format, json, out, still, approve }: TracksOptions): ExportFormat | undefined {
  if (still !== undefined || approve !== undefined) {
    const optionName = out !== undefined ? '--out' : format !== undefined ? '--format' : undefined;
    const is = approve === undefined ? '--still FILE' : '--approve FILE';
    if (optionName !== undefined)
      throw wrong(optionName, `is for an answer, and ${is} names a file already; leave it out`);
    return undefined;
  }
  if (format === undefined) return json === true || out !== undefined ? 'json' : undefined;
  const knownFormat = EXPORT_FORMATS.find((name) => name === format);
  if (knownFormat === undefined)
    throw wrong('--format', `"${format.slice(0, 40)}" must be one of ${EXPORT_FORMATS.join(', ')}`);
  if (json === true && knownFormat !== 'json')
    throw wrong('--json', `--format ${knownFormat} is another format; leave out one`);
  return knownFormat;
}

function approve(file: string, { options, room, key, args, time }: TracksJob): number {
  if (options.approval !== undefined)
    throw wrong('--approval', 'is for who asks, not for who approves; leave it out');
  const { box } = options;
  const nowMs = Date.now();
  const { text, notAfter } = signedApproval({ site: room.site, box, args }, key, nowMs);
  written('--approve', file, `${text}\n`);
  const endTime = time.rfc3339(Date.parse(notAfter));
  print(`${file}: approves this question in case ${args.case} at ${box}, until ${endTime}; nothing was sent`);
  print(`  who asks adds to the same command: --approval ${file}`);
  return 0;
}

function withApproval({ options, room, key, args }: TracksJob): TrackArgs {
  if (options.approval === undefined) return args;
  const approval = approvalIn(options.approval);
  assertApproves(approval, { site: room.site, box: options.box, args }, key, Date.now());
  return { ...args, approval };
}

async function saveStill(file: string | true, job: TracksJob): Promise<number> {
  if (file === true) throw wrong('--still', 'is to name the file into which the picture is written');
  assertFree('--still', file);
  const { room, key, args, time } = job;
  const { box, timeout: timeoutS } = job.options;
  const { jpeg, sha256, view, at } = await interruptible((signal) =>
    fetchStill({ room, key, box, timeoutS, signal, args }),
  );
  const bytes = Buffer.from(jpeg, 'base64');
  written('--still', file, bytes);
  print(
    `${file}: redacted still of ${time.rfc3339(Date.parse(at))}, ${bytes.length} bytes, SHA-256 ${sha256}`,
    view === null ? 'it is of no view yet: nothing can be drawn on it' : `view ${view}`,
  );
  return 0;
}

async function question(format: ExportFormat | undefined, job: TracksJob): Promise<number> {
  const { options, args, time } = job;
  if (options.out !== undefined) assertFree('--out', options.out);
  const { question: asks } = args;
  if (asks.answer === 'still') throw new Error('a still is asked for elsewhere');
  const fetched = await fetchedWithBar(job);
  const { coverage } = fetched.result;
  const isComplete = fetched.restCount === 0 && fetched.stopped === undefined;
  if (format === undefined) tell(args, asks, fetched, time);
  else {
    const { result, tracks: foundTracks, restCount, stopped } = fetched;
    const parts = {
      ...result,
      box: options.box,
      case: args.case,
      question: asks,
      tracks: foundTracks,
      more: restCount,
    };
    const answer = {
      case: args.case,
      reason: args.reason,
      box: options.box,
      question: asks,
      ...result,
      tracks: foundTracks,
      more: restCount,
      stopped: stopped ?? null,
    };
    if (options.out !== undefined) {
      const text = {
        json: () => JSON.stringify(answer, null, 2),
        csv: () => csvOf(parts),
        'mf-json': () => mfJsonOf(parts),
      }[format]();
      written('--out', options.out, format === 'csv' ? text : `${text}\n`);
      print(`${options.out}: ${foundTracks.length} tracks, ${coverage.gaps.length + coverage.more} gaps`);
    } else if (format === 'csv') process.stdout.write(csvOf(parts));
    else printJson(format === 'json' ? answer : JSON.parse(mfJsonOf(parts)));
    if (stopped !== undefined) printNote(`the rest was not given: ${stopped}`);
  }
  return isComplete && coverage.gaps.length === 0 && coverage.more === 0 ? 0 : 1;
}

/** Shows a progress bar on a terminal. */
async function fetchedWithBar({ options, room, key, args }: TracksJob): Promise<FetchedTracks> {
  const { box, timeout: timeoutS, max: tracksMax } = options;
  const bar = process.stderr.isTTY
    ? new SingleBar({ format: 'tracks {bar} {value}/{total}', stream: process.stderr, hideCursor: true })
    : undefined;
  const onProgress = (fetched: number, matches: number): void => {
    if (bar === undefined) return;
    const total = Math.max(fetched, Math.min(matches, tracksMax));
    if (!bar.isActive) bar.start(total, fetched);
    bar.setTotal(total);
    bar.update(fetched);
  };
  try {
    return await interruptible((signal) =>
      fetchTracks({ room, key, box, timeoutS, signal, args, tracksMax, onProgress }),
    );
  } finally {
    bar?.stop();
  }
}

/** Runs work that SIGINT and SIGTERM end. */
async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  const interrupt = (): void => stop.abort();
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    return await work(stop.signal);
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  }
}

/**
 * Refuses before the box is asked: a result that cannot be written would be requested, and recorded in the journal, in
 * vain.
 */
function assertFree(option: string, file: string): void {
  if (existsSync(file)) throw wrong(option, `${file} is there already; name another file`);
}

function written(option: string, file: string, content: string | Uint8Array): void {
  try {
    writeFileSync(file, content, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    throw wrong(option, `${file} cannot be written (${messageOf(error)})`);
  }
}

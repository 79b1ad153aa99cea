/**
 * `vigie provision restraint-folder` and `restraint-record`: root's part of what restrains the box, called by units. What
 * vision goes by comes from root's own files, and requests are judged by them.
 */
import { statSync } from 'node:fs';
import { AgentError, messageOf } from '../../base/errors.ts';
import { inspectConfig, loadConfig, problemText } from '../../config/load.ts';
import { RestraintFolder } from '../../contract/restraint-folder.ts';
import { ROOT_REQUEST_BYTES_MAX } from '../../contract/root-record.ts';
import { readAuthorisationFile } from '../../restraint/authorisation.ts';
import { writeBox, writeFirstAuthority } from '../../restraint/folder.ts';
import { keep } from '../../restraint/root-keeper.ts';

export interface RestraintOptions {
  readonly config: string;
  readonly folder: string;
}

/** Group and others may not change what vision goes by. */
const OTHERS_WRITE = 0o022;
const REQUEST_WITHIN_MS = 5000;

/** Which box it is, what must be black, and whose orders count at first; a file that is refused changes nothing. */
export function provisionRestraintFolder({ config: file, folder: dir }: RestraintOptions): void {
  assertOwn(file);
  const { config, problems } = inspectConfig(file, { env: process.env, mode: 'check', files: false });
  if (config === undefined) {
    const why = problems.map((problem) => problemText(file, problem)).join('\n');
    process.stderr.write(`${why}\n${dir} stays as it was\n`);
    return;
  }
  const folder = new RestraintFolder(dir);
  writeBox(folder, config);
  writeFirstAuthority(folder, config);
  process.stdout.write(`${dir}: ${config.box} at ${config.site}, ${config.masks.length} masks\n`);
}

/** One request on standard input, the answer on standard output. */
export async function provisionRestraintRecord({
  config: file,
  folder: dir,
}: RestraintOptions): Promise<void> {
  const readOrder = (): Uint8Array => {
    // No configuration that the agent has kept, and no order that others could change for an older one.
    assertOwn(file);
    const { authorisation } = loadConfig(file, { env: process.env, mode: 'check', files: false });
    if (authorisation === undefined)
      throw new AgentError('config', '`authorisation` is not in the configuration');
    assertOwn(authorisation);
    return readAuthorisationFile(authorisation);
  };
  const line = await firstLine();
  const refused = keep(line, { folder: new RestraintFolder(dir), nowMs: Date.now(), readOrder });
  if (refused !== null) process.stderr.write(`refused: ${refused}\n`);
  await new Promise<void>((resolve) =>
    process.stdout.write(`${JSON.stringify({ refused })}\n`, () => resolve()),
  );
  // Whoever asked may leave the connection open.
  process.exit(0);
}

/** What only root can change, and nobody else. */
function assertOwn(file: string): void {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat === undefined) throw new AgentError('config', `${file}: no such file`);
  if (stat.uid === 0 && (stat.mode & OTHERS_WRITE) === 0) return;
  throw new AgentError('config', `${file} can be changed by others than root; chown root:vigie, chmod 0640`);
}

/** Empty where none comes in time, or one that is too long. */
async function firstLine(): Promise<string> {
  const enough = setTimeout(() => process.stdin.destroy(), REQUEST_WITHIN_MS);
  let text = '';
  try {
    for await (const chunk of process.stdin.setEncoding('utf8')) {
      text += String(chunk);
      if (text.includes('\n') || text.length > ROOT_REQUEST_BYTES_MAX) break;
    }
  } catch (error) {
    // Whoever asked has gone, or said nothing in time: that is no request.
    process.stderr.write(`${messageOf(error)}\n`);
  } finally {
    clearTimeout(enough);
  }
  const end = text.indexOf('\n');
  return end === -1 || end > ROOT_REQUEST_BYTES_MAX ? '' : text.slice(0, end);
}

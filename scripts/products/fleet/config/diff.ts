/** Shows changes of configurations in the form of diff(1). Boxes with the same change are named together. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { printableLine } from '../../../../agent/base/printable.ts';
import { boxCount, someOf } from '../rollout/table.ts';

const NAMES_MAX = 20;
const COLOURS: Readonly<Record<string, string>> = { '+': '\u001b[32m', '-': '\u001b[31m', '@': '\u001b[36m' };
const PLAIN = '\u001b[0m';

export interface FileChange {
  readonly site: string;
  readonly box: string;
  readonly before: string;
  readonly after: string;
}

/**
 * Returns lines for people, with colours for a terminal if `coloured`. Throws AgentError `unavailable` without diff(1).
 */
export function diffLines(changes: readonly FileChange[], coloured: boolean): string[] {
  const dir = mkdtempSync(join(tmpdir(), 'vigie-diff-'));
  try {
    const groups = new Map<string, { names: string[]; lines: string[] }>();
    for (const change of changes) {
      const lines = unified(change, dir);
      // The position in the file may differ.
      const key = lines.map((line) => (line.startsWith('@@') ? '@@' : line)).join('\n');
      const group = groups.get(key) ?? { names: [], lines };
      group.names.push(`${change.site}/${change.box}`);
      groups.set(key, group);
    }
    return [...groups.values()].flatMap(({ names, lines }) => [
      `${names.length === 1 ? '' : `${boxCount(names.length)}: `}${someOf(names, NAMES_MAX)}`,
      ...lines.map((line) => paint(line, coloured)),
    ]);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function unified({ before, after }: FileChange, dir: string): string[] {
  const [a, b] = [join(dir, 'a'), join(dir, 'b')];
  writeFileSync(a, before);
  writeFileSync(b, after);
  const { status, stdout, error } = spawnSync('diff', ['-u', a, b], { encoding: 'utf8' });
  if (error !== undefined || status === null || status > 1)
    throw new AgentError(
      'unavailable',
      `diff cannot be run: ${messageOf(error ?? status)}; install diffutils`,
    );
  return stdout.trimEnd().split('\n').slice(2);
}

function paint(line: string, coloured: boolean): string {
  const colour = coloured ? COLOURS[line[0] ?? ''] : undefined;
  return colour === undefined ? printableLine(line) : `${colour}${printableLine(line)}${PLAIN}`;
}

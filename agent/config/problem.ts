/** A mistake in a configuration, told to a person: where it is, what was found, what would be right. */
import { AgentError } from '../base/errors.ts';
import { maskedSource } from '../contract/camera-address.ts';

/** Keys and list positions from the top of the configuration down; empty = the configuration as a whole. */
export type Path = readonly (string | number)[];

export interface Problem {
  /** As a person writes it: `rules[0].zone`; empty for the file as a whole. */
  readonly path: string;
  /** 1-based place in the file; null where the value does not come from the file. */
  readonly line: number | null;
  readonly column: number | null;
  /** Environment variable that gave the value, or null. */
  readonly variable: string | null;
  /** The value found, secrets hidden; null where there is none or where it must not be shown. */
  readonly found: string | null;
  /** One line: what is wrong and what would be right. */
  readonly message: string;
}

/** A broken file of unknown origin must not fill the terminal or the memory: the rest is only counted. */
export const PROBLEMS_MAX = 200;

/** Every mistake of a configuration at once. The message is one line: the first mistake and how many more. */
export class ConfigProblems extends AgentError {
  readonly file: string;
  readonly problems: readonly Problem[];

  constructor(file: string, problems: readonly Problem[]) {
    const first = problems[0];
    const text = first === undefined ? `${file}: refused` : problemText(file, first);
    const others = problems.length - 1;
    super(
      'config',
      others < 1
        ? text
        : `${text}; and ${others} more ${others === 1 ? 'mistake' : 'mistakes'}: \`vigie check ${file}\` lists all`,
    );
    this.file = file;
    this.problems = problems;
  }
}

/** One line, in the form editors and terminals make clickable: `file:line:column path: message (found …)`. */
export function problemText(file: string, problem: Problem): string {
  const place = problem.line === null ? file : `${file}:${problem.line}:${problem.column ?? 1}`;
  const where = problem.variable ?? problem.path;
  const what = problem.found === null ? problem.message : `${problem.message} (found ${problem.found})`;
  return where === '' ? `${place}: ${what}` : `${place} ${where}: ${what}`;
}

/** `['rules', 0, 'zone']` → `rules[0].zone`. A key that is no plain word may be anything and is not repeated. */
export function pathText(path: Path): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else if (/^[A-Za-z0-9_<-]{1,64}$/.test(part)) text += text === '' ? part : `.${part}`;
    else text += '["…"]';
  }
  return text;
}

/** Longest piece of a found value that is shown. */
const SHOWN_CHARS_MAX = 80;

/** A found value as a person would write it, on one line, without passwords; null where there is none. */
export function shown(value: unknown, path: Path): string | null {
  if (value === undefined) return null;
  if (value === null) return 'nothing';
  if (typeof value === 'string') {
    const text = shownText(value, path);
    return JSON.stringify(text.length > SHOWN_CHARS_MAX ? `${text.slice(0, SHOWN_CHARS_MAX)}…` : text);
  }
  if (Array.isArray(value)) {
    const flat = value.length <= 4 && value.every((item) => typeof item === 'number');
    return flat ? `[${value.join(', ')}]` : `a list of ${value.length}`;
  }
  return typeof value === 'object' ? 'a group of keys' : String(value);
}

function shownText(value: string, path: Path): string {
  if (path[0] === 'camera' && (path[1] === 'source' || path[1] === 'substream')) return maskedSource(value);
  return path[0] === 'mqtt' ? shownAddress(value) : hideSecrets(value);
}

/**
 * Takes out what stands where a URL keeps its password (before the last @, after ?) or where cheap cameras
 * put it (`/user=admin_password=…`). Works on text that no URL parser takes.
 */
export function hideSecrets(text: string): string {
  const end = text.lastIndexOf('@');
  const scheme = /^[^@:]*:\/*/.exec(text)?.[0] ?? '';
  const start = scheme.length <= end ? scheme : '';
  const withoutLogin = end < 0 ? text : `${start}***${text.slice(end)}`;
  return withoutLogin.replace(/\?.*$/s, '?***').replace(/((?:user|pass\w{0,16}|pwd|token)=).*$/is, '$1***');
}

/**
 * Where an address with a login is expected, a mistyped one may have lost its @: a colon that no port
 * follows then hides the whole place.
 */
function shownAddress(text: string): string {
  const [scheme = ''] = /^(?:https?|mqtts?):\/*/i.exec(text) ?? [];
  const place = /^[^/]*/.exec(text.slice(scheme.length))?.[0] ?? '';
  const plain = /^[^\s:&]*(?::\d*)?$|^\[[0-9a-f:.]*\](?::\d*)?$/i.test(place);
  return text.includes('@') || plain ? hideSecrets(text) : `${scheme}***`;
}

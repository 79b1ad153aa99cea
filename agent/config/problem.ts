/** Validation error of a configuration, in the form shown to a person: position, value found, accepted value. */
import { AgentError } from '../base/errors.ts';
import { maskedSource } from '../contract/camera-address.ts';

/** Keys and list positions from the top of the configuration down; empty = the complete configuration. */
export type Path = readonly (string | number)[];

export interface Problem {
  /** Path as people write it, such as `rules[0].zone`; empty for the complete file. */
  readonly path: string;
  /** 1-based position in the file; null if the value does not come from the file. */
  readonly line: number | null;
  readonly column: number | null;
  /** Environment variable that gave the value, or null. */
  readonly variable: string | null;
  /** Value found, with secrets hidden; null if there is none or it must not be shown. */
  readonly found: string | null;
  /** One line: the fault and the accepted value. */
  readonly message: string;
}

/**
 * Maximum number of reported problems. A broken file of unknown origin must not fill the terminal or the memory, so
 * further ones are only counted.
 */
export const PROBLEMS_MAX = 200;

/** All errors of a configuration together. The message is one line: the first error and the number of others. */
export class ConfigProblems extends AgentError {
  readonly file: string;
  readonly problems: readonly Problem[];

  constructor(file: string, problems: readonly Problem[]) {
    const first = problems[0];
    const text = first === undefined ? `${file}: refused` : problemText(file, first);
    const othersCount = problems.length - 1;
    super(
      'config',
      othersCount < 1
        ? text
        : `${text}; and ${othersCount} more ${othersCount === 1 ? 'error' : 'errors'}: \`vigie check ${file}\` lists all`,
    );
    this.file = file;
    this.problems = problems;
  }
}

/**
 * Returns one line in the form that editors and terminals make clickable: `file:line:column path: message (found …)`.
 */
export function problemText(file: string, problem: Problem): string {
  const place = problem.line === null ? file : `${file}:${problem.line}:${problem.column ?? 1}`;
  const location = problem.variable ?? problem.path;
  const text = problem.found === null ? problem.message : `${problem.message} (found ${problem.found})`;
  return location === '' ? `${place}: ${text}` : `${place} ${location}: ${text}`;
}

/**
 * Returns the text of a path: `['rules', 0, 'zone']` → `rules[0].zone`. A key that is not a plain word is untrusted and
 * not repeated.
 */
export function pathText(path: Path): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else if (/^[A-Za-z0-9_<-]{1,64}$/.test(part)) text += text === '' ? part : `.${part}`;
    else text += '["…"]';
  }
  return text;
}

/** Maximum number of characters shown of a value. */
const SHOWN_CHARS_MAX = 80;

/** Returns a value in the notation of people, on one line and without passwords; null if there is none. */
export function displayValue(value: unknown, path: Path): string | null {
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
 * Hides the text at which a URL has its password (before the last @, after ?) or at which cheap cameras have it
 * (`/user=admin_password=…`). Also works on text that no URL parser accepts.
 */
export function hideSecrets(text: string): string {
  const end = text.lastIndexOf('@');
  const scheme = /^[^@:]*:\/*/.exec(text)?.[0] ?? '';
  const start = scheme.length <= end ? scheme : '';
  const withoutLogin = end < 0 ? text : `${start}***${text.slice(end)}`;
  return withoutLogin
    .replace(/\?.*$/s, '?***')
    .replace(/((?:user|pass\w{0,16}|pwd|token|auth|secret|key)=).*$/is, '$1***');
}

/**
 * Hides more of a value that should be an address, because a mistyped login may lack its @. A colon without a port
 * therefore hides everything after the scheme.
 */
function shownAddress(text: string): string {
  const [scheme = ''] = /^(?:https?|mqtts?):\/*/i.exec(text) ?? [];
  const place = /^[^/]*/.exec(text.slice(scheme.length))?.[0] ?? '';
  const plain = /^[^\s:&]*(?::\d*)?$|^\[[0-9a-f:.]*\](?::\d*)?$/i.test(place);
  return text.includes('@') || plain ? hideSecrets(text) : `${scheme}***`;
}

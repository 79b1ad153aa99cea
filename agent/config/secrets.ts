/**
 * Hides the login of the camera's streams in a configuration's text, including comments, by `***`, so that the text may
 * leave the box. Converts such a text back with the login stored on the box.
 *
 * INVARIANTS:
 * - The shown text is the same for every login, and showing it again does not change it. Its SHA-256 can therefore be
 *   published and compared; a hash over a file with a password would allow guessing the password.
 * - A login is carried over only to the camera that it belongs to, and only into its own place.
 *
 * LIMITS: comments are searched for text that looks like a login; a password in plain words remains.
 */
import { createHash } from 'node:crypto';
import { type Document, isAlias, isMap, isScalar, Lexer, parseDocument, type Scalar, visit } from 'yaml';
import { AgentError } from '../base/errors.ts';
import { maskedSource, withLoginOf } from '../contract/camera-address.ts';
import { hideSecrets } from './problem.ts';

const HIDDEN = '***';
const ADDRESS = /^\s*(?:rtsps?|https?):/i;
const RTSP = 'rtsp://';
/** Fields of `camera` that may hold a login. */
const STREAMS = ['source', 'substream'] as const;
type Stream = (typeof STREAMS)[number];

interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/**
 * Returns the text with logins hidden, or undefined if it is not readable as YAML: it is then unknown which parts are
 * passwords.
 */
export function withoutSecrets(text: string): string | undefined {
  const document = documentOf(text);
  if (document === undefined) return undefined;
  const edits: Edit[] = commentEdits(text);
  visit(document, {
    Scalar: (key, node) => {
      if (key === 'key' || typeof node.value !== 'string' || !ADDRESS.test(node.value)) return;
      const hidden = maskedAddress(node.value);
      // Always written in the same form, whatever its quotes, so that the text with and without its login differs only
      // there.
      if (hidden.includes(HIDDEN)) edits.push(editOf(text, node, hidden));
    },
  });
  return edited(text, edits);
}

/** Returns the SHA-256 in hex of the text that may leave the box, or undefined if it is not readable as YAML. */
export function shownSha256(text: string): string | undefined {
  const maskedText = withoutSecrets(text);
  return maskedText === undefined ? undefined : createHash('sha256').update(maskedText).digest('hex');
}

/**
 * Returns `text` with the login of `former` in place of each hidden one. A new `substream` gets the login of `source`,
 * if it is a stream of the same device.
 * @throws AgentError `config` if `former` has none for this address
 */
export function withSecretsOf(text: string, previousText: string): string {
  const document = documentOf(text);
  if (document === undefined) return text;
  const before = documentOf(previousText);
  const edits = STREAMS.flatMap((stream): Edit[] => {
    const node = streamIn(document, stream);
    const address = String(node?.value ?? '');
    if (node === undefined || !address.includes(HIDDEN)) return [];
    if (isShared(document, node)) {
      const problem = 'would appear in two places through an alias; write the camera address only there';
      throw new AgentError('config', `camera.${stream}: the login (${HIDDEN}) ${problem}`);
    }
    return [editOf(text, node, filledOf(address, stream, before))];
  });
  return edited(text, edits);
}

/** Returns the first field of `camera` that contains a login, or undefined. */
export function streamWithSecret(text: string): Stream | undefined {
  const document = documentOf(text);
  return STREAMS.find((stream) => {
    const address = String(streamIn(document, stream)?.value ?? '');
    return ADDRESS.test(address) && maskedAddress(address) !== address;
  });
}

/** Returns `address` with a login that the previous configuration had for this device. */
function filledOf(address: string, stream: Stream, before: Document.Parsed | undefined): string {
  for (const one of new Set([stream, ...STREAMS])) {
    const had = String(streamIn(before, one)?.value ?? '');
    const filled = maskedAddress(had) === address ? had : withLoginOf(address, had);
    if (filled !== undefined && maskedAddress(filled) === address) return filled;
  }
  const message = `camera.${stream}: the login (${HIDDEN}) is that of another camera, or there is none here; give the login with the new address`;
  throw new AgentError('config', message);
}

function maskedAddress(address: string): string {
  return address.startsWith(RTSP) ? maskedSource(address) : hideSecrets(address);
}

/** Reports whether an alias uses the value elsewhere: in a rule's purpose, it would be sent with each event. */
function isShared(document: Document.Parsed, { range }: Scalar): boolean {
  let shared = false;
  visit(document, {
    Alias: (_, alias) => {
      const [start, , end] = alias.resolve(document)?.range ?? [];
      shared ||=
        start !== undefined && end !== undefined && range != null && start <= range[0] && range[0] < end;
    },
  });
  return shared;
}

function streamIn(document: Document.Parsed | undefined, stream: Stream): Scalar | undefined {
  const resolved = (node: unknown): unknown =>
    isAlias(node) && document !== undefined ? node.resolve(document) : node;
  const root = document?.contents;
  const camera = isMap<unknown, unknown>(root) ? resolved(root.get('camera', true)) : undefined;
  const node = isMap<unknown, unknown>(camera) ? resolved(camera.get(stream, true)) : undefined;
  return isScalar(node) && typeof node.value === 'string' ? node : undefined;
}

function documentOf(text: string) {
  try {
    const document = parseDocument(text, {
      uniqueKeys: false,
      prettyErrors: false,
      resolveKnownTags: false,
    });
    return document.errors.length > 0 ? undefined : document;
  } catch (error) {
    // The nesting overflows the stack.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** Returns the edit that replaces a scalar. JSON's quotes are also valid in YAML. */
function editOf(text: string, { range }: Scalar, value: string): Edit {
  const [start = 0, end = 0] = range ?? [];
  // A block scalar ends with its line.
  const line = text.slice(start, end).endsWith('\n') ? '\n' : '';
  return { start, end, text: `${JSON.stringify(value)}${line}` };
}

function commentEdits(text: string): Edit[] {
  const edits: Edit[] = [];
  let at = 0;
  let inScalar = false;
  for (const lexeme of new Lexer().lex(text)) {
    // The library's own marks: a document, the end of a broken flow, a scalar that follows.
    if (lexeme === '\u0002' || lexeme === '\u0018' || lexeme === '\u001f') {
      inScalar = lexeme === '\u001f';
      continue;
    }
    const end = at + lexeme.length;
    if (lexeme.startsWith('#') && !inScalar) edits.push({ start: at, end, text: commentShown(lexeme) });
    inScalar = false;
    at = end;
  }
  return edits;
}

function commentShown(comment: string): string {
  return comment
    .replace(/:\/\/.*@/g, `://${HIDDEN}@`)
    .replace(/(:\/\/[^\s?]*\?)\S+/g, `$1${HIDDEN}`)
    .replace(/((?:user|token|auth|secret|key)\s*[=:]\s*)\S+/gi, `$1${HIDDEN}`)
    .replace(/((?:\b|_)(?:pass\w{0,16}|pwd?|pw)(?:\s*[=:]\s*|\s+))\S+/gi, `$1${HIDDEN}`);
}

function edited(text: string, edits: readonly Edit[]): string {
  let result = text;
  for (const { start, end, text: replacement } of [...edits].sort((a, b) => b.start - a.start))
    result = result.slice(0, start) + replacement + result.slice(end);
  return result;
}

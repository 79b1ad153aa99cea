/**
 * A configuration's text as it may leave the box: the login of the camera's streams is `***`, in comments too; and such a
 * text as the box runs it, with the login that it has.
 *
 * INVARIANTS: what is shown is the same text whatever the login is, so that its SHA-256 can be published (one over a file
 * with a password in it would let the password be guessed) and compared; shown again it stays as it is. A login is carried
 * over to the camera that it belongs to, to no other address, and into no place but that one.
 * LIMITS: comments are searched for what looks like a login; a password in plain words stays.
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

/** Undefined where the text is not readable as YAML: nobody knows then what in it is a password. */
export function withoutSecrets(text: string): string | undefined {
  const document = documentOf(text);
  if (document === undefined) return undefined;
  const edits: Edit[] = commentEdits(text);
  visit(document, {
    Scalar: (key, node) => {
      if (key === 'key' || typeof node.value !== 'string' || !ADDRESS.test(node.value)) return;
      const hidden = shown(node.value);
      // Written one way, however it was quoted: with and without its login the text differs there alone.
      if (hidden.includes(HIDDEN)) edits.push(editOf(text, node, hidden));
    },
  });
  return edited(text, edits);
}

/** SHA-256 of the text as it may leave the box, hex; undefined where it is not readable as YAML. */
export function shownSha256(text: string): string | undefined {
  const shown = withoutSecrets(text);
  return shown === undefined ? undefined : createHash('sha256').update(shown).digest('hex');
}

/**
 * `text` with the login of `former` where that of a stream is hidden. A new `substream` gets the login of `source`, if it
 * is a stream of the same device.
 * @throws AgentError `config` where `former` has none for this address
 */
export function withSecretsOf(text: string, former: string): string {
  const document = documentOf(text);
  if (document === undefined) return text;
  const before = documentOf(former);
  const edits = STREAMS.flatMap((stream): Edit[] => {
    const node = streamIn(document, stream);
    const wanted = String(node?.value ?? '');
    if (node === undefined || !wanted.includes(HIDDEN)) return [];
    if (isShared(document, node)) {
      const why =
        'would stand in two places, by an alias; write the address of the camera there and nowhere else';
      throw new AgentError('config', `camera.${stream}: the login (${HIDDEN}) ${why}`);
    }
    return [editOf(text, node, filledOf(wanted, stream, before))];
  });
  return edited(text, edits);
}

/** The first field of `camera` that holds a login; undefined where none does. */
export function heldSecret(text: string): Stream | undefined {
  const document = documentOf(text);
  return STREAMS.find((stream) => {
    const address = String(streamIn(document, stream)?.value ?? '');
    return ADDRESS.test(address) && shown(address) !== address;
  });
}

/** `wanted` with a login that the configuration before had for this device. */
function filledOf(wanted: string, stream: Stream, before: Document.Parsed | undefined): string {
  for (const one of new Set([stream, ...STREAMS])) {
    const had = String(streamIn(before, one)?.value ?? '');
    const filled = shown(had) === wanted ? had : withLoginOf(wanted, had);
    if (filled !== undefined && shown(filled) === wanted) return filled;
  }
  const message = `camera.${stream}: the login (${HIDDEN}) is that of another camera, or there is none here; give the login with the new address`;
  throw new AgentError('config', message);
}

function shown(address: string): string {
  return address.startsWith(RTSP) ? maskedSource(address) : hideSecrets(address);
}

/** What an alias leads to stands elsewhere too: in a rule's purpose it would go out with each event. */
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
    // A nesting that ends the stack.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** JSON's quotes are YAML's, too. */
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
    .replace(/((?:user|token)\s*[=:]\s*)\S+/gi, `$1${HIDDEN}`)
    .replace(/((?:\b|_)(?:pass\w{0,16}|pwd?|pw)(?:\s*[=:]\s*|\s+))\S+/gi, `$1${HIDDEN}`);
}

function edited(text: string, edits: readonly Edit[]): string {
  let result = text;
  for (const { start, end, text: shown } of [...edits].sort((a, b) => b.start - a.start))
    result = result.slice(0, start) + shown + result.slice(end);
  return result;
}

/**
 * Wording check: counts breaches of the project's language rules (docs/design/016-project-rules.md) in names, comments, messages
 * and documents, and compares each count with .wording.json, which may only fall.
 *
 *   node .lint.mjs                   runs it after the rules of syntax
 *   node .wording.mjs                exit 1 where a count differs from .wording.json
 *   node .wording.mjs --list RULE    one line for each breach of a rule
 *   node .wording.mjs --lower        writes the counts that have fallen
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import ts from 'typescript';
import { listedFiles, sources } from './.listed-files.mjs';

const COUNTS = '.wording.json';
const SENTENCE_WORDS_MAX = 30;
/** Shortest test name, in words: it names a subject and a result. */
const TEST_NAME_WORDS_MIN = 4;

const RULES = {
  'header-missing': 'a source file begins with a comment that says what it is',
  'comment-question': 'a comment begins with a noun or a verb, not with a question word',
  'comment-fragment': 'a comment begins with a noun or a verb, not with a preposition or a conjunction',
  'sentence-long': `a sentence has at most ${SENTENCE_WORDS_MAX} words`,
  'sentence-chain': 'a sentence has at most one colon or semicolon',
  phrase: 'the usual phrase for a thing is used',
  'name-bare': 'a name is a noun, or a verb with an object',
  'file-name': 'a file is named by the noun of its subject',
  'error-text': 'a message says what failed, where, and what is accepted',
  'test-name': 'a test name is a sentence with a subject and a result',
};

const words = (text) => new Set(text.trim().split(/\s+/));
const QUESTION =
  /^(?:`[^`]*`(?: and `[^`]*`)?: )?(?:what|who|whose|whom|where|how|whether|which|when|why|whoever|whatever)\b|^[^.]*\?(?:\s|$)/i;
const FRAGMENT =
  /^(?:…|(?:Of|As|By|In|On|At|From|To|For|With|Without|Besides?|Under|Between|Beyond|After|Before|Until|Since|And|Or|So|Then|Also|Out|Within|Through|Against|Around)\b)/;
const TEST_NAME =
  /^(?:what|who|whose|where|whether|how|which|when|of|as|by|in|on|from|for|with|without|after|before|until)\b/i;
/** Participles, adverbs and pronouns: alone, they name nothing. */
const BARE = words(`
  told known asked kept found said given made seen wanted taken held heard judged drawn cut lost sent meant tried used
  chosen named shown listed moved changed refused opened dropped gone done ended begun begins laid followed redrawn
  again anew apart across ahead around away back behind below beside besides beyond elsewhere else here there instead
  meanwhile once twice since through until whole who whose what why when where which whether how many more most much
  some such mine others ours theirs without`);
/** Private nouns: a reader who is new cannot guess them. */
const PRIVATE_FILES = words('plate furniture desk teller story carrier passages eyes grip veil lettering');
/** Each phrase, and the usual one. */
const PHRASES = [
  ['anew', 'again'],
  ['whoever', 'anyone who, the caller'],
  ['somebody', 'a person, someone'],
  ['nobody', 'no one'],
  ['by (?:itself|themselves|himself)', 'automatically'],
  ['(?:go|goes|went|gone) back', 'roll back, revert'],
  ['(?:is|are|was|were|be) told', 'is reported, is sent'],
  ['(?:is|are|was|be) away', 'is unavailable, is unreachable'],
  ['so (?:many|much|long|often|late|far|few)(?! (?:that|as)\\b)', 'the number of …, how long …'],
  ['stands? (?:for|in|there|beside|against|still)', 'is, remains'],
  ['for ever\\b', 'indefinitely'],
  ['mend(?:s|ed)?', 'fix'],
  ['at the desk', 'offline'],
  ['(?:is|are|was|be) (?:whole|in order)', 'is intact, is valid'],
  ['(?<!there )(?:is|are|was|were|be) no (?!longer|more)(?=[a-z])', 'is not a'],
  ['nothing (?:of|else|is|but)\\b', 'say what happens'],
  ['as (?:it|they) (?:came|comes|lies|goes)', 'unchanged, as received'],
  ['in force', 'active'],
  ['one after the other', 'in sequence'],
  ['of (?:it|them|one|each|which)[,:] ', 'begin with the subject'],
].map(([pattern, usual]) => ({ pattern: new RegExp(`\\b(?:${pattern})`, 'gi'), usual }));
const ERROR_TEXT =
  /\b(?:is|are|was|has|names|gives|holds) no (?!longer)|(?:^|[;:,] )(?:what|who|where|whoever) |\b(?:given up|come again|goes back|mend|nobody|somebody|anew|not whole|is away|as was asked)\b/i;

const { values } = parseArgs({ options: { list: { type: 'string' }, lower: { type: 'boolean' } } });
const breaches = [];
const add = (rule, file, line, text) =>
  breaches.push({ rule, file, line, text: text.replace(/\s+/g, ' ').slice(0, 110) });

// References are generated; notices are written by others.
const isOurs = ({ file }) => !/^(?:docs\/ref|test\/fixtures)\/|NOTICE|\.d\.ts$/.test(file);
for (const { file, text } of listedFiles('*.md').filter(isOurs)) checkDocument(file, text);
for (const { file, text, tree } of sources.filter(isOurs)) checkSource(file, text, tree);

function checkDocument(file, text) {
  const blank = (found) => found.replace(/[^\n]/g, ' ');
  const prose = text
    .replace(/```[\s\S]*?```/g, blank)
    .replace(/`[^`\n]*`/g, (code) => 'x'.repeat(code.length));
  checkPhrases(file, 1, prose);
  checkSentences(file, 1, prose);
}

function checkSource(file, text, source) {
  const lineOf = (at) => source.getLineAndCharacterOfPosition(at).line + 1;
  // French is written by its own rules.
  const isFrench = /(?:^|[/-])fr\.ts$/.test(file);
  checkFileName(file);
  const comments = new Map();
  const visit = (node) => {
    if (node.kind === ts.SyntaxKind.JsxText) return;
    for (const one of ts.getLeadingCommentRanges(text, node.getFullStart()) ?? []) comments.set(one.pos, one);
    for (const one of ts.getTrailingCommentRanges(text, node.getEnd()) ?? []) comments.set(one.pos, one);
    checkName(file, node, lineOf);
    if (!isFrench) checkString(file, node, lineOf);
    ts.forEachChild(node, visit);
  };
  visit(source);
  const firstCode = source.statements[0]?.getStart() ?? source.getEnd();
  const ordered = [...comments.values()].sort((a, b) => a.pos - b.pos);
  if (!ordered.some(({ pos }) => pos < firstCode)) add('header-missing', file, 1, file);
  if (!isFrench) for (const one of ordered) checkComment(file, lineOf(one.pos), text.slice(one.pos, one.end));
}

function checkComment(file, line, comment) {
  const text = comment
    .replace(/^\/\*\*?|^\/\/|\*\/$/g, '')
    .replace(/^[^\S\n]*(?:\*|\/\/) ?/gm, '')
    .trim();
  if (/^(?:biome-ignore|@|ts-|<)/.test(text)) return;
  checkPhrases(file, line, text);
  checkSentences(file, line, text);
  if (QUESTION.test(text)) add('comment-question', file, line, text);
  else if (comment.startsWith('/**') && FRAGMENT.test(text)) add('comment-fragment', file, line, text);
}

function checkSentences(file, line, text) {
  let at = 0;
  for (const part of text.split(/(?<=[.?!])\s+(?=[A-Z`*…])|\n\s*\n|\n(?=\s*[-*|#]|\s*\d+\. )/)) {
    at = Math.max(at, text.indexOf(part, at));
    const sentence = part.replace(/\s+/g, ' ').trim();
    // A row of a table is several sentences.
    if (sentence === '' || sentence.startsWith('|')) continue;
    const lineOfPart = line + (text.slice(0, at).match(/\n/g)?.length ?? 0);
    const count = sentence.split(' ').filter((word) => /[A-Za-z]/.test(word)).length;
    if (count > SENTENCE_WORDS_MAX) add('sentence-long', file, lineOfPart, `${count} words: ${sentence}`);
    const bare = sentence.replace(/https?:\S+|`[^`]*`|^(?:INVARIANTS?|LIMITS):/g, '');
    if ((bare.match(/[:;](?=\s)/g)?.length ?? 0) >= 2) add('sentence-chain', file, lineOfPart, sentence);
  }
}

function checkPhrases(file, line, text) {
  for (const { pattern, usual } of PHRASES) {
    for (const found of text.matchAll(pattern)) {
      const lines = text.slice(0, found.index).match(/\n/g)?.length ?? 0;
      add('phrase', file, line + lines, `${found[0]}: ${usual}`);
    }
  }
}

function checkFileName(file) {
  for (const name of file.replace(/(?:\.unit|\.contract)?(?:\.test)?\.tsx?$/, '').split('/')) {
    if (BARE.has(name) || PRIVATE_FILES.has(name)) add('file-name', file, 1, name);
  }
}

/** Keys of an object and shorthand patterns repeat a name that is declared elsewhere. */
function checkName(file, node, lineOf) {
  const { name } = node;
  if (name === undefined || !(ts.isIdentifier(name) || ts.isPrivateIdentifier(name))) return;
  const isDeclared =
    ts.isVariableDeclaration(node) ||
    ts.isParameter(node) ||
    (ts.isBindingElement(node) && !isShorthand(node)) ||
    ts.isFunctionDeclaration(node) ||
    ts.isFunctionExpression(node) ||
    ts.isClassLike(node) ||
    ts.isInterfaceDeclaration(node) ||
    ts.isTypeAliasDeclaration(node) ||
    ts.isPropertyDeclaration(node) ||
    ts.isPropertySignature(node) ||
    ts.isMethodDeclaration(node) ||
    ts.isMethodSignature(node) ||
    ts.isAccessor(node);
  // A lambda of one expression is short enough for a short name.
  const isLambda = ts.isParameter(node) && ts.isArrowFunction(node.parent) && !ts.isBlock(node.parent.body);
  if (isDeclared && !isLambda && BARE.has(name.text.replace('#', '').toLowerCase()))
    add('name-bare', file, lineOf(name.getStart()), name.text);
}

function isShorthand(node) {
  return node.propertyName === undefined && ts.isObjectBindingPattern(node.parent);
}

function checkString(file, node, lineOf) {
  const isText =
    ts.isStringLiteralLike(node) || ts.isTemplateHead(node) || ts.isTemplateMiddleOrTemplateTail(node);
  if (!isText || !/\s/.test(node.text)) return;
  const line = lineOf(node.getStart());
  checkPhrases(file, line, node.text);
  const call = node.parent;
  if (file.startsWith('test/')) {
    const isName = ts.isCallExpression(call) && /\btest$/.test(call.expression.getText());
    const count = node.text.split(/\s+/).length;
    if (isName && call.arguments[0] === node && (TEST_NAME.test(node.text) || count < TEST_NAME_WORDS_MIN))
      add('test-name', file, line, node.text);
  } else if (ERROR_TEXT.test(node.text) && isOfAnError(node)) add('error-text', file, line, node.text);
}

function isOfAnError(node) {
  for (let at = node.parent; at !== undefined && !ts.isBlock(at); at = at.parent) {
    if (ts.isThrowStatement(at)) return true;
    if (ts.isNewExpression(at) && /(?:Error|Refused|Problem)$/.test(at.expression.getText())) return true;
  }
  return false;
}

const counts = Object.fromEntries(Object.keys(RULES).map((rule) => [rule, {}]));
for (const { rule, file } of breaches) {
  const area = file.includes('/') ? file.split('/')[0] : 'README.md';
  counts[rule][area] = (counts[rule][area] ?? 0) + 1;
}

if (values.list !== undefined) {
  for (const { rule, file, line, text } of breaches)
    if (rule === values.list || values.list === 'all') console.log(`${file}:${line}: ${rule}: ${text}`);
} else compare();

function compare() {
  const allowed = JSON.parse(readFileSync(COUNTS, 'utf8'));
  const areas = new Set([...Object.values(counts), ...Object.values(allowed)].flatMap(Object.keys));
  let mayLower = true;
  let differs = false;
  for (const rule of Object.keys(RULES)) {
    for (const area of areas) {
      const now = counts[rule][area] ?? 0;
      const most = allowed[rule]?.[area] ?? 0;
      if (now === most) continue;
      differs = true;
      mayLower &&= now < most;
      const advice =
        now > most
          ? `at most ${most}: ${RULES[rule]}; node .wording.mjs --list ${rule} shows each`
          : `fewer than the ${most} of ${COUNTS}; lower it with node .wording.mjs --lower`;
      if (now > most || values.lower !== true) console.error(`${rule} in ${area}: ${now}, ${advice}`);
    }
  }
  if (values.lower === true && mayLower) writeFileSync(COUNTS, `${JSON.stringify(counts, null, 2)}\n`);
  else if (differs) process.exitCode = 1;
}

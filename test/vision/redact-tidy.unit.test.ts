/**
 * Proves that privacy is a type: only the redactor makes a RedactedJpeg, and the camera starts only with a permit.
 * TypeScript lets any code cast to a type; this test permits it to their makers only.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import t from 'tap';
import ts from 'typescript';
import { packageRoot } from '../../agent/base/package-root.ts';

/** Branded types with the places (files, or folders that end in /) that may cast to them. */
const MAKERS: Readonly<Record<string, readonly string[]>> = {
  RedactedJpeg: ['agent/vision/redact/', 'agent/contract/link.ts'],
  SealedEvidence: ['agent/vision/redact/', 'agent/contract/link.ts', 'agent/archive/sealed.ts'],
  CapturePermit: ['agent/restraint/permit.ts'],
};

/** Casts to a branded type, and predicates that make one out of something else, as `line: text`. */
function claimsIn(path: string, text: string): string[] {
  // Parsing is dear, and most files name none of them.
  if (!Object.keys(MAKERS).some((brand) => text.includes(brand))) return [];
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true);
  const claims: string[] = [];
  const visit = (node: ts.Node): void => {
    const type =
      ts.isAsExpression(node) || ts.isTypeAssertionExpression(node) || ts.isTypePredicateNode(node)
        ? node.type
        : undefined;
    for (const brand of type === undefined ? [] : brandsIn(type)) {
      const allowed = MAKERS[brand]?.some((place) => path === place || path.startsWith(placeFolder(place)));
      if (allowed !== true) {
        const line = file.getLineAndCharacterOfPosition(node.getStart()).line + 1;
        claims.push(`${path}:${line}: ${node.getText().replace(/\s+/g, ' ')}`);
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return claims;
}

function placeFolder(place: string): string {
  return place.endsWith('/') ? place : `${place}/`;
}

/** The branded types in a type, at any depth: arrays, promises, unions, members. */
function brandsIn(type: ts.Node): string[] {
  const brands: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node) && Object.hasOwn(MAKERS, node.text)) brands.push(node.text);
    ts.forEachChild(node, visit);
  };
  visit(type);
  return brands;
}

t.test('the search finds casts and predicates of branded types', async (t) => {
  const forged: [string, number][] = [
    ['const a = {} as RedactedJpeg;', 1],
    ['const a = {} as unknown as RedactedJpeg;', 1],
    ['const a = <RedactedJpeg>(<unknown>{});', 1],
    ['const a = [] as readonly RedactedJpeg[];', 1],
    ['const a = {} as { picture: RedactedJpeg };', 1],
    ['const a = x as picture.RedactedJpeg;', 1],
    ['function isSafe(x: unknown): x is RedactedJpeg { return true; }', 1],
    ['function safe(x: unknown): asserts x is RedactedJpeg {}', 1],
    ['const a = still as unknown as SealedEvidence;', 1],
    ['camera.start({} as CapturePermit, {} as unknown as CapturePermit);', 2],
    ['const p: Promise<RedactedJpeg> = redact(still);', 0],
    ['const jpegs: RedactedJpeg[] = []; // as RedactedJpeg', 0],
    ['const text = "as RedactedJpeg";', 0],
    ['const size = picture as SizePx;', 0],
  ];
  for (const [text, count] of forged) t.equal(claimsIn('agent/mqtt/x.ts', text).length, count, text);
  const cast = 'const a = {} as RedactedJpeg;';
  t.same(claimsIn('agent/vision/redact/redactor.ts', cast), []);
  t.same(claimsIn('agent/contract/link.ts', cast), []);
  t.equal(claimsIn('agent/contract/link.ts.old.ts', cast).length, 1);
  t.equal(claimsIn('agent/vision/redactor.ts', cast).length, 1);
  t.equal(claimsIn('agent/vision/redact/x.ts', 'const p = {} as CapturePermit;').length, 1);
});

t.test('only their makers cast to branded types', async (t) => {
  const root = packageRoot();
  const files = ['agent', 'scripts', 'test'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') || name.endsWith('.tsx'))
      .map((name) => join(root, folder, name)),
  );
  t.ok(files.length > 50, `${files.length} files searched`);
  const claims = files.flatMap((file) =>
    claimsIn(relative(root, file).split(sep).join('/'), readFileSync(file, 'utf8')),
  );
  t.same(claims, []);
});

/** Tests a client whose types are generated from the OpenAPI document. */
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import openapiTS, { astToString } from 'openapi-typescript';
import t, { type Test } from 'tap';
import ts from 'typescript';
import { openApi } from '../../scripts/products/room/contract/openapi.ts';
import { ROOT, scratch } from '../lib/paths.ts';

const CLIENT = `import type { operations, components } from './room';

type Detail = operations['incident']['responses'][200]['content']['application/json'];
type Problem = components['responses']['NotFound']['content']['application/problem+json'];

export async function read(base: string, no: operations['incident']['parameters']['path']['no'], token: string) {
  const answer = await fetch(\`\${base}/api/incidents/\${no}\`, { headers: { authorization: \`Bearer \${token}\` } });
  if (!answer.ok) throw new Error(((await answer.json()) as Problem).title);
  const { incident, stills }: Detail = (await answer.json()) as Detail;
  const state: 'new' | 'claimed' | 'dispatched' | 'closed' = incident.state;
  const owner: string | null = incident.claimedBy;
  return \`\${incident.kind} at \${incident.site}/\${incident.box}: \${state}, \${owner ?? 'nobody'}, \${stills.length} stills\`;
}
`;

const OPTIONS: ts.CompilerOptions = {
  strict: true,
  noEmit: true,
  skipLibCheck: false,
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ES2022,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  lib: ['lib.es2022.d.ts', 'lib.dom.d.ts'],
  types: [],
};

/** The compiler's messages for files in one folder. */
function errorsIn(t: Test, files: Readonly<Record<string, string>>): string[] {
  const dir = scratch(t);
  const paths = Object.entries(files).map(([name, text]) => {
    writeFileSync(join(dir, name), text);
    return join(dir, name);
  });
  const messages = ts.getPreEmitDiagnostics(ts.createProgram(paths, OPTIONS));
  return messages.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' '));
}

void t.test('a client with types generated from the description reads an incident', async (t) => {
  const types = astToString(await openapiTS(JSON.stringify(openApi('0.0.0'))));
  const guide = readFileSync(join(ROOT, 'docs/guide/room-api.md'), 'utf8');
  const [, exampleText = ''] = /```ts\n([\s\S]*?)```/.exec(guide) ?? [];
  const fromGuide = `declare const base: string, token: string;\n${exampleText}`;
  const files = { 'room.d.ts': types, 'client.ts': CLIENT, 'guide.ts': fromGuide };
  t.strictSame(errorsIn(t, files), [], 'this one, and the guide’s');
  const wrong = CLIENT.replace('incident.kind', 'incident.colour');
  t.match(errorsIn(t, { 'room.d.ts': types, 'client.ts': wrong }), [/Property 'colour' does not exist/]);
  const server = createServer(({ url, headers }, response) => {
    const isKnown = url === '/api/incidents/7' && headers.authorization === 'Bearer secret';
    const incident = { kind: 'loitering', site: 'lyon', box: 'b-12', state: 'claimed', claimedBy: 'ada' };
    const answer = isKnown ? { incident, stills: [] } : { title: 'no such incident' };
    response.writeHead(isKnown ? 200 : 404).end(JSON.stringify(answer));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => void server.close());
  const { outputText } = ts.transpileModule(CLIENT, { compilerOptions: OPTIONS });
  const module: unknown = await import(`data:text/javascript,${encodeURIComponent(outputText)}`);
  const { read } = module as { read(base: string, no: number, token: string): Promise<string> };
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  t.equal(await read(base, 7, 'secret'), 'loitering at lyon/b-12: claimed, ada, 0 stills');
  await t.rejects(read(base, 8, 'secret'), { message: 'no such incident' });
});

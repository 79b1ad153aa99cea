/**
 * A client as another program has it: types generated from the interface's description, and a program that uses them.
 */
import openapiTS, { astToString } from 'openapi-typescript';
import ts from 'typescript';

/** Types from the document, by openapi-typescript. */
export async function typesOf(document: object): Promise<string> {
  return astToString(await openapiTS(JSON.stringify(document)));
}

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

/** The compiler's messages for files that exist only in memory, one per line. */
export function pageErrors(files: Readonly<Record<string, string>>): string[] {
  const host = ts.createCompilerHost(OPTIONS);
  const { getSourceFile, fileExists, readFile } = host;
  const text = (name: string): string | undefined => files[name.replace(/^.*\//, '')];
  host.getSourceFile = (name, ...rest) => {
    const own = text(name);
    if (own === undefined) return getSourceFile.call(host, name, ...rest);
    return ts.createSourceFile(name, own, ts.ScriptTarget.ES2022, true);
  };
  host.fileExists = (name) => text(name) !== undefined || fileExists.call(host, name);
  host.readFile = (name) => text(name) ?? readFile.call(host, name);
  const program = ts.createProgram(Object.keys(files), OPTIONS, host);
  return ts.getPreEmitDiagnostics(program).map(({ file, messageText }) => {
    return `${file?.fileName ?? ''}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
  });
}

/** The program's module, as JavaScript. */
export async function imported<T>(source: string): Promise<T> {
  const { outputText } = ts.transpileModule(source, { compilerOptions: OPTIONS });
  return (await import(`data:text/javascript,${encodeURIComponent(outputText)}`)) as T;
}

/** YAML that may hold a password: what is said of its mistakes is where they are, and nothing of the text. */
import { LineCounter, parseDocument } from 'yaml';

/** Throws Error, one line, for what is no YAML, also for a repeated key. */
export function parseYaml(text: string): unknown {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: 'error' });
  const [error] = [...document.errors, ...document.warnings];
  if (error !== undefined) {
    const { line, col } = lines.linePos(error.pos[0]);
    const what = error.code.toLowerCase().replaceAll('_', ' ');
    throw new Error(`not readable as YAML: ${what}, line ${Math.max(1, line)}, column ${Math.max(1, col)}`);
  }
  try {
    return document.toJS();
  } catch (error) {
    // Its message repeats the name.
    throw new Error('not readable as YAML: an alias leads nowhere, or to too much', { cause: error });
  }
}

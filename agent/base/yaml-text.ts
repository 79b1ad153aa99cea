/** YAML that may contain a password. Error messages state the position and contain none of the text. */
import { LineCounter, parseDocument } from 'yaml';

/**
 * Parses YAML.
 * @throws Error with one line for invalid YAML, including a repeated key
 */
export function parseYaml(text: string): unknown {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: 'error' });
  const [error] = [...document.errors, ...document.warnings];
  if (error !== undefined) {
    const { line, col } = lines.linePos(error.pos[0]);
    const problem = error.code.toLowerCase().replaceAll('_', ' ');
    throw new Error(
      `not readable as YAML: ${problem}, line ${Math.max(1, line)}, column ${Math.max(1, col)}`,
    );
  }
  try {
    return document.toJS();
  } catch (error) {
    // The parser's message repeats the name.
    throw new Error('not readable as YAML: an alias leads nowhere, or to too much', { cause: error });
  }
}

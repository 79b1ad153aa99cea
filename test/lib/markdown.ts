/** Reads sections and tables of the project's Markdown documents. */

/**
 * Returns the text below a heading, which is given with its number signs, up to the next one of its level or above.
 *
 * @throws Error if there is no such heading
 */
export function sectionOf(markdown: string, heading: string): string {
  const [, text] = `\n${markdown}`.split(`\n${heading}\n`);
  if (text === undefined) throw new Error(`there is no heading ${heading}`);
  const level = heading.indexOf(' ');
  return text.split(new RegExp(`^#{1,${level}} `, 'm'))[0] ?? '';
}

/** Returns the cells of each row of all tables, without their heads. */
export function tableRows(markdown: string): string[][] {
  const lines = markdown.split('\n');
  const isRule = (line = ''): boolean => /^\| --- \|/.test(line);
  return lines.flatMap((line, index) => {
    if (!line.startsWith('| ') || isRule(line) || isRule(lines[index + 1])) return [];
    return [
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    ];
  });
}

/** Returns the texts in backticks. */
export const codesIn = (text: string): string[] =>
  [...text.matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code);

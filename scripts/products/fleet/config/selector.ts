/**
 * Selects boxes by words: `canebiere-017`, `marseille-1/canebiere-017`, `site:marseille-1`, `board:rpi5`, `all`, or
 * several separated by commas.
 */
import { AgentError } from '../../../../agent/base/errors.ts';
import type { BoxRow } from '../store.ts';

type SelectableBox = Pick<BoxRow, 'site' | 'box' | 'report'>;

/** Returns the board in the form that the waves use. */
export function boardOf({ report }: Pick<BoxRow, 'report'>): string {
  return report?.updater?.board ?? 'generic';
}

/**
 * Returns the selected boxes, each once, in the order of `boxes`. Throws AgentError `config` for a word without a
 * match.
 */
export function selected<B extends SelectableBox>(selector: string, boxes: readonly B[]): B[] {
  const selection = new Set<B>();
  for (const word of selector.split(',').map((part) => part.trim())) {
    const matches = boxes.filter((box) => means(word, box));
    if (matches.length === 0) throw new AgentError('config', `--to: ${wrong(word, boxes)}`);
    const isAmbiguous = matches.length > 1 && /^[a-z0-9-]+$/.test(word) && word !== 'all';
    if (isAmbiguous) {
      const sites = matches.map(({ site }) => `${site}/${word}`).join(' or ');
      throw new AgentError('config', `--to: there is a box ${word} at ${matches.length} sites: ${sites}`);
    }
    for (const box of matches) selection.add(box);
  }
  return boxes.filter((box) => selection.has(box));
}

function means(word: string, box: SelectableBox): boolean {
  const [, kind, name] = /^(site|board):(.*)$/.exec(word) ?? [];
  if (kind === 'site') return box.site === name;
  if (kind === 'board') return boardOf(box) === name;
  return word === 'all' || word === box.box || word === `${box.site}/${box.box}`;
}

function wrong(word: string, boxes: readonly SelectableBox[]): string {
  const listText = (names: readonly string[]): string =>
    [...new Set(names)].slice(0, 10).join(', ') || 'none';
  if (word.startsWith('site:'))
    return `no box is at ${word}; sites are ${listText(boxes.map(({ site }) => site))}`;
  if (word.startsWith('board:')) return `no box is a ${word}; boards are ${listText(boxes.map(boardOf))}`;
  if (word === 'all') return 'the fleet knows no box yet (`fleet status`)';
  return `the fleet knows no box "${word.slice(0, 80)}"; give a box, site/box, site:NAME, board:NAME or all`;
}

/** Builds HTML in which everything that was not written in the program is escaped. */
import { withoutControls } from '../../agent/base/printable.ts';

/** Markup that needs no escaping; only `html` creates it. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

type Part = string | number | Html | readonly (string | Html)[];

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Escapes text for elements and for quoted attributes. */
export function escaped(text: string): string {
  return withoutControls(text, '\n\t').replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '');
}

function markup(part: Part): string {
  if (part instanceof Html) return part.text;
  return typeof part === 'object' ? part.map(markup).join('') : escaped(String(part));
}

/** Tagged template that escapes values unless they are markup themselves, and joins lists. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(String.raw({ raw: strings }, ...parts.map(markup)));
}

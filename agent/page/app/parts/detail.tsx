/** Technical detail in the box's own words, which are English. On another screen it is named as such and collapsed. */
import { language } from '../../../kit/words.ts';
import { words } from '../words/words.ts';

export function Detail({ text }: { readonly text: string | null | undefined }) {
  if (text === null || text === undefined || text === '') return null;
  if (language.value === 'en') return <> {text}</>;
  return (
    <details class="detail">
      <summary>{words.value.detail}</summary>
      <span lang="en">{text}</span>
    </details>
  );
}

/** Copies a text to the clipboard, and reports whether that was possible. */
import { tell } from '../toasts.ts';
import { trackWords } from '../words/tracks.ts';

export async function copy(text: string): Promise<void> {
  const { list } = trackWords.value;
  try {
    await navigator.clipboard.writeText(text);
    tell('good', list.copied);
  } catch {
    tell('bad', list.notCopied);
  }
}

/**
 * Encoding of the messages of page-link.ts. It is a separate module, because the phone's code is built from
 * page-link.ts and has no Buffer.
 */
import { frameUp } from '../base/link-frame.ts';
import type { FromPage, PagePicture, SeenTrack, ToPage } from './page-link.ts';
import type { RedactedJpeg } from './redacted-jpeg.ts';

/** Maximum size in bytes; a request takes about a hundred. */
export const FROM_PAGE_BYTES_MAX = 4096;

export function encodeFromPage(message: FromPage): Buffer {
  return frameUp(message, new Uint8Array(0));
}

export function encodeToPage(message: Exclude<ToPage, { kind: 'picture' | 'still' }>): Buffer {
  return frameUp(message, new Uint8Array(0));
}

/** Encodes the still of a receipt. The type admits only a redacted one. */
export function encodePageStill(request: number, { bytes }: RedactedJpeg): Buffer {
  return frameUp({ kind: 'still', request } satisfies ToPage, bytes);
}

/** Encodes a picture. The type admits only a redacted one. */
export function encodePagePicture(picture: RedactedJpeg, tracks: readonly SeenTrack[]): Buffer {
  const { widthPx, heightPx, atMs, bytes } = picture;
  const header: PagePicture = { kind: 'picture', widthPx, heightPx, atMs, tracks: [...tracks] };
  return frameUp(header, bytes);
}

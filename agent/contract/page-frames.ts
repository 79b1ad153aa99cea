/** Messages of page-link.ts as they are sent. Apart from it, because a phone's code is built from that and has no Buffer. */
import { frameUp } from '../base/link-frame.ts';
import type { FromPage, PagePicture, SeenTrack, ToPage } from './page-link.ts';
import type { RedactedJpeg } from './redacted-jpeg.ts';

/** A question takes a hundred bytes. */
export const FROM_PAGE_BYTES_MAX = 4096;

export function encodeFromPage(message: FromPage): Buffer {
  return frameUp(message, new Uint8Array(0));
}

export function encodeToPage(message: Exclude<ToPage, PagePicture>): Buffer {
  return frameUp(message, new Uint8Array(0));
}

/** Only a redacted picture can be shown. */
export function encodePagePicture(picture: RedactedJpeg, tracks: readonly SeenTrack[]): Buffer {
  const { widthPx, heightPx, atMs, bytes } = picture;
  const header: PagePicture = { kind: 'picture', widthPx, heightPx, atMs, tracks: [...tracks] };
  return frameUp(header, bytes);
}

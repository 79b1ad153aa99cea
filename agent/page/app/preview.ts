/**
 * Receives the live picture: redacted by the box, only the newest one, and removed as soon as the box reports that
 * there is none.
 *
 * INVARIANTS: one picture is held at a time, and its object URL is revoked when the next one shows. Nothing is fetched
 * while the page is hidden or on a screen without a picture.
 * LIMITS: a frame of more than `JPEG_BYTES_MAX` ends the stream. A stream that ended is requested again after
 * `AGAIN_MS`.
 */
import { computed, effect, signal } from '@preact/signals';
import type { PreviewHeader } from '../../contract/page-api.ts';
import type { NoPicture } from '../../contract/page-link.ts';
import { FrameReader } from '../../kit/frames.ts';
import { fetched, RefusalError } from './api.ts';
import { JPEG_BYTES_MAX } from './limits.ts';
import type { SeenFrame } from './rule-preview.ts';
import { PICTURE_SCREENS } from './screens.ts';
import { agent, explain, hello, screen, trial } from './store.ts';
import { words } from './words/words.ts';

/** 256 tracks of about 150 bytes, doubled. */
const HEADER_BYTES_MAX = 65_536;
const AGAIN_MS = 3000;
/** Time without a frame, after which the connection counts as lost: a frozen picture looks like a live one. */
const FRAME_WITHIN_MS = 8000;
/** Reasons after which the page does not retry automatically, because it would use time that another viewer needs. */
const FOR_GOOD: readonly NoPicture[] = ['time-is-up', 'day-is-up', 'too-many-viewers'];

export interface PreviewFrame extends SeenFrame {
  readonly url: string;
}

export const previewFrame = signal<PreviewFrame | undefined>(undefined);
/** Function, so that the text follows the language selected when it is read. */
const missing = signal<(() => string) | undefined>(undefined);
/** Reason why there is no picture, as text for the user. */
export const noPicture = computed(() => missing.value?.() ?? words.value.noPicture['not-started']);
/** True if the preview has ended and is requested again only by the user. */
export const hasEnded = signal(false);
/** Aspect ratio (width / height) of the last picture, kept while there is none. */
export const aspect = signal(4 / 3);

/** True if the present screen shows the picture: a running trial and a running walk test have it too. */
export const wantsPicture = computed(() => {
  if (PICTURE_SCREENS.includes(screen.value)) return true;
  if (screen.value === 'try') return trial.value !== null;
  const { phase } = agent.value?.walk ?? {};
  return screen.value === 'walk' && (phase === 'ready' || phase === 'watching' || phase === 'done');
});

const hidden = signal(document.hidden);
let running: AbortController | undefined;

export function startPreview(): void {
  document.addEventListener('visibilitychange', () => {
    hidden.value = document.hidden;
  });
  effect(() => {
    const shouldRun = wantsPicture.value && !hidden.value && hello.value?.paired === true;
    if (shouldRun && running === undefined) restartPreview();
    if (!shouldRun) stop();
  });
}

export function restartPreview(): void {
  stop();
  running = new AbortController();
  void receivePictures(running.signal);
}

function stop(): void {
  running?.abort();
  running = undefined;
  hasEnded.value = false;
  removePicture(undefined);
}

async function receivePictures(signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const forGood = await stream(signal);
    if (signal.aborted) return;
    if (forGood) {
      hasEnded.value = true;
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}

/** Reads the stream until it ends; true if it must not be requested again. */
async function stream(signal: AbortSignal): Promise<boolean> {
  let reason: NoPicture | undefined;
  try {
    const { body } = await fetched('/api/preview', { signal });
    const reader = body?.getReader();
    const frames = new FrameReader({ headerBytesMax: HEADER_BYTES_MAX, bodyBytesMax: JPEG_BYTES_MAX });
    for (;;) {
      const { value, done } = (await nextFrame(reader?.read())) ?? { value: undefined, done: true };
      if (done || value === undefined || signal.aborted) break;
      // Of the queued frames only the newest is shown.
      const newest = frames.take(value).at(-1);
      if (newest === undefined) continue;
      const header = newest.header as PreviewHeader;
      reason = header.picture ? undefined : header.why;
      if (header.picture) await put(header, newest.body, signal);
      else removePicture(header);
      if (reason !== undefined && FOR_GOOD.includes(reason)) break;
    }
    await reader?.cancel();
    if (!signal.aborted && reason === undefined) showUnreachable();
    return reason !== undefined && FOR_GOOD.includes(reason);
  } catch (error) {
    if (signal.aborted) return true;
    if (!(error instanceof RefusalError)) {
      showUnreachable();
      return false;
    }
    removePicture(undefined);
    const text = explain(error);
    missing.value = () => text;
    return (FOR_GOOD as readonly string[]).includes(error.refusal.error);
  }
}

/** Resolves with undefined if a picture is shown and no further frame comes in time. Its absence may last. */
async function nextFrame<T>(reading: Promise<T> | undefined): Promise<T | undefined> {
  if (reading === undefined || previewFrame.value === undefined) return reading;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), FRAME_WITHIN_MS);
  });
  const first = await Promise.race([reading, late]);
  clearTimeout(timer);
  return first;
}

async function put(header: SeenFrame, jpeg: Uint8Array<ArrayBuffer>, signal: AbortSignal): Promise<void> {
  const url = URL.createObjectURL(new Blob([jpeg], { type: 'image/jpeg' }));
  const image = new Image();
  image.src = url;
  try {
    // Decoded first, so that the page never flashes empty between two pictures.
    await image.decode();
  } catch {
    URL.revokeObjectURL(url);
    return;
  }
  if (signal.aborted) {
    URL.revokeObjectURL(url);
    return;
  }
  const before = previewFrame.value;
  aspect.value = header.widthPx / header.heightPx;
  previewFrame.value = { ...header, url };
  if (before !== undefined) URL.revokeObjectURL(before.url);
}

function showUnreachable(): void {
  removePicture(undefined);
  missing.value = () => words.value.errors['unreachable'] ?? '';
}

function removePicture(header: Extract<PreviewHeader, { picture: false }> | undefined): void {
  const before = previewFrame.value;
  previewFrame.value = undefined;
  missing.value = header === undefined ? undefined : () => words.value.noPicture[header.why];
  if (before !== undefined) URL.revokeObjectURL(before.url);
}

/**
 * The live picture: redacted by the box, the newest alone, and taken away as soon as the box says that there is none.
 *
 * INVARIANTS: one picture is held at a time, and its object URL is revoked when the next one shows; nothing is fetched
 * while the page is hidden or on a screen that shows no picture.
 * LIMITS: a frame of more than `JPEG_BYTES_MAX` ends the stream; a stream that ends is asked for again after `AGAIN_MS`.
 */
import { computed, effect, signal } from '@preact/signals';
import type { PreviewHeader } from '../../contract/page-api.ts';
import type { NoPicture } from '../../contract/page-link.ts';
import { FrameReader } from '../../kit/frames.ts';
import { fetched, Refused } from './api.ts';
import { JPEG_BYTES_MAX } from './limits.ts';
import type { SeenFrame } from './rule-preview.ts';
import { LOOKING } from './screens.ts';
import { explain, hello, screen } from './store.ts';
import { words } from './words/words.ts';

/** 256 tracks at some 150 bytes, and as much again. */
const HEADER_BYTES_MAX = 65_536;
const AGAIN_MS = 3000;
/** Asking again by itself would use up what somebody else waits for. */
const FOR_GOOD: readonly NoPicture[] = ['time-is-up', 'day-is-up', 'too-many-viewers'];

export interface Seen extends SeenFrame {
  readonly url: string;
}

export const seen = signal<Seen | undefined>(undefined);
/** In whatever language is chosen when it is read. */
const missing = signal<(() => string) | undefined>(undefined);
/** Why there is no picture, for the person. */
export const noPicture = computed(() => missing.value?.() ?? words.value.noPicture['not-started']);
/** It ended and is not asked for again unless somebody wants it. */
export const ended = signal(false);
/** Width by height of the last picture, kept while there is none. */
export const aspect = signal(4 / 3);

const hidden = signal(document.hidden);
let running: AbortController | undefined;

export function startPreview(): void {
  document.addEventListener('visibilitychange', () => {
    hidden.value = document.hidden;
  });
  effect(() => {
    const wanted = LOOKING.includes(screen.value) && !hidden.value && hello.value?.paired === true;
    if (wanted && running === undefined) lookAgain();
    if (!wanted) stop();
  });
}

export function lookAgain(): void {
  stop();
  running = new AbortController();
  void look(running.signal);
}

function stop(): void {
  running?.abort();
  running = undefined;
  ended.value = false;
  takeAway(undefined);
}

async function look(signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const forGood = await stream(signal);
    if (signal.aborted) return;
    if (forGood) {
      ended.value = true;
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}

/** Until it ends; true where it is not to be asked for again. */
async function stream(signal: AbortSignal): Promise<boolean> {
  let why: NoPicture | undefined;
  try {
    const { body } = await fetched('/api/preview', { signal });
    const reader = body?.getReader();
    const frames = new FrameReader({ headerBytesMax: HEADER_BYTES_MAX, bodyBytesMax: JPEG_BYTES_MAX });
    for (;;) {
      const { value, done } = (await reader?.read()) ?? { value: undefined, done: true };
      if (done || value === undefined || signal.aborted) break;
      // What has queued up behind is shown by the newest of it.
      const newest = frames.take(value).at(-1);
      if (newest === undefined) continue;
      const header = newest.header as PreviewHeader;
      why = header.picture ? undefined : header.why;
      if (header.picture) await put(header, newest.body, signal);
      else takeAway(header);
      if (why !== undefined && FOR_GOOD.includes(why)) {
        await reader?.cancel();
        break;
      }
    }
    if (!signal.aborted && why === undefined) takeAway(undefined);
    return why !== undefined && FOR_GOOD.includes(why);
  } catch (error) {
    if (signal.aborted) return true;
    takeAway(undefined);
    if (!(error instanceof Refused)) {
      missing.value = () => words.value.errors['unreachable'] ?? '';
      return false;
    }
    const told = explain(error);
    missing.value = () => told;
    return (FOR_GOOD as readonly string[]).includes(error.refusal.error);
  }
}

async function put(header: SeenFrame, jpeg: Uint8Array<ArrayBuffer>, signal: AbortSignal): Promise<void> {
  const url = URL.createObjectURL(new Blob([jpeg], { type: 'image/jpeg' }));
  const image = new Image();
  image.src = url;
  try {
    // So that the page never flashes empty between two pictures.
    await image.decode();
  } catch {
    URL.revokeObjectURL(url);
    return;
  }
  if (signal.aborted) {
    URL.revokeObjectURL(url);
    return;
  }
  const before = seen.value;
  aspect.value = header.widthPx / header.heightPx;
  seen.value = { ...header, url };
  if (before !== undefined) URL.revokeObjectURL(before.url);
}

function takeAway(header: Extract<PreviewHeader, { picture: false }> | undefined): void {
  const before = seen.value;
  seen.value = undefined;
  missing.value = header === undefined ? undefined : () => words.value.noPicture[header.why];
  if (before !== undefined) URL.revokeObjectURL(before.url);
}

/**
 * Messages about actions, with their undo. They never take the focus, and a screen reader reads each once. Of the
 * actions that can be undone, only the newest is shown, so that fast work does not cover the screen.
 */
import { useEffect, useRef } from 'preact/hooks';
import { Button } from '../../../../../agent/kit/controls.tsx';
import { useKeys } from '../keys.ts';
import { nowMs, tick } from '../session.ts';
import { dismiss, type Toast, toasts } from '../toasts.ts';
import { undo } from '../undo.ts';
import { newestToast } from '../undo-offers.ts';
import { words } from '../words/words.ts';

export function Toasts() {
  useKeys({ z: () => void undo() });
  const shownToasts = toasts.value.filter(
    ({ id, undoUntilMs }) => undoUntilMs === undefined || id === newestToast.value,
  );
  return (
    <>
      <div class="toasts">
        {shownToasts.map((toast) => (
          <Message key={toast.id} toast={toast} />
        ))}
      </div>
      <Announcement />
    </>
  );
}

/** The text of the newest good message, apart from the countdown, which would be read again every second. */
function Announcement() {
  const status = useRef<HTMLParagraphElement>(null);
  const newest = toasts.value.findLast(({ tone }) => tone === 'good');
  useEffect(() => {
    if (status.current === null || newest === undefined) return;
    const { text, undoUntilMs } = newest;
    status.current.textContent =
      undoUntilMs === undefined ? text : `${text} ${words.value.undo.hint(secondsTo(undoUntilMs))}`;
  }, [newest?.id]);
  return <p ref={status} class="unseen" role="status" />;
}

function Message({ toast }: { readonly toast: Toast }) {
  const { id, tone, text, undoUntilMs } = toast;
  return (
    <div class={`toast ${tone}`} role={tone === 'bad' ? 'alert' : undefined}>
      <p class="clamp">{text}</p>
      {undoUntilMs !== undefined && <Undo id={id} untilMs={undoUntilMs} />}
      <Button aria-label={words.value.frame.dismiss} onClick={() => dismiss(id)}>
        ×
      </Button>
    </div>
  );
}

function Undo({ id, untilMs }: { readonly id: number; readonly untilMs: number }) {
  void tick.value;
  const { undo: texts, units } = words.value;
  return (
    <button type="button" class="act undo" aria-keyshortcuts="z" onClick={() => void undo(id)}>
      {texts.byKey}{' '}
      <span class="left" aria-hidden="true">
        {secondsTo(untilMs)} {units.s}
      </span>
    </button>
  );
}

function secondsTo(untilMs: number): number {
  return Math.max(0, Math.ceil((untilMs - nowMs()) / 1000));
}

/** Recognises a long press on a row of a list, on a touch screen. The tap that ends it has no other effect. */
import { useRef } from 'preact/hooks';

/** Duration of a long press in ms, as on Android. */
const PRESS_MS = 500;
/** Movement in px beyond which a touch is a scroll. */
const MOVE_PX = 10;

interface Handlers {
  readonly onPointerDown: (event: PointerEvent) => void;
  readonly onPointerMove: (event: PointerEvent) => void;
  readonly onPointerUp: () => void;
  readonly onPointerCancel: () => void;
  readonly onClickCapture: (event: Event) => void;
  readonly onContextMenu: (event: Event) => void;
}

interface Press {
  readonly x: number;
  readonly y: number;
  readonly timer: ReturnType<typeof setTimeout>;
  isLong: boolean;
}

/** Returns the handlers of the list. */
export function useLongPress(onLongPress: (row: HTMLElement) => void): Handlers {
  const current = useRef<Press | undefined>(undefined);
  const cancel = (): void => clearTimeout(current.current?.timer);
  return {
    onPointerDown: ({ pointerType, target, clientX: x, clientY: y }) => {
      cancel();
      current.current = undefined;
      const row = target instanceof Element ? target.closest<HTMLElement>('.row') : null;
      if (pointerType !== 'touch' || row === null) return;
      const timer = setTimeout(() => {
        press.isLong = true;
        onLongPress(row);
      }, PRESS_MS);
      const press: Press = { x, y, timer, isLong: false };
      current.current = press;
    },
    onPointerMove: ({ clientX, clientY }) => {
      const { x = clientX, y = clientY } = current.current ?? {};
      if (Math.hypot(clientX - x, clientY - y) > MOVE_PX) cancel();
    },
    onPointerUp: cancel,
    onPointerCancel: cancel,
    onClickCapture: (event) => {
      if (current.current?.isLong !== true) return;
      current.current = undefined;
      event.stopPropagation();
    },
    // Chromium opens its menu on a long press.
    onContextMenu: (event) => {
      if (current.current !== undefined) event.preventDefault();
    },
  };
}

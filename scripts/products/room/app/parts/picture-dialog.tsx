/** Shows a picture of an incident in full size: zoom and moves by keyboard, mouse, wheel and fingers. */
import { useComputed, useSignal } from '@preact/signals';
import { useLayoutEffect, useRef } from 'preact/hooks';
import { Button } from '../../../../../agent/kit/controls.tsx';
import { singleKeys } from '../keys.ts';
import { percent, words } from '../words/words.ts';
import { useHand } from './picture-hand.ts';
import {
  type Frame,
  movedBy,
  natural,
  type Placement,
  type Point,
  scaled,
  wholeScale,
} from './picture-zoom.ts';

/** Factor of one step of the zoom. */
const ZOOM_STEP = 1.5;
/** Ratio of the stage by which an arrow key moves the picture. */
const KEY_STEP = 0.15;

const ARROWS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [KEY_STEP, 0],
  ArrowRight: [-KEY_STEP, 0],
  ArrowUp: [0, KEY_STEP],
  ArrowDown: [0, -KEY_STEP],
};

interface Props {
  /** Picture as loaded; undefined until then. It is drawn again instead of requested again. */
  readonly image: HTMLImageElement | undefined;
  readonly alt: string;
  /** Moment and time of the picture. */
  readonly title: string;
  /** Part of the picture that the alert is about, as ratios; it is in the middle at first. */
  readonly centre: Point | undefined;
  /** Name of the picture that follows; undefined if there is only one. */
  readonly nextTitle: string | undefined;
  /** Answer to the key for the next picture if there is none. */
  readonly note: string;
  readonly onNext: () => void;
  readonly onClose: () => void;
}

export function PictureDialog({ image, alt, title, centre, nextTitle, note, onNext, onClose }: Props) {
  const { incident: texts, frame: frameTexts } = words.value;
  const dialog = useRef<HTMLDialogElement>(null);
  const { stage, canvas, frame, placement, place } = usePlacement(image, centre);
  // Opens before the next key press, which must not give a verdict.
  useLayoutEffect(() => {
    const before = document.activeElement;
    dialog.current?.showModal();
    return () => {
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  // The browser makes the rest of the page inert until the dialog is closed; only then can the focus return.
  const close = (): void => dialog.current?.close();
  const middle = (): Point => {
    const { width = 0, height = 0 } = frame.value?.stage ?? {};
    return { x: width / 2, y: height / 2 };
  };
  const zoom = (factor: number, at = middle()): void =>
    place((now, of) => scaled(now, of, now.scale * factor, at));
  const showNatural = (): void => place((now, of) => scaled(now, of, 1, middle()));
  useHand(stage, {
    zoom,
    move: (dx, dy) => place((now, of) => movedBy(now, of, dx, dy)),
    // A click is the way without a drag: from the whole picture to a place in it, and back.
    click: (at) =>
      place((now, of) => scaled(now, of, now.scale > wholeScale(of) ? 0 : wholeScale(of) < 1 ? 1 : 2, at)),
  });
  const keys: Readonly<Record<string, () => void>> = {
    '+': () => zoom(ZOOM_STEP),
    '=': () => zoom(ZOOM_STEP),
    '-': () => zoom(1 / ZOOM_STEP),
    '0': showNatural,
    b: onNext,
    v: close,
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const [dx, dy] = ARROWS[event.key] ?? [0, 0];
    const act = singleKeys.value ? keys[event.key] : undefined;
    if (dx === 0 && dy === 0 && act === undefined) return;
    event.preventDefault();
    // The screen below must not take the key that closes the dialog.
    event.stopPropagation();
    if (act !== undefined) act();
    else place((now, of) => movedBy(now, of, dx * of.stage.width, dy * of.stage.height));
  };
  const { scale, x, y } = placement.value ?? { scale: 1, x: 0, y: 0 };
  return (
    <dialog ref={dialog} class="picture-dialog" aria-label={alt} onClose={onClose} onKeyDown={onKeyDown}>
      <div class="picture-bar">
        <p class="picture-title">
          {title} <span class="quiet">{percent(scale)}</span>
        </p>
        <Button aria-label={texts.zoomOut} aria-keyshortcuts="-" onClick={() => zoom(1 / ZOOM_STEP)}>
          −
        </Button>
        <Button aria-label={texts.zoomIn} aria-keyshortcuts="+" onClick={() => zoom(ZOOM_STEP)}>
          +
        </Button>
        <Button aria-keyshortcuts="0" onClick={showNatural}>
          {texts.naturalSize} <Key name="0" />
        </Button>
        {nextTitle !== undefined && (
          <Button aria-keyshortcuts="b" onClick={onNext}>
            {nextTitle} <Key name="b" />
          </Button>
        )}
        <Button tone="main" aria-keyshortcuts="Escape v" onClick={close}>
          {frameTexts.close} <Key name="Esc" />
        </Button>
        <p class="picture-note" role="status">
          {note}
        </p>
      </div>
      <div ref={stage} class="picture-stage">
        <canvas
          ref={canvas}
          role="img"
          aria-label={alt}
          style={{
            visibility: placement.value === undefined ? 'hidden' : 'visible',
            transform: `translate(${x}px, ${y}px) scale(${scale})`,
          }}
        />
      </div>
    </dialog>
  );
}

/** Shows a key to those who see it; `aria-keyshortcuts` has it for screen readers. */
export function Key({ name }: { readonly name: string }) {
  return (
    <span class="kbd" aria-hidden="true">
      {name}
    </span>
  );
}

/** Draws the picture, and holds its placement. The next picture keeps the placement, to compare. */
function usePlacement(image: HTMLImageElement | undefined, centre: Point | undefined) {
  const stage = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const frame = useSignal<Frame | undefined>(undefined);
  const chosenPlacement = useSignal<Placement | undefined>(undefined);
  const placement = useComputed(() =>
    frame.value === undefined
      ? undefined
      : movedBy(chosenPlacement.value ?? natural(frame.value, centre), frame.value, 0, 0),
  );
  useLayoutEffect(() => {
    const [element, drawing] = [stage.current, canvas.current];
    if (element === null || drawing === null) return undefined;
    if (image === undefined) {
      frame.value = undefined;
      return undefined;
    }
    const { naturalWidth: width, naturalHeight: height } = image;
    Object.assign(drawing, { width, height });
    drawing.getContext('2d')?.drawImage(image, 0, 0);
    const measure = (): void => {
      const size = { width: element.clientWidth, height: element.clientHeight };
      frame.value = { picture: { width, height }, stage: size };
    };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, [image, frame]);
  const place = (change: (now: Placement, of: Frame) => Placement): void => {
    if (frame.value !== undefined && placement.value !== undefined)
      chosenPlacement.value = change(placement.value, frame.value);
  };
  return { stage, canvas, frame, placement, place };
}

/** Handles mouse, wheel and fingers on a picture: drag, pinch, and click. */
import type { RefObject } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { Point } from './picture-zoom.ts';

/** Zoom exponent per pixel of the wheel; one notch is about 100 px. */
const WHEEL_RATIO = 0.002;
/** Movement in px that still counts as a click. */
const CLICK_PX = 4;
/** Ratio of the distances of two fingers from which they ask for the full size. */
const SPREAD = 1.1;

interface Hand {
  /** `at` is relative to the element. */
  zoom(factor: number, at: Point): void;
  move(dx: number, dy: number): void;
  click(at: Point): void;
}

const middle = (a: Point, b: Point): Point => ({ x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 });
const distance = (a: Point, b: Point): number => Math.hypot(a.x - b.x, a.y - b.y);

/** Calls `hand` for what pointers do on the element. The listeners are its own, because the wheel must not scroll. */
export function useHand(element: RefObject<HTMLElement>, hand: Hand): void {
  const current = useRef(hand);
  current.current = hand;
  useEffect(() => {
    const target = element.current;
    if (target === null) return undefined;
    const pointers = new Map<number, Point>();
    let isClick = false;
    let start: Point = { x: 0, y: 0 };
    const placeOf = ({ clientX, clientY }: MouseEvent): Point => {
      const { left, top } = target.getBoundingClientRect();
      return { x: clientX - left, y: clientY - top };
    };
    const press = (event: PointerEvent): void => {
      if (event.button !== 0) return;
      target.setPointerCapture(event.pointerId);
      start = placeOf(event);
      isClick = pointers.size === 0;
      pointers.set(event.pointerId, start);
    };
    const drag = (event: PointerEvent): void => {
      const before = pointers.get(event.pointerId);
      if (before === undefined) return;
      const now = placeOf(event);
      const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
      pointers.set(event.pointerId, now);
      if (distance(now, start) > CLICK_PX) isClick = false;
      if (isClick) return;
      if (other === undefined) {
        current.current.move(now.x - before.x, now.y - before.y);
        return;
      }
      const [from, to] = [middle(before, other), middle(now, other)];
      current.current.move(to.x - from.x, to.y - from.y);
      const distancePx = distance(before, other);
      if (distancePx > 0) current.current.zoom(distance(now, other) / distancePx, to);
    };
    const release = (event: PointerEvent): void => {
      if (!pointers.delete(event.pointerId)) return;
      if (event.type === 'pointerup' && isClick) current.current.click(start);
      isClick = false;
    };
    const turn = (event: WheelEvent): void => {
      event.preventDefault();
      current.current.zoom(Math.exp(-event.deltaY * WHEEL_RATIO), placeOf(event));
    };
    target.addEventListener('pointerdown', press);
    target.addEventListener('pointermove', drag);
    target.addEventListener('pointerup', release);
    target.addEventListener('pointercancel', release);
    target.addEventListener('wheel', turn, { passive: false });
    return () => {
      target.removeEventListener('pointerdown', press);
      target.removeEventListener('pointermove', drag);
      target.removeEventListener('pointerup', release);
      target.removeEventListener('pointercancel', release);
      target.removeEventListener('wheel', turn);
    };
  }, [element]);
}

/**
 * Calls `onSpread` when two fingers on the element move apart; the page itself is then not zoomed. `isThere` states
 * whether the element is rendered.
 */
export function useSpread(element: RefObject<HTMLElement>, isThere: boolean, onSpread: () => void): void {
  const current = useRef(onSpread);
  current.current = onSpread;
  useEffect(() => {
    const target = element.current;
    if (target === null) return undefined;
    let startPx: number | undefined;
    const distanceOf = ({ touches: [a, b] }: TouchEvent): number | undefined =>
      a === undefined || b === undefined
        ? undefined
        : Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
    const press = (event: TouchEvent): void => {
      startPx = distanceOf(event);
      if (startPx !== undefined) event.preventDefault();
    };
    const drag = (event: TouchEvent): void => {
      const nowPx = distanceOf(event);
      if (startPx === undefined || nowPx === undefined) return;
      event.preventDefault();
      if (nowPx < startPx * SPREAD) return;
      startPx = undefined;
      current.current();
    };
    target.addEventListener('touchstart', press, { passive: false });
    target.addEventListener('touchmove', drag, { passive: false });
    return () => {
      target.removeEventListener('touchstart', press);
      target.removeEventListener('touchmove', drag);
    };
  }, [element, isThere]);
}

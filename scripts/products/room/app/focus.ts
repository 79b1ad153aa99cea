/**
 * Keeps the keyboard focus on something. If the focused element leaves the page, the focus moves to the open incident,
 * or else to the list.
 */
const FALLBACKS = ['#incident-title', '.rows', 'main h1', '#content'];

let focused: Element | null = null;

export function startFocus(root: Element): void {
  addEventListener('focusin', ({ target }) => {
    focused = target instanceof Element ? target : null;
  });
  new MutationObserver(() => {
    const isLost = document.activeElement === null || document.activeElement === document.body;
    if (!isLost || focused === null || focused.isConnected) return;
    focused = null;
    for (const selector of FALLBACKS) {
      const element = document.querySelector<HTMLElement>(selector);
      if (element === null || element.offsetParent === null) continue;
      element.focus({ preventScroll: true });
      return;
    }
  }).observe(root, { childList: true, subtree: true });
}

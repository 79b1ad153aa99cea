/** Code that tests run inside the page, as text, because the compiler of the tests does not know a browser. */
import axe from 'axe-core';
import type { Page } from 'puppeteer-core';

/** Script that runs before the page's own: sets the phone's language and reports policy violations. */
export const beginning = (language: 'fr' | 'en'): string => `
  Object.defineProperty(navigator, 'language', { value: '${language === 'fr' ? 'fr-FR' : 'en-GB'}' });
  addEventListener('securitypolicyviolation', (event) => {
    console.error('policy: ' + event.violatedDirective + ' ' + event.blockedURI);
  });`;

/** Finds sideways scrolling, labels in the picture that leave the screen, and targets too small for a thumb. */
export const MISFITS = `(() => {
  const faults = [];
  const width = document.documentElement.clientWidth;
  const wide = document.documentElement.scrollWidth;
  if (wide > width) faults.push('is ' + wide + ' px wide');
  for (const text of document.querySelectorAll('svg text')) {
    const { left, right } = text.getBoundingClientRect();
    if (left < 0 || right > width) faults.push(text.textContent + ' lies at ' + left + ' to ' + right);
  }
  for (const target of document.querySelectorAll('button, select, input, a')) {
    const { height, width } = (target.closest('label.check') ?? target).getBoundingClientRect();
    if (height < 44 || width < 44) faults.push(target.outerHTML.slice(0, 80) + ' is ' + width + ' by ' + height);
  }
  return faults;
})()`;

/** WCAG 2.2 A and AA; target-size is in the last tag. */
const WCAG = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
const VIOLATIONS = `
  axe.run(document, { runOnly: ${JSON.stringify(WCAG)}, resultTypes: ['violations'] }).then(({ violations }) =>
    violations.map(({ id, nodes }) =>
      id + ' ×' + nodes.length + ': ' + nodes[0].html.slice(0, 120) + ' ' + nodes[0].failureSummary))`;

/** Violations that axe finds on the page in its present state. */
export async function violations(page: Page): Promise<string[]> {
  if (!(await page.evaluate('"axe" in window'))) await page.evaluate(axe.source);
  return (await page.evaluate(VIOLATIONS)) as string[];
}

export const FRAME_PLACE = `(() => {
  const { left, top, width, height } = document.querySelector('.stage-frame').getBoundingClientRect();
  return [left, top, width, height];
})()`;

/** Place of the "no picture" message in whole pixels, and the height of the picture's place. */
export const MESSAGE_PLACE = `(() => {
  const { left, top, right, bottom } = document.querySelector('.stage-message').getBoundingClientRect();
  const x = Math.ceil(left);
  const y = Math.ceil(top) + 1;
  const { height } = document.querySelector('.stage').getBoundingClientRect();
  return [x, y, Math.floor(right) - x, Math.floor(bottom) - 1 - y, height];
})()`;

/** Describes each part that is not entirely on the screen. */
export const hiddenParts = (selectors: readonly string[]): string => `(() => {
  const bar = document.querySelector('.way').getBoundingClientRect();
  return ${JSON.stringify(selectors)}.flatMap((selector) => {
    const { left, top, right, bottom } = document.querySelector(selector).getBoundingClientRect();
    const isCovered = right > bar.left && bottom > bar.top && !document.querySelector(selector).closest('.way');
    const isVisible = left >= 0 && top >= 0 && right <= innerWidth && bottom <= innerHeight && !isCovered;
    return isVisible ? [] : [selector + ' at ' + [left, top, right, bottom].map(Math.round)];
  });
})()`;

/** Faults of a reason: it must be large, on the picture, and within a finger's breadth of its shape. */
export const REASON_FAULTS = `(() => {
  const reason = document.querySelector('[data-reason]');
  const place = (element) => element.getBoundingClientRect();
  const [sign, frame] = [place(reason), place(document.querySelector('.stage-frame'))];
  const shape = place(document.querySelector('[data-shape="' + reason.dataset.reason + '"] .stroke'));
  const text = place(reason.querySelector('text'));
  const gap = Math.max(sign.top - shape.bottom, shape.top - sign.bottom, 0);
  return [
    parseFloat(getComputedStyle(reason.querySelector('text')).fontSize) < 14 && 'small letters',
    (sign.left < frame.left - 1 || sign.right > frame.right + 1) && 'beside the picture',
    (sign.top < frame.top - 1 || sign.bottom > frame.bottom + 1) && 'above or below the picture',
    (text.left < sign.left || text.right > sign.right) && 'text wider than its sign',
    gap > 44 && 'far from its shape',
  ].filter(Boolean);
})()`;

/** Faults of the loupe: it must lie off the finger, and show the corner in its middle. */
export const LOUPE_FAULTS = (x: number, y: number): string => `(() => {
  const loupe = document.querySelector('.loupe').getBoundingClientRect();
  const cross = document.querySelector('.loupe .cross').getBoundingClientRect();
  const middle = [loupe.left + loupe.width / 2, loupe.top + loupe.height / 2];
  const off = Math.hypot(cross.left + cross.width / 2 - middle[0], cross.top + cross.height / 2 - middle[1]);
  return [
    Math.hypot(middle[0] - ${x}, middle[1] - ${y}) < loupe.width / 2 + 24 && 'under the finger',
    off > 3 && 'the corner is ' + off + ' px off',
  ].filter(Boolean);
})()`;

/** Records the cues that the phone gets. Chromium has no speaker and no motor here. */
export const RECORDER = `
  globalThis.cues = [];
  navigator.vibrate = (pattern) => { cues.push('vibrate ' + pattern); return true; };
  const start = OscillatorNode.prototype.start;
  OscillatorNode.prototype.start = function (...when) { cues.push('tone ' + this.frequency.value); start.apply(this, when); };
  Object.defineProperty(navigator, 'wakeLock', { value: { request: async () => {
    cues.push('lock');
    const lock = new EventTarget();
    lock.release = async () => { cues.push('release'); lock.dispatchEvent(new Event('release')); };
    return lock;
  } } });`;

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

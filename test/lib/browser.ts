/** A real browser for the pages that the program writes. */
import { execFileSync, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';

/**
 * Debian's Chromium without a window, which draws pages with a third to a half less CPU time than the full one.
 */
export const CHROMIUM = '/usr/bin/chromium-headless-shell';
/** The full Chromium, which has notifications. */
export const FULL_CHROMIUM = '/usr/bin/chromium';

/** Reason why tests that need a browser are skipped, or false. */
export function browserMissing(program = CHROMIUM): string | false {
  return spawnSync(program, ['--version']).status === 0
    ? false
    : `no chromium: the package ${basename(program)} is not installed`;
}

/** Runs the browser headless, with its profile in `dir`; returns its output. */
export function chromium(dir: string, ...args: string[]): string {
  // As root, which tests may be, it has no sandbox; the page is ours.
  const options = [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-dev-shm-usage',
    '--no-first-run',
  ];
  const all = [...options, `--user-data-dir=${join(dir, 'profile')}`, '--virtual-time-budget=5000', ...args];
  return execFileSync(CHROMIUM, all, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    timeout: 120_000,
  });
}

/**
 * Returns the value of `expression`, evaluated in a page after it has loaded at a width. The page is in a frame,
 * because a window has a minimum width and a frame has not.
 */
export function measured(dir: string, html: string, width: number, expression: string): unknown {
  const script = `addEventListener('load', () => { document.title = JSON.stringify(${expression}); });`;
  const copy = html
    .replace(/<meta http-equiv[^>]*>/, '')
    .replace('</head>', `<script>${script}</script></head>`);
  const file = join(dir, `looked-${width}.html`);
  const outer = join(dir, `outer-${width}.html`);
  writeFileSync(file, copy);
  writeFileSync(
    outer,
    `<body><iframe src="${file}" width="${width}" height="900" style="border:0"></iframe><script>addEventListener('load', () => { document.title = document.querySelector('iframe').contentDocument.title; });</script>`,
  );
  const dom = chromium(dir, '--allow-file-access-from-files', '--dump-dom', outer);
  const [, title = ''] = /<title>(.*?)<\/title>/s.exec(dom) ?? [];
  return JSON.parse(title.replaceAll('&amp;', '&'));
}

/** Style sheet of the screens beside the queue and of the map, loaded when the first of them is drawn. */

const STYLES = '/views.css';

let loadedStyles: Promise<void> | undefined;

/** Resolves when the styles apply. Rejects if they cannot be loaded; the next call tries again. */
export function loadViewStyles(): Promise<void> {
  loadedStyles ??= addStyles();
  return loadedStyles;
}

/** Adds the style sheet before the one of the page, which may override it. */
async function addStyles(): Promise<void> {
  const link = document.createElement('link');
  link.rel = 'stylesheet';
  link.href = STYLES;
  await new Promise<void>((resolve, reject) => {
    link.onload = () => resolve();
    link.onerror = () => {
      link.remove();
      loadedStyles = undefined;
      reject(new Error(`${STYLES}: not loaded`));
    };
    document.head.querySelector('link[rel=stylesheet]')?.before(link);
  });
}

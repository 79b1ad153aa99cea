/** Default paths of the page on an installed package (vigie-page.service). */
export const DEFAULT_PAGE_SOCKET = '/run/vigie-link/page.sock';
export const DEFAULT_PAGE_STATE_DIR = '/var/lib/vigie-page';
export const DEFAULT_SETUP_CODE = '/etc/vigie/page/setup-code.json';

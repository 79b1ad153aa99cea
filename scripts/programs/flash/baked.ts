/** What says that an image was baked, and with what: on its root, and on its boot partition where it can be seen. */
export const BAKED_FILE = 'vigie-files/baked.json';

export interface Baked {
  /** Of the package. */
  readonly version: string;
  /** SHA-256 of the vendor's image, lower-case hex. */
  readonly image: string;
  readonly time: string;
}

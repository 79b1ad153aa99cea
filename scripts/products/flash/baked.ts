/** Record of the baking of an image and its inputs, on its root and on its visible boot partition. */
export const BAKED_FILE = 'vigie-files/baked.json';

export interface Baked {
  /** Version of the package. */
  readonly version: string;
  /** SHA-256 of the vendor's image, lower-case hex. */
  readonly image: string;
  readonly time: string;
}

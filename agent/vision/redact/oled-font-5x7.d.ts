/** Types of oled-font-5x7 1.0.3 (the package has none): letters of 5 × 7 dots, a byte for each column, its lowest bit on top. */
declare module 'oled-font-5x7' {
  const font: {
    readonly width: number;
    readonly height: number;
    readonly fontData: readonly number[];
    /** The letters, in the order of fontData. */
    readonly lookup: readonly string[];
  };
  export default font;
}

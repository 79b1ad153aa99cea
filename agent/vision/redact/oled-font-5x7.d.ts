/** Types of oled-font-5x7 1.0.3, which has none. Letters have 5 × 7 dots: one byte per column, lowest bit on top. */
declare module 'oled-font-5x7' {
  const font: {
    readonly width: number;
    readonly height: number;
    readonly fontData: readonly number[];
    /** The letters, in the sequence of fontData. */
    readonly lookup: readonly string[];
  };
  export default font;
}

/** Light limits of a picture, shared by every stage that needs them. */

/**
 * Mean difference of red or blue from green, in levels, from which a cell counts as coloured. Grey pictures, with the
 * rounding of YCbCr and the noise of codec and sensor, stay below 1.5 in 99 of 100 cells. The least colourful street by
 * day is a road seen from straight above without cars: 2 and more in 14 of 100 cells.
 */
export const COLOUR_LEVELS_MIN = 2;
export const COLOURED_RATIO_MAX = 0.05;
/**
 * Maximum mean brightness of a dark picture, in levels. Exposure control holds it near middle grey (118) as long as it
 * can. 48 is 2.6 stops below that (sRGB), so the camera has no light left. The darkest street measured by day has 73.
 */
export const DARK_LEVEL_MAX = 48;

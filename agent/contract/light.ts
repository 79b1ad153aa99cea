/** In what light a picture was taken: limits on which every stage that asks must agree. */

/**
 * A cell has a colour where red or blue differs from green by so many levels in the mean. Grey pictures, with the
 * rounding of YCbCr and a codec's and a sensor's noise, stay below 1.5 in 99 of 100 cells; the least of any street by
 * day is a road seen from straight above with no car on it: 2 and more in 14 of 100 cells.
 */
export const COLOUR_LEVELS_MIN = 2;
export const COLOURED_SHARE_MAX = 0.05;
/**
 * Mean brightness. Exposure holds it near middle grey (118) as long as it can; 48 is 2.6 stops below it (sRGB): the camera
 * has no light left to take. The darkest street by day that was measured has 73.
 */
export const DARK_LEVEL_MAX = 48;

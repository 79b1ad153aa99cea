/** Loads the addon with the elements of our own, which are then registered in this process (vigie-native.d.ts). */
import { createRequire } from 'node:module';
import type { Addon } from 'vigie-native';

export const addon = createRequire(import.meta.url)('vigie-native') as Addon;

/** Motion between frames of the detector (native/gst/motion.h). */
export const { FrameMotion } = addon;

/** Lists what a person can try in the demo's console, one line each. */
import { MADE_VERDICTS } from './made-verdicts.ts';

/** Parts of a demo that depend on its camera. */
export interface Offer {
  /** Number of tracks in the hour made from the clip; undefined if there is none. */
  readonly tracks: number | undefined;
  /** True for the demo's own clip, whose alerts are known. */
  readonly isOwnClip: boolean;
}

/** Returns at most eight lines. */
export function tryLines({ tracks, isOwnClip }: Offer): string[] {
  const closed = isOwnClip
    ? `: the demo’s program closes the first ${MADE_VERDICTS} by itself, marked by a note`
    : ', once you have judged one';
  return [
    ...(isOwnClip
      ? ['Enter   on the row “… × Line crossed”: a storm in one row; x selects all of it']
      : ['Enter   on a row: the incident, with its picture']),
    't f u   verdict: confirmed, false alarm, unclear; z takes back your last action for 10 s',
    'm       map beside the queue: a made-up town with this camera',
    'd       after c (claim): dispatches one of three made-up patrols',
    `g l     closed incidents${closed}`,
    'g s     search in the box’s archive: any case number and reason, then Search',
    ...(tracks === undefined ? [] : [`g t     passages: an hour of ${tracks} tracks, made from the clip`]),
    `buttons Français changes the language; Alarm sounds for priority 1${isOwnClip ? ': a group of three' : ''}`,
  ];
}

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
    ? `; the demo’s program closes ${MADE_VERDICTS} as examples, and says so in a note`
    : ', once you have given a verdict';
  const rows = isOwnClip
    ? 'on “… × Line crossed”: a storm in one row, x selects it'
    : 'on a row: its picture';
  return [
    `Enter   ${rows}`,
    't f u   verdict: confirmed, false alarm, unclear; z undoes your last action',
    'm       map beside the queue: a made-up town with this camera',
    'c d     claim, then dispatch one of three made-up patrols',
    `g l     closed incidents${closed}`,
    'g s     search in the box’s archive, under any case number and reason',
    ...(tracks === undefined ? [] : [`g t     passages: an hour of ${tracks} tracks, made from the clip`]),
    `buttons Français: the other language; Alarm: a sound at priority 1${isOwnClip ? ', here two people together' : ''}`,
  ];
}

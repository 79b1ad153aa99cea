/** Descriptions of gaps for a person. */
import type { GapReason } from '../../../../agent/contract/track-log.ts';

export const GAP_WORDS: Readonly<Record<GapReason, string>> = {
  'not-authorised': 'no authorisation with a log of tracks held, or the log began later',
  suspended: 'the box was suspended',
  'not-running': 'the agent or vision did not run',
  'not-written': 'lost in a power cut or a crash before it was written',
  'no-picture': 'the camera gave no picture',
  blind: 'the picture was not fit to judge by: covered, moved, dark or frozen',
  'clock-not-set': 'the clock of the box was not set',
  'clock-step': 'the clock of the box was put forward or back',
  storage: 'the disk refused, or the log was full',
  'other-view': 'the camera showed another view than the one that the place was drawn on',
  retention: 'older than tracks are kept',
  future: 'it has not been yet',
};

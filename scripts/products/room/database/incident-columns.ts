/** Columns of an incident that a later event of the box may change. Actions of people are not among them. */
export const EVENT_COLUMNS = [
  'started_at',
  'ended_at',
  'clock_doubt',
  'objects',
  'cause',
  'events',
  'newest',
  'still',
  'detail',
] as const;

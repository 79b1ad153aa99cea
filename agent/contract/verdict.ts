/**
 * Verdict of the room on an alert: `vigie/<site>/<box>/verdict`, QoS 1, not retained. It has no field for the
 * operator's name or a remark; a message with further fields is refused completely.
 */
import { type Static, Type } from '@sinclair/typebox';
import { TIME_PATTERN } from './time.ts';

/** Maximum size of a verdict in bytes; one has about 100. */
export const VERDICT_BYTES_MAX = 512;

const strict = { additionalProperties: false } as const;
const Id = Type.String({ pattern: '^[A-Za-z0-9-]{1,64}$' });

/** `confirmed`: an event that the rule is for. `false-alarm`: a false alarm. `unclear`: reviewed without a decision. */
export const VERDICTS = ['confirmed', 'false-alarm', 'unclear'] as const;
export type VerdictValue = (typeof VERDICTS)[number];

const verdictFields = {
  verdict: Type.Union(
    VERDICTS.map((verdict) => Type.Literal(verdict)),
    { description: 'whether it was an event that the rule is for; unclear: reviewed without a decision' },
  ),
  time: Type.String({
    pattern: TIME_PATTERN,
    description:
      'when it was reviewed, by the room’s clock; of two verdicts on an alert the later one counts',
  }),
};

export const Verdict = Type.Union([
  Type.Object({ episode: { ...Id, description: 'data.episode of the alert' }, ...verdictFields }, strict),
  Type.Object(
    { event: { ...Id, description: 'id of the alert’s first event (start)' }, ...verdictFields },
    strict,
  ),
]);
export type Verdict = Static<typeof Verdict>;

/**
 * What the room says of an alert: `vigie/<site>/<box>/verdict`, QoS 1, not retained.
 *
 * There is no place in it for who judged, nor for a remark: a message with more in it is refused whole.
 */
import { type Static, Type } from '@sinclair/typebox';
import { TIME_PATTERN } from './time.ts';

/** Of a verdict, bytes; one has about 100. */
export const VERDICT_BYTES_MAX = 512;

const strict = { additionalProperties: false } as const;
const Id = Type.String({ pattern: '^[A-Za-z0-9-]{1,64}$' });

/** `true`: it was what the rule is for; `false`: it was not; `unclear`: looked at, and it cannot be told. */
export const VERDICTS = ['true', 'false', 'unclear'] as const;
export type VerdictValue = (typeof VERDICTS)[number];

const judged = {
  verdict: Type.Union(VERDICTS.map((verdict) => Type.Literal(verdict))),
  time: Type.String({
    pattern: TIME_PATTERN,
    description: 'when it was judged, by the room’s clock; of two verdicts on an alert the later one counts',
  }),
};

export const Verdict = Type.Union([
  Type.Object({ episode: { ...Id, description: 'data.episode of the alert' }, ...judged }, strict),
  Type.Object({ event: { ...Id, description: 'id of the alert’s first event (start)' }, ...judged }, strict),
]);
export type Verdict = Static<typeof Verdict>;

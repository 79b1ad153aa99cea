/** Defines the report of a week: alerts, verdicts, times to claim and to close, and cameras out of service. */
import { type Static, Type } from '@sinclair/typebox';
import { Precision } from './incident.ts';
import { Count, Name, Nullable, strict, Text, Time } from './schema.ts';

/** Maximum number of rules and of cameras in the answer; the table has every rule. */
export const WEEK_ROWS_MAX = 200;

export const Day = Type.String({
  pattern: '^\\d{4}-\\d{2}-\\d{2}$',
  description: 'a day in the room’s time zone',
});

export const WeekQuery = Type.Object(
  { day: Type.Optional({ ...Day, description: 'any day of the week; today by default' }) },
  strict,
);
export type WeekQuery = Static<typeof WeekQuery>;

const Durations = Type.Object(
  {
    count: { ...Count, description: 'number of alerts that are measured' },
    medianS: Nullable(Count),
    p90S: Nullable({ ...Count, description: 'nine of ten alerts took at most this time' }),
  },
  strict,
);
export type Durations = Static<typeof Durations>;

const RuleSums = { ...Precision.properties, meanClaimS: Nullable(Type.Number()) };

export const RuleOfWeek = Type.Object(
  { site: Name, box: Name, rule: Name, kind: Text(40), ...RuleSums },
  strict,
);
export type RuleOfWeek = Static<typeof RuleOfWeek>;

export const Week = Type.Object(
  {
    from: { ...Day, description: 'Monday' },
    to: { ...Day, description: 'Sunday' },
    timeZone: Text(64),
    total: Type.Object(RuleSums, strict),
    days: Type.Array(Type.Object({ day: Day, ...Precision.properties }, strict), { maxItems: 7 }),
    rules: Type.Array(RuleOfWeek, {
      maxItems: WEEK_ROWS_MAX,
      description: 'the rules of each camera, the most alerts first',
    }),
    moreRules: { ...Count, description: 'further rules; the table has all' },
    claim: { ...Durations, description: 'from the arrival of an alert to its first claim' },
    close: { ...Durations, description: 'from the arrival of an alert to its verdict' },
    outOfService: Type.Array(
      Type.Object(
        { site: Name, box: Name, s: { ...Count, description: 'seconds without a usable picture' } },
        strict,
      ),
      {
        maxItems: WEEK_ROWS_MAX,
        description:
          'cameras that reported no usable picture, the longest time first; time without a connection is not stored',
      },
    ),
    moreOutOfService: { ...Count, description: 'further cameras' },
    outOfServiceS: { ...Count, description: 'seconds of all cameras' },
    storedAlerts: {
      ...Count,
      description: 'alerts of the week that are still stored; the times are computed from these',
    },
    storedFrom: Nullable({ ...Time, description: 'arrival of the oldest stored incident of the room' }),
    sumsFrom: { ...Day, description: 'first day whose sums are still stored' },
  },
  { ...strict, $id: 'Week' },
);
export type Week = Static<typeof Week>;

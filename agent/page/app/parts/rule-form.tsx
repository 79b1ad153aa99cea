/** Form of one rule, with one control for each parameter of its schema. */
import type { Label } from '../../../contract/label.ts';
import type { RuleConfig, ScheduleSpan } from '../../../contract/rule-config.ts';
import { zoneName } from '../../../contract/zone-name.ts';
import { Button, Check, Choice, Field } from '../../../kit/controls.tsx';
import { change, drawing, ruleFields } from '../draft.ts';
import { badFields, placeOf, type RuleField, TIME } from '../rule-fields.ts';
import { authorisation, siteZone } from '../store.ts';
import type { Day } from '../words/en.ts';
import { number, words } from '../words/words.ts';

const DAYS: readonly Day[] = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun', 'holiday'];
const NIGHT: ScheduleSpan = {
  days: ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'],
  from: '22:00',
  to: '06:00',
};

/** Parameters by name; the fields of a rule kind tell which exist. */
type Values = Readonly<Record<string, unknown>>;

function put(rule: RuleConfig, name: string, value: unknown): void {
  const { [name]: _old, ...rest } = rule as unknown as Values;
  const next = (value === undefined ? rest : { ...rule, [name]: value }) as RuleConfig;
  const rules = drawing.value.rules.map((one) => (one.id === rule.id ? next : one));
  change({ ...drawing.value, rules });
}

export function RuleForm({ rule }: { readonly rule: RuleConfig }) {
  const bad = badFields(ruleFields, rule);
  return (
    <div class="form">
      {ruleFields[rule.kind].map((field) => (
        <Control key={field.name} rule={rule} field={field} bad={bad.includes(field.name)} />
      ))}
      <Purpose rule={rule} />
    </div>
  );
}

interface ControlProps {
  readonly rule: RuleConfig;
  readonly field: RuleField;
  readonly bad: boolean;
}

function Control({ rule, field, bad }: ControlProps) {
  const { fields, rules, directions } = words.value;
  const value = (rule as unknown as Values)[field.name];
  const label = fields[field.name];
  switch (field.type) {
    case 'place': {
      const placeIds = (field.name === 'line' ? drawing.value.lines : drawing.value.zones).map(
        ({ id }) => id,
      );
      return (
        <Choice
          label={label}
          name={field.name}
          value={placeOf(rule)}
          problem={placeIds.length === 0 ? rules.notDrawn : undefined}
          options={[
            ...(placeIds.includes(placeOf(rule)) ? [] : [['', rules.choosePlace] as const]),
            ...placeIds.map((id) => [id, id] as const),
          ]}
          onChoose={(choice) => put(rule, field.name, choice)}
        />
      );
    }
    case 'number':
    case 'integer':
      return <NumberControl rule={rule} field={field} bad={bad} />;
    case 'choice':
      return (
        <Choice
          label={label}
          name={field.name}
          value={String(value)}
          options={(field.options ?? []).map((one) => [one, directions[one] ?? one])}
          onChoose={(choice) => put(rule, field.name, choice)}
        />
      );
    case 'labels':
      return <Labels rule={rule} field={field} />;
    case 'schedule':
      return <Schedule rule={rule} spans={(value as ScheduleSpan[] | undefined) ?? []} />;
  }
}

function NumberControl({ rule, field, bad }: ControlProps) {
  const { min, max, name, type } = field;
  const value = (rule as unknown as Values)[name];
  const range = words.value.rules.range(number(min ?? 0, 4), number(max ?? 0, 4));
  return (
    <Field
      label={words.value.fields[name]}
      type="number"
      name={name}
      inputMode={type === 'integer' ? 'numeric' : 'decimal'}
      min={min}
      max={max}
      step={type === 'integer' ? 1 : 'any'}
      value={value === null ? '' : String(value)}
      {...(bad ? { problem: range } : { hint: range })}
      onText={(text) => put(rule, name, text === '' ? null : Number(text))}
    />
  );
}

function Labels({ rule, field }: { readonly rule: RuleConfig; readonly field: RuleField }) {
  const { fields, labels } = words.value;
  const chosenLabels = ((rule as unknown as Values)[field.name] ?? []) as readonly string[];
  return (
    <fieldset>
      <legend>{fields[field.name]}</legend>
      {(field.options ?? []).map((label) => (
        <Check
          key={label}
          label={labels[label as Label]}
          checked={chosenLabels.includes(label)}
          onCheck={(checked) =>
            put(
              rule,
              field.name,
              checked ? [...chosenLabels, label] : chosenLabels.filter((one) => one !== label),
            )
          }
        />
      ))}
    </fieldset>
  );
}

function Schedule({ rule, spans }: { readonly rule: RuleConfig; readonly spans: readonly ScheduleSpan[] }) {
  const { fields, rules, days } = words.value;
  const set = (next: readonly ScheduleSpan[]): void =>
    put(rule, 'schedule', next.length === 0 ? undefined : next);
  const change = (index: number, part: Partial<ScheduleSpan>): void =>
    set(spans.map((span, i) => (i === index ? { ...span, ...part } : span)));
  return (
    <fieldset>
      <legend>{fields.schedule}</legend>
      <p class="hint">
        {spans.length === 0 ? rules.always : rules.zone(zoneName(Date.now(), siteZone.value))}
      </p>
      {spans.map((span, i) => (
        <div key={i} class="span">
          <div class="days">
            {DAYS.map((day) => (
              <Check
                key={day}
                label={days[day]}
                checked={span.days.includes(day)}
                onCheck={(checked) =>
                  change(i, { days: DAYS.filter((one) => (one === day ? checked : span.days.includes(one))) })
                }
              />
            ))}
          </div>
          <div class="row">
            {(['from', 'to'] as const).map((end) => (
              <Field
                key={end}
                label={rules[end]}
                value={span[end]}
                inputMode="numeric"
                maxLength={5}
                {...(TIME.test(span[end]) ? {} : { problem: rules.time })}
                onText={(text) => change(i, { [end]: text })}
              />
            ))}
          </div>
          <Button onClick={() => set(spans.filter((_, other) => other !== i))}>{rules.removeSpan}</Button>
        </div>
      ))}
      {spans.length < 32 && <Button onClick={() => set([...spans, NIGHT])}>{rules.addSpan}</Button>}
    </fieldset>
  );
}

/** Offers purposes from the authorisation, because a technician cannot invent one on site. */
function Purpose({ rule }: { readonly rule: RuleConfig }) {
  const { rules } = words.value;
  const fitting = (authorisation.value?.rules ?? []).filter(
    ({ kind, zones }) => kind === rule.kind && (zones === 'all' || zones.includes(placeOf(rule))),
  );
  const purposes = [...new Set([...fitting.map(({ purpose }) => purpose), rule.purpose])].filter(Boolean);
  return (
    <Choice
      label={rules.purpose}
      name="purpose"
      value={rule.purpose}
      options={[
        ...(rule.purpose === '' ? [['', rules.purposeNone] as const] : []),
        ...purposes.map((purpose) => [purpose, purpose] as const),
      ]}
      onChoose={(choice) => put(rule, 'purpose', choice)}
    />
  );
}

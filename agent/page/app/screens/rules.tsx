/** Rules screen: edits each rule in a form made from its schema, beside what the authorisation permits. */
import { signal } from '@preact/signals';
import type { RuleConfig, RuleKind } from '../../../contract/rule-config.ts';
import { Button, Choice, Notice } from '../../../kit/controls.tsx';
import { change, drawing, problems, ruleFields } from '../draft.ts';
import { RuleForm } from '../parts/rule-form.tsx';
import { Shapes } from '../parts/shapes.tsx';
import { Stage } from '../parts/stage.tsx';
import { isRuleKind, newRule, placeOf } from '../rule-fields.ts';
import { authorisation, siteZone } from '../store.ts';
import { siteMoment, words } from '../words/words.ts';

const open = signal<string | undefined>(undefined);
const kind = signal<RuleKind | undefined>(undefined);

export function RulesScreen() {
  const { rules } = words.value;
  return (
    <>
      <p>{rules.intro}</p>
      <Stage>{(size) => <Shapes size={size} />}</Stage>
      <AuthorisationNotice />
      {drawing.value.rules.length === 0 && <p>{rules.none}</p>}
      <ul class="cards">
        {drawing.value.rules.map((rule) => (
          <li key={rule.id} data-rule={rule.id}>
            <Card rule={rule} />
          </li>
        ))}
      </ul>
      <Add />
    </>
  );
}

function AuthorisationNotice() {
  const { rules, kinds } = words.value;
  const currentAuthorisation = authorisation.value;
  if (currentAuthorisation === null) return <Notice tone="bad">{rules.noAuthorisation}</Notice>;
  if (currentAuthorisation.installation) return <Notice tone="warn">{rules.installationOnly}</Notice>;
  return (
    <div class="notice info" id="order">
      <strong>{rules.authorisation(currentAuthorisation.order, currentAuthorisation.authority)}</strong>
      <ul>
        {currentAuthorisation.rules.map((rule) => (
          <li key={`${rule.kind}/${rule.purpose}/${String(rule.zones)}`}>
            {(kinds as Readonly<Record<string, string>>)[rule.kind] ?? rule.kind}:{' '}
            {rule.zones === 'all' ? rules.anywhere : rule.zones.join(', ')} ({rule.purpose}
            {rule.shadow === true && `; ${rules.shadow}`})
          </li>
        ))}
      </ul>
      {rules.authorisationUntil(siteMoment(currentAuthorisation.notAfter, siteZone.value))}
    </div>
  );
}

function Card({ rule }: { readonly rule: RuleConfig }) {
  const { rules, kinds, problems: texts } = words.value;
  const against = problems.value.filter(({ about, id }) => about === 'rule' && id === rule.id);
  const isOpen = open.value === rule.id;
  return (
    <div class={against.some(({ byAuthorisation }) => byAuthorisation) ? 'card refused' : 'card'}>
      <h2>{kinds[rule.kind]}</h2>
      <p>
        {rule.id} · {placeOf(rule) || rules.choosePlace}
      </p>
      <div role="status">
        {against.map(({ code }) => (
          <Notice key={code} tone="bad">
            {texts[code]}
          </Notice>
        ))}
      </div>
      {isOpen && <RuleForm rule={rule} />}
      <div class="row">
        <Button
          aria-expanded={isOpen}
          onClick={() => {
            open.value = isOpen ? undefined : rule.id;
          }}
        >
          {isOpen ? rules.finish : rules.edit(rule.id)}
        </Button>
        {isOpen && (
          <Button
            tone="danger"
            onClick={() =>
              change({ ...drawing.value, rules: drawing.value.rules.filter(({ id }) => id !== rule.id) })
            }
          >
            {rules.remove}
          </Button>
        )}
      </div>
    </div>
  );
}

function Add() {
  const { rules, kinds } = words.value;
  const allowed = new Set<string>(authorisation.value?.rules.map((rule) => rule.kind));
  const all = Object.keys(ruleFields).filter((one) => isRuleKind(ruleFields, one));
  const sorted = [...all.filter((one) => allowed.has(one)), ...all.filter((one) => !allowed.has(one))];
  const value = kind.value ?? sorted[0];
  if (value === undefined) return null;
  const add = (): void => {
    const rule = newRule(ruleFields, value, drawing.value, authorisation.value);
    change({ ...drawing.value, rules: [...drawing.value.rules, rule] });
    open.value = rule.id;
  };
  return (
    <section>
      <Choice
        label={rules.kind}
        name="rule-kind"
        value={value}
        options={sorted.map((one) => [one, allowed.has(one) ? kinds[one] : rules.notAuthorised(kinds[one])])}
        onChoose={(choice) => {
          if (isRuleKind(ruleFields, choice)) kind.value = choice;
        }}
      />
      <Button id="add-rule" onClick={add}>
        {rules.add}
      </Button>
    </section>
  );
}

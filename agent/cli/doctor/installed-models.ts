/** Figures and faults of the installed models, from their cards. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import type { DriverProblem } from '../../base/hailo-driver.ts';
import { jsonOf } from '../../base/json.ts';
import type { ElementConfig } from '../../contract/config.ts';

export interface ModelMetrics {
  readonly model: string;
  /** Pictures, their copy and input size; only equal ones are compared. */
  readonly data: string;
  /** Recall of people at precision 0.9. */
  readonly recall: number;
}

/** Fields of a card that are read here. Vision checks the rest before it loads a model. */
const Card = Type.Object({
  name: Type.String({ maxLength: 64 }),
  // Other files are for an element, not for detector.model.
  file: Type.String({ pattern: '\\.onnx$' }),
  accuracy: Type.Array(Type.Object({}), { maxItems: 64 }),
});
const Figure = Type.Object({
  data: Type.String(),
  copy: Type.Optional(Type.String()),
  class: Type.Literal('person'),
  sizePx: Type.Tuple([Type.Number(), Type.Number()]),
  recallAtPrecision90: Type.Number({ minimum: 0, maximum: 1 }),
});

/** Returns the figures of all readable cards. The detector's own check reports a damaged model. */
export function modelMetrics(modelDir: string): ModelMetrics[] {
  return readdirSync(modelDir)
    .filter((name) => name.endsWith('.json'))
    .sort()
    .flatMap((name) => {
      const card = jsonOf(readFileSync(join(modelDir, name), 'utf8'));
      if (!Value.Check(Card, card)) return [];
      return card.accuracy.flatMap((one: unknown) => {
        if (!Value.Check(Figure, one)) return [];
        const data = `${one.data}, ${one.copy ?? 'unmodified'}, ${one.sizePx.join('×')}`;
        return [{ model: card.name, data, recall: one.recallAtPrecision90 }];
      });
    });
}

const HefCard = Type.Object({ hailo: Type.Object({}) });

/** Returns what is wrong with the card of an element's .hef; an absent card is found by the configuration's check. */
export function hefCardProblem(
  modelDir: string,
  element: Pick<ElementConfig, 'name' | 'model'> | undefined,
): DriverProblem | undefined {
  if (element?.name !== 'hailonet') return undefined;
  const file = join(modelDir, `${element.model}.json`);
  if (!existsSync(file) || Value.Check(HefCard, jsonOf(readFileSync(file, 'utf8')))) return undefined;
  const text = `model card ${element.model} has no section "hailo", which describes the output of a .hef`;
  return { kind: 'fault', text, fix: 'write the card with `scripts/model import NAME.hef`' };
}

/** Checks the files that a card brings for vigie-root: the address of the releases, and the first TUF root. */
import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { messageOf } from '../../../../agent/base/errors.ts';
import { jsonOf } from '../../../../agent/base/json.ts';
import { parseYaml } from '../../../../agent/base/yaml-text.ts';
import {
  UPDATE_ROOT_FILE,
  UPDATE_SETTINGS_FILE,
  UpdateSettings,
} from '../../../../agent/contract/update-settings.ts';
import { DEFAULT_PLACES } from '../paths.ts';
import { wrongIn } from '../settings.ts';

export const UPDATE_FILES = [UPDATE_SETTINGS_FILE, UPDATE_ROOT_FILE] as const;
type UpdateFile = (typeof UPDATE_FILES)[number];

const OnCard = Type.Composite([Type.Partial(UpdateSettings), Type.Object({ url: Type.String() })], {
  additionalProperties: false,
});
/** Partial schema of a TUF root (TUF specification, 4.3), sufficient to distinguish it from other files. */
const SignedRoot = Type.Object({
  signed: Type.Object({ _type: Type.Literal('root'), version: Type.Integer({ minimum: 1 }) }),
  signatures: Type.Array(Type.Unknown(), { minItems: 1 }),
});

/** Returns the folder of vigie-root's settings, which lies beside the agent's folder `to`. */
export function settingsDir(to: string): string {
  return join(dirname(to), basename(dirname(DEFAULT_PLACES.settings)));
}

export function updatePlace(dir: string, name: UpdateFile): string {
  return join(dir, name === UPDATE_ROOT_FILE ? 'root.json' : name);
}

/** Returns the validation error of the file, or undefined. */
export function updateFileProblem(name: UpdateFile, text: string): string | undefined {
  if (name === UPDATE_ROOT_FILE) {
    const right = 'must be metadata/root.json of the releases’ repository (TUF)';
    return Value.Check(SignedRoot, jsonOf(text)) ? undefined : `is not a signed root; ${right}`;
  }
  let content: unknown;
  try {
    content = parseYaml(text);
  } catch (error) {
    return messageOf(error);
  }
  return Value.Check(OnCard, content) ? undefined : wrongIn(OnCard, content);
}

/** Returns a line if files for updates are still missing in `dir` once `coming` are installed. */
export function updateFilesMissing(dir: string, coming: readonly UpdateFile[]): string[] {
  const [first] = coming;
  if (first === undefined) return [];
  if (!existsSync(dir)) return [`${first}: this box has no ${dir}; install vigie-root, or remove the file`];
  const missing = UPDATE_FILES.filter(
    (name) => !coming.includes(name) && !existsSync(updatePlace(dir, name)),
  );
  return missing.length === 0 ? [] : [`${missing.join(', ')}: must lie here too, beside ${first}`];
}

/** Writes the generated references as YAML. */
import { stringify } from 'yaml';

/**
 * Returns YAML that YAML 1.1 reads the same. Most parsers follow that version: for them a bare `no` is false, and a bare
 * time is not a text.
 */
export function yamlText(value: object): string {
  return stringify(value, {
    lineWidth: 0,
    blockQuote: 'literal',
    aliasDuplicateObjects: false,
    compat: 'yaml-1.1',
  });
}

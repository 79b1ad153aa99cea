/**
 * Generates docs/ref/openapi.yaml: OpenAPI 3.1 of the room's interface, as the console serves it at /api/openapi.json.
 */
import { stringify } from 'yaml';
import { openApi } from '../room/contract/openapi.ts';

/** Returns YAML. The same routes always give the same text. */
export function describeOpenApi(version: string): string {
  const comment =
    '# Made from the sources by `npm run docs`; the console gives the same at /api/openapi.json.\n';
  return (
    comment +
    stringify(openApi(version), { lineWidth: 0, blockQuote: 'literal', aliasDuplicateObjects: false })
  );
}

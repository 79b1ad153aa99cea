/**
 * Generates docs/ref/openapi.yaml: OpenAPI 3.1 of the room's interface, as the console serves it at /api/openapi.json.
 */
import { openApi } from '../../products/room/contract/openapi.ts';
import { yamlText } from './yaml-text.ts';

/** Returns YAML. The same routes always give the same text. */
export function describeOpenApi(version: string): string {
  const comment =
    '# Made from the sources by `npm run docs`; the console gives the same at /api/openapi.json.\n';
  return comment + yamlText(openApi(version));
}

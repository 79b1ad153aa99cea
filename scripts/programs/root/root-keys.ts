/**
 * Refuses a root in which one key stands twice in a role, under two key ids or in two encodings: whoever holds it would
 * sign for two. The Update Framework counts key ids (https://theupdateframework.github.io/specification/latest/#verify),
 * and tuf-js does too.
 */
import { AgentError } from '../../../agent/base/errors.ts';
import { jsonOf } from '../../../agent/base/json.ts';
import { printable } from '../../../agent/base/printable.ts';
import { publicKeyFingerprint } from '../../lib/tuf-key.ts';

/**
 * What is not in the form of a root passes: tuf-js refuses it.
 *
 * @param text a file of metadata of the root role
 * @param place for the message
 * @throws AgentError denied
 */
export function checkRootKeys(text: string, place: string): void {
  const { keys, roles } = objectOf(objectOf(jsonOf(text))['signed']);
  for (const [role, content] of Object.entries(objectOf(roles))) {
    const { keyids } = objectOf(content);
    const fingerprints = (Array.isArray(keyids) ? keyids : []).flatMap((id) => {
      const { public: key } = objectOf(objectOf(objectOf(keys)[String(id)])['keyval']);
      return typeof key === 'string' ? publicKeyFingerprint(key) : [];
    });
    if (new Set(fingerprints).size < fingerprints.length)
      throw new AgentError(
        'denied',
        `${place}: refused: one key stands twice in the role ${printable(role, 40)}`,
      );
  }
}

const objectOf = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? { ...value } : {};

/**
 * Refuses a TUF root in which one key occurs twice in a role, under two key ids or in two encodings. Its holder could
 * otherwise sign for two. The Update Framework counts key ids
 * (https://theupdateframework.github.io/specification/latest/#verify), and so does tuf-js.
 */
import { AgentError } from '../../../agent/base/errors.ts';
import { jsonOf } from '../../../agent/base/json.ts';
import { printable } from '../../../agent/base/printable.ts';
import { publicKeyFingerprint } from '../../lib/tuf-key.ts';

/**
 * Checks the keys of a root. Text that is not a root passes here, since tuf-js refuses it.
 *
 * @param text a metadata file of the root role
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

/** Cases of the targets (section 5.6). */

import { ed25519Key, ROLES } from './tuf-repository.ts';
import {
  accepted,
  type Case,
  corrupt,
  denied,
  EXPIRED,
  edited,
  first,
  knownBox,
  MIXED,
  NOT_AS_SIGNED,
  UNSIGNED,
  unavailable,
} from './tuf-scene.ts';

export const TARGETS: readonly Case[] = [
  knownBox(
    'another hash',
    corrupt(
      NOT_AS_SIGNED,
      (r) =>
        r.publish({
          targets: {
            raw: (bytes) =>
              edited(bytes, ({ signed }) => void Object.assign(signed, { expires: '2099-01-01T00:00:00Z' })),
          },
        }),
      { versions: { timestamp: 2, snapshot: 2 } },
    ),
  ),
  knownBox(
    'a byte less',
    corrupt(NOT_AS_SIGNED, (r) => r.publish({ targets: { raw: (bytes) => bytes.subarray(1) } }), {
      versions: { timestamp: 2, snapshot: 2 },
    }),
  ),
  knownBox(
    'a byte more',
    corrupt(
      /longer than \d+ bytes/,
      (r) => r.publish({ targets: { raw: (bytes) => Buffer.concat([bytes, Buffer.from(' ')]) } }),
      { versions: { timestamp: 2, snapshot: 2 } },
    ),
  ),
  knownBox(
    'another number than the snapshot says',
    denied(
      MIXED,
      (r) => r.publish({ targets: { change: (signed) => void Object.assign(signed, { version: 3 }) } }),
      { versions: { timestamp: 2, snapshot: 2 } },
    ),
  ),
  knownBox(
    'by one of two keys that must sign',
    denied(UNSIGNED, (r) => r.publish({ targets: { signers: r.keys.targets.slice(0, 1) } }), {
      versions: { timestamp: 2, snapshot: 2 },
    }),
  ),
  knownBox(
    'by one key and a stranger',
    denied(UNSIGNED, (r) => r.publish({ targets: { signers: [first(r.keys.targets), ed25519Key()] } }), {
      versions: { timestamp: 2, snapshot: 2 },
    }),
  ),
  knownBox(
    'by two keys and a stranger',
    accepted((r) => r.publish({ targets: { signers: [...r.keys.targets, ed25519Key()] } })),
  ),
  knownBox(
    'by one key twice',
    corrupt(
      /multiple signatures found/,
      (r) => r.publish({ targets: { signers: [first(r.keys.targets), first(r.keys.targets)] } }),
      { versions: { timestamp: 2, snapshot: 2 } },
    ),
  ),
  knownBox(
    'by two keys, one of them twice',
    corrupt(
      /multiple signatures found/,
      (r) => r.publish({ targets: { signers: [...r.keys.targets, first(r.keys.targets)] } }),
      { versions: { timestamp: 2, snapshot: 2 } },
    ),
  ),
  knownBox(
    'one key’s signature under the other’s id',
    denied(
      UNSIGNED,
      (r) =>
        r.publish({
          targets: {
            after: ({ signatures }) => {
              const [one, two] = signatures;
              if (one && two) two.sig = one.sig;
            },
          },
        }),
      { versions: { timestamp: 2, snapshot: 2 } },
    ),
  ),
  knownBox(
    'a signature under an id that no role names',
    denied(
      UNSIGNED,
      (r) =>
        r.publish({
          targets: {
            after: ({ signatures }) => void Object.assign(signatures[0] ?? {}, { keyid: 'a'.repeat(64) }),
          },
        }),
      { versions: { timestamp: 2, snapshot: 2 } },
    ),
  ),
  knownBox(
    'an invalid signature',
    denied(
      UNSIGNED,
      (r) =>
        r.publish({
          targets: { after: ({ signatures }) => void Object.assign(signatures[0] ?? {}, { sig: 'zz' }) },
        }),
      { versions: { timestamp: 2, snapshot: 2 } },
    ),
  ),
  knownBox(
    'an extra signature that is invalid',
    accepted((r) => {
      r.keys.targets = [...r.keys.targets, ed25519Key()];
      r.root();
      r.publish({
        targets: { after: ({ signatures }) => void Object.assign(signatures[2] ?? {}, { sig: '' }) },
      });
    }),
  ),
  knownBox(
    'signatures that are not a list',
    corrupt(
      NOT_AS_SIGNED,
      (r) => r.publish({ targets: { after: (file) => void Object.assign(file, { signatures: {} }) } }),
      { versions: { timestamp: 2, snapshot: 2 } },
    ),
  ),
  knownBox(
    'has expired',
    denied(EXPIRED, (r) => r.publish({ targets: { days: -1 } }), { versions: { timestamp: 2, snapshot: 2 } }),
  ),
  knownBox(
    'the kept one has expired, the new one not',
    accepted((r, folder) => {
      r.publish({ targets: { days: -1 } });
      folder.write('targets', r.files.get('2.targets.json') as Buffer);
      r.publish();
    }),
  ),
  knownBox(
    'without a length and a hash of it',
    accepted((r) =>
      r.publish({
        targets: {
          meta: (meta) => {
            delete meta.length;
            delete meta.hashes;
          },
        },
      }),
    ),
  ),
  knownBox(
    'without a length: longer than allowed',
    corrupt(
      /longer than 4194304 bytes/,
      (r) =>
        r.publish({
          targets: { meta: (meta) => void delete meta.length, raw: () => Buffer.alloc(4_194_305, ' ') },
        }),
      { versions: { timestamp: 2, snapshot: 2 } },
    ),
  ),
  knownBox(
    'is missing',
    unavailable(
      /2\.targets\.json: the server answers 404/,
      (r) => {
        r.publish();
        r.files.delete('2.targets.json');
      },
      { versions: { timestamp: 2, snapshot: 2 } },
    ),
  ),
  knownBox(
    'is of another type',
    corrupt(
      NOT_AS_SIGNED,
      (r) =>
        r.publish({
          targets: {
            meta: (meta) => {
              delete meta.length;
              delete meta.hashes;
            },
            raw: () => r.files.get('1.snapshot.json') as Buffer,
          },
        }),
      { versions: { timestamp: 2, snapshot: 2 } },
    ),
  ),
  knownBox(
    'after its keys were replaced, not signed again',
    denied(
      UNSIGNED,
      (r) => {
        r.rotate('targets');
      },
      { versions: { root: 2 } },
    ),
  ),
  knownBox(
    'after its keys were replaced, by the former ones',
    denied(
      UNSIGNED,
      (r) => {
        const previousKeys = r.keys.targets;
        r.rotate('targets');
        r.publish({ targets: { signers: previousKeys } });
      },
      { versions: { root: 2, timestamp: 2, snapshot: 2 } },
    ),
  ),
  knownBox(
    'after its keys were replaced, by the new ones',
    accepted((r) => {
      r.rotate('targets');
      r.publish();
    }),
  ),
  knownBox(
    'all keys replaced at once',
    accepted((r) => {
      r.rotate(...ROLES);
      r.publish();
    }),
  ),
];

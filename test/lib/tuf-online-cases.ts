/** Cases of the timestamp and the snapshot (sections 5.4 and 5.5). */

import { ed25519Key } from './tuf-repository.ts';
import {
  accepted,
  type Case,
  corrupt,
  denied,
  EXPIRED,
  edited,
  knownBox,
  MIXED,
  NOT_AS_SIGNED,
  OLDER,
  UNSIGNED,
  unavailable,
} from './tuf-scene.ts';

export const TIMESTAMP: readonly Case[] = [
  knownBox(
    'by another key',
    denied(UNSIGNED, (r) => r.publish({ timestamp: { signers: [ed25519Key()] } })),
  ),
  knownBox(
    'by the key of the snapshot',
    denied(UNSIGNED, (r) => r.publish({ timestamp: { signers: r.keys.snapshot } })),
  ),
  knownBox(
    'without a signature',
    denied(UNSIGNED, (r) => r.publish({ timestamp: { signers: [] } })),
  ),
  knownBox(
    'a lower number',
    accepted((r) => r.publish()),
    denied(OLDER, (r) => r.publish({ timestamp: { version: 1 } })),
  ),
  knownBox(
    'the same number again changes nothing',
    accepted(
      (r, folder) => {
        const before = folder.read('timestamp');
        r.publish({ timestamp: { version: 1 }, snapshot: { version: 1 }, targets: { version: 1 } });
        folder.write('timestamp', before);
      },
      { requests: ['2.root.json', 'timestamp.json'] },
    ),
  ),
  knownBox(
    'a snapshot of a lower number',
    accepted((r) => r.publish()),
    denied(OLDER, (r) => r.publish({ snapshot: { version: 1 } })),
  ),
  knownBox(
    'has expired',
    denied(EXPIRED, (r) => r.publish({ timestamp: { days: -1 } })),
  ),
  knownBox(
    'the kept one has expired, the new one not',
    accepted((r, folder) => {
      r.publish({ timestamp: { days: -1 } });
      folder.write('timestamp', r.files.get('timestamp.json') as Buffer);
      r.publish();
    }),
  ),
  knownBox(
    'the kept one has expired, and still no lower number is taken',
    denied(
      OLDER,
      (r, folder) => {
        r.publish({ timestamp: { days: -1, version: 9 } });
        folder.write('timestamp', r.files.get('timestamp.json') as Buffer);
        r.publish({ timestamp: { version: 8 } });
      },
      { versions: { timestamp: 9 } },
    ),
  ),
  knownBox(
    'is missing',
    unavailable(/timestamp\.json: the server answers 404/, (r) => void r.files.delete('timestamp.json')),
  ),
  knownBox(
    'is longer than allowed',
    corrupt(/longer than 16384 bytes/, (r) => void r.files.set('timestamp.json', Buffer.alloc(16_385, ' '))),
  ),
  knownBox(
    'is not JSON',
    corrupt(NOT_AS_SIGNED, (r) => void r.files.set('timestamp.json', Buffer.from('no'))),
  ),
  knownBox(
    'is of another type',
    corrupt(NOT_AS_SIGNED, (r) => void r.files.set('timestamp.json', r.files.get('1.snapshot.json') ?? 404)),
  ),
  knownBox(
    'names no snapshot',
    corrupt(NOT_AS_SIGNED, (r) =>
      r.publish({ timestamp: { change: (signed) => void Object.assign(signed, { meta: {} }) } }),
    ),
  ),
  knownBox(
    'after its key was replaced, by the former one',
    denied(
      UNSIGNED,
      (r) => {
        const previousKeys = r.keys.timestamp;
        r.rotate('timestamp');
        r.publish({ timestamp: { signers: previousKeys } });
      },
      { versions: { root: 2 } },
    ),
  ),
  knownBox(
    'after its key was replaced, by the new one',
    accepted((r) => {
      r.rotate('timestamp');
      r.publish();
    }),
  ),
  knownBox(
    'fast-forwarded by a stolen key: without new keys nothing lower is taken',
    accepted((r) => r.publish({ timestamp: { version: 999_999 } })),
    denied(OLDER, (r) => r.publish({ timestamp: { version: 3 } })),
  ),
  knownBox(
    'fast-forwarded by a stolen key: with a new key lower numbers are taken',
    accepted((r) => r.publish({ timestamp: { version: 999_999 } })),
    accepted((r) => {
      r.rotate('timestamp');
      r.publish({ timestamp: { version: 3 } });
    }),
  ),
];

export const SNAPSHOT: readonly Case[] = [
  knownBox(
    'another hash',
    corrupt(
      NOT_AS_SIGNED,
      (r) =>
        r.publish({
          snapshot: {
            raw: (bytes) =>
              edited(bytes, ({ signed }) => void Object.assign(signed, { expires: '2099-01-01T00:00:00Z' })),
          },
        }),
      { versions: { timestamp: 2 } },
    ),
  ),
  knownBox(
    'a byte less',
    corrupt(NOT_AS_SIGNED, (r) => r.publish({ snapshot: { raw: (bytes) => bytes.subarray(1) } }), {
      versions: { timestamp: 2 },
    }),
  ),
  knownBox(
    'a byte more',
    corrupt(
      /longer than \d+ bytes/,
      (r) => r.publish({ snapshot: { raw: (bytes) => Buffer.concat([bytes, Buffer.from(' ')]) } }),
      { versions: { timestamp: 2 } },
    ),
  ),
  knownBox(
    'another number than the timestamp says',
    denied(
      MIXED,
      (r) => r.publish({ snapshot: { change: (signed) => void Object.assign(signed, { version: 3 }) } }),
      { versions: { timestamp: 2 } },
    ),
  ),
  knownBox(
    'by another key',
    denied(UNSIGNED, (r) => r.publish({ snapshot: { signers: [ed25519Key()] } }), {
      versions: { timestamp: 2 },
    }),
  ),
  knownBox(
    'by one of two keys that must sign',
    denied(
      UNSIGNED,
      (r) => {
        r.keys.snapshot = [ed25519Key(), ed25519Key()];
        r.thresholds.snapshot = 2;
        r.root();
        r.publish({ snapshot: { signers: r.keys.snapshot.slice(0, 1) } });
      },
      { versions: { root: 2, timestamp: 2 } },
    ),
  ),
  knownBox(
    'by both keys that must sign',
    accepted((r) => {
      r.keys.snapshot = [ed25519Key(), ed25519Key()];
      r.thresholds.snapshot = 2;
      r.root();
      r.publish();
    }),
  ),
  knownBox(
    'has expired',
    denied(EXPIRED, (r) => r.publish({ snapshot: { days: -1 } }), { versions: { timestamp: 2 } }),
  ),
  knownBox(
    'the kept one has expired, the new one not',
    accepted((r, folder) => {
      r.publish({ snapshot: { days: -1 } });
      folder.write('snapshot', r.files.get('2.snapshot.json') as Buffer);
      r.publish();
    }),
  ),
  knownBox(
    'targets of a lower number',
    accepted((r) => r.publish()),
    denied(OLDER, (r) => r.publish({ targets: { version: 1 } }), { versions: { timestamp: 3 } }),
  ),
  knownBox(
    'does not name the targets any more',
    corrupt(
      /Missing file targets\.json/,
      (r) => r.publish({ snapshot: { change: (signed) => void Object.assign(signed, { meta: {} }) } }),
      { versions: { timestamp: 2 } },
    ),
  ),
  knownBox(
    'without a length and a hash of it',
    accepted((r) =>
      r.publish({
        snapshot: {
          meta: (meta) => {
            delete meta.length;
            delete meta.hashes;
          },
        },
      }),
    ),
  ),
  knownBox(
    'with a second hash that does not fit',
    corrupt(
      NOT_AS_SIGNED,
      (r) =>
        r.publish({
          snapshot: { meta: (meta) => void Object.assign(meta.hashes ?? {}, { sha512: 'f'.repeat(128) }) },
        }),
      { versions: { timestamp: 2 } },
    ),
  ),
  knownBox(
    'with a hash of an unknown kind',
    corrupt(
      NOT_AS_SIGNED,
      (r) =>
        r.publish({ snapshot: { meta: (meta) => void Object.assign(meta.hashes ?? {}, { md99: 'f' }) } }),
      { versions: { timestamp: 2 } },
    ),
  ),
  knownBox(
    'names more files than the targets',
    accepted((r) =>
      r.publish({
        snapshot: {
          change: (signed) => void Object.assign(signed['meta'] as object, { 'other.json': { version: 7 } }),
        },
      }),
    ),
  ),
  knownBox(
    'is missing',
    unavailable(
      /2\.snapshot\.json: the server answers 404/,
      (r) => {
        r.publish();
        r.files.delete('2.snapshot.json');
      },
      { versions: { timestamp: 2 } },
    ),
  ),
  knownBox(
    'is of another type',
    corrupt(
      NOT_AS_SIGNED,
      (r) =>
        r.publish({
          snapshot: {
            meta: (meta) => {
              delete meta.length;
              delete meta.hashes;
            },
            raw: () => r.files.get('1.targets.json') as Buffer,
          },
        }),
      { versions: { timestamp: 2 } },
    ),
  ),
  knownBox(
    'the kept one is by a key that was replaced',
    accepted((r) => {
      r.rotate('snapshot');
      r.publish();
    }),
  ),
  knownBox(
    'fast-forwarded: with new keys a lower number is taken',
    accepted((r) => r.publish({ snapshot: { version: 999_999 } })),
    accepted((r) => {
      r.rotate('snapshot', 'timestamp');
      r.publish({ snapshot: { version: 3 } });
    }),
  ),
  knownBox(
    'fast-forwarded: the new key of the snapshot alone does not help',
    accepted((r) => r.publish({ snapshot: { version: 999_999 } })),
    denied(
      OLDER,
      (r) => {
        r.rotate('snapshot');
        r.publish({ snapshot: { version: 3 } });
      },
      { versions: { root: 2 } },
    ),
  ),
  knownBox(
    'targets were fast-forwarded: with a new key of the snapshot a lower number is taken',
    accepted((r) => r.publish({ targets: { version: 999_999 } })),
    accepted((r) => {
      r.rotate('snapshot');
      r.publish({ targets: { version: 3 } });
    }),
  ),
];

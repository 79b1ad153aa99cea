/** Cases of the first root and of its successors (sections 5.2 and 5.3). */

import { ed25519Key, type TufRepository } from './tuf-repository.ts';
import {
  accepted,
  type Case,
  corrupt,
  denied,
  EXPIRED,
  edited,
  first,
  givenRoot,
  knownBox,
  MIXED,
  NOT_AS_SIGNED,
  newBox,
  no,
  nothing,
  rootOf,
  UNSIGNED,
  unavailable,
  withSecondId,
} from './tuf-scene.ts';

/** The first root again, expired. */
function rootOfVersion1(r: TufRepository): Buffer {
  r.versions.root = 0;
  return r.root({ days: -1 });
}

export const BEGIN: readonly Case[] = [
  newBox(
    'a box that has a root alone takes everything',
    accepted(nothing, { requests: ['2.root.json', 'timestamp.json', '1.snapshot.json', '1.targets.json'] }),
  ),
  knownBox(
    'what has not changed is not fetched again',
    accepted(nothing, { requests: ['2.root.json', 'timestamp.json'] }),
  ),
  knownBox(
    'only what has changed is fetched',
    accepted((r) => r.publish(), {
      requests: ['2.root.json', 'timestamp.json', '2.snapshot.json', '2.targets.json'],
    }),
  ),
  givenRoot(
    'a first root that has expired leads to one that has not',
    (_, r) => rootOfVersion1(r),
    accepted((r) => void r.root()),
  ),
  givenRoot(
    'a first root that one key of two has signed',
    (root) => edited(root, ({ signatures }) => void signatures.pop()),
    denied(UNSIGNED),
  ),
  givenRoot(
    'a first root of which a byte was changed',
    (root) => edited(root, ({ signed }) => void Object.assign(signed, { x: 1 })),
    denied(UNSIGNED),
  ),
  givenRoot('a first root that is not JSON', () => 'x', no('config')(/not a root of signed metadata/)),
  givenRoot(
    'a first root of another type',
    (root) => edited(root, ({ signed }) => void Object.assign(signed, { _type: 'targets' })),
    corrupt(NOT_AS_SIGNED),
  ),
  givenRoot(
    'a first root without a role',
    (root) => edited(root, ({ signed }) => void Reflect.deleteProperty(rootOf(signed).roles, 'snapshot')),
    corrupt(NOT_AS_SIGNED),
  ),
  givenRoot(
    'a first root that names a key id twice',
    (root) =>
      edited(
        root,
        ({ signed }) => void rootOf(signed).roles.root.keyids.push(first(rootOf(signed).roles.root.keyids)),
      ),
    denied(/one key stands twice in the role root/),
  ),
  givenRoot(
    'a first root that names a key under two ids',
    (root) => edited(root, ({ signed }) => withSecondId(signed, 'targets', 'f'.repeat(64), (key) => key)),
    denied(/one key stands twice in the role targets/),
  ),
  knownBox(
    'a kept root that was damaged on the disk is begun again',
    accepted((_, folder) => folder.write('root', '{}')),
  ),
  knownBox(
    'kept files that were damaged on the disk are fetched again',
    accepted(
      (_, folder) => {
        for (const role of ['timestamp', 'snapshot', 'targets'] as const) folder.write(role, '{"x');
      },
      { requests: ['2.root.json', 'timestamp.json', '1.snapshot.json', '1.targets.json'] },
    ),
  ),
];

export const ROOT: readonly Case[] = [
  knownBox(
    'the next number is asked for until there is none',
    accepted(
      (r) => {
        r.rotate('root');
        r.rotate('root');
      },
      { requests: ['2.root.json', '3.root.json', '4.root.json', 'timestamp.json'] },
    ),
  ),
  knownBox(
    '403 says as 404 does that there is no newer one',
    accepted((r) => void r.files.set('2.root.json', 403)),
  ),
  knownBox(
    '500 does not',
    unavailable(/2\.root\.json: the server answers 500/, (r) => void r.files.set('2.root.json', 500)),
  ),
  knownBox(
    'a root that is longer than allowed',
    corrupt(/longer than 262144 bytes/, (r) => void r.files.set('2.root.json', Buffer.alloc(262_145, ' '))),
  ),
  knownBox(
    'a root by the former keys alone',
    denied(UNSIGNED, (r) => {
      const previousKeys = r.keys.root;
      r.keys.root = [ed25519Key(), ed25519Key()];
      r.root({ signers: previousKeys });
    }),
  ),
  knownBox(
    'a root by the new keys alone',
    denied(UNSIGNED, (r) => {
      r.keys.root = [ed25519Key(), ed25519Key()];
      r.root();
    }),
  ),
  knownBox(
    'a root by both new and one of two former keys',
    denied(UNSIGNED, (r) => {
      const previousKeys = r.keys.root;
      r.keys.root = [ed25519Key(), ed25519Key()];
      r.root({}, previousKeys.slice(0, 1));
    }),
  ),
  knownBox(
    'a root by both former and one of two new keys',
    denied(UNSIGNED, (r) => {
      const previousKeys = r.keys.root;
      r.keys.root = [ed25519Key(), ed25519Key()];
      r.root({ signers: [...previousKeys, first(r.keys.root)] });
    }),
  ),
  knownBox(
    'a root by enough of both',
    accepted((r) => void r.rotate('root')),
  ),
  knownBox(
    'a root by keys of another role',
    denied(UNSIGNED, (r) => void r.root({ signers: r.keys.targets })),
  ),
  knownBox(
    'a root that raises its threshold, by too few',
    denied(UNSIGNED, (r) => {
      r.keys.root = [...r.keys.root, ed25519Key()];
      r.thresholds.root = 3;
      r.root({ signers: r.keys.root.slice(0, 2) });
    }),
  ),
  knownBox(
    'a root that raises its threshold, by enough',
    accepted((r) => {
      r.keys.root = [...r.keys.root, ed25519Key()];
      r.thresholds.root = 3;
      r.root();
    }),
  ),
  knownBox(
    'a root that lowers its threshold still needs the former one',
    denied(UNSIGNED, (r) => {
      r.thresholds.root = 1;
      r.root({ signers: r.keys.root.slice(0, 1) });
    }),
  ),
  knownBox(
    'a root that lowers its threshold, by enough; the next by one',
    accepted((r) => {
      r.thresholds.root = 1;
      r.root();
    }),
    accepted((r) => void r.root({ signers: r.keys.root.slice(0, 1) })),
  ),
  knownBox(
    'a threshold of zero',
    corrupt(NOT_AS_SIGNED, (r) => {
      r.thresholds.root = 0;
      r.root();
    }),
  ),
  knownBox(
    'a threshold above the number of keys',
    denied(UNSIGNED, (r) => {
      r.thresholds.root = 3;
      r.root();
    }),
  ),
  knownBox(
    'a gap in the numbers',
    denied(MIXED, (r) => void r.root({ version: 3 })),
  ),
  knownBox(
    'a number again',
    denied(MIXED, (r) => void r.root({ version: 1 })),
  ),
  knownBox(
    'a file that is missing hides the later ones',
    accepted(
      (r) => {
        r.root();
        r.root();
        r.files.delete('2.root.json');
      },
      { versions: { root: 1 }, requests: ['2.root.json', 'timestamp.json'] },
    ),
  ),
  knownBox(
    'a root of another type',
    corrupt(NOT_AS_SIGNED, (r) => void r.files.set('2.root.json', r.files.get('timestamp.json') ?? 404)),
  ),
  knownBox(
    'a root that is not JSON',
    corrupt(NOT_AS_SIGNED, (r) => void r.files.set('2.root.json', Buffer.from('{'))),
  ),
  knownBox(
    'a root between that has expired',
    accepted((r) => {
      r.root({ days: -1 });
      r.root();
    }),
  ),
  knownBox(
    'a last root that has expired; it stays, and the one after it helps',
    denied(EXPIRED, (r) => void r.root({ days: -1 }), { versions: { root: 2 } }),
    accepted((r) => void r.root()),
  ),
  knownBox(
    'what comes after it fails: the root stays',
    denied(
      EXPIRED,
      (r) => {
        r.root();
        r.publish({ timestamp: { days: -1 } });
      },
      { versions: { root: 2 } },
    ),
  ),
  knownBox(
    'a chain that breaks stays as far as it held',
    denied(
      UNSIGNED,
      (r) => {
        r.rotate('root');
        r.rotate('root');
        r.keys.root = [ed25519Key(), ed25519Key()];
        r.root();
      },
      { versions: { root: 3 } },
    ),
  ),
  knownBox(
    'at most 120 roots at once, and the others at the next look',
    accepted(
      (r) => {
        for (let n = 0; n < 125; n += 1) r.root();
      },
      { versions: { root: 121 } },
    ),
    accepted(nothing, { versions: { root: 126 } }),
  ),
  knownBox(
    'a root that names a new key under two ids',
    denied(
      /2\.root\.json: refused: one key stands twice in the role targets/,
      (r) =>
        void r.root({ change: (signed) => withSecondId(signed, 'targets', 'e'.repeat(64), (key) => key) }),
    ),
  ),
  knownBox(
    'a root that names a key in two cases of letters',
    denied(
      /one key stands twice/,
      (r) =>
        void r.root({
          change: (signed) =>
            withSecondId(signed, 'root', 'e'.repeat(64), (key) => ({
              ...key,
              keyval: { public: key.keyval.public.toUpperCase() },
            })),
        }),
    ),
  ),
  knownBox(
    'consistent snapshots are not a boolean',
    corrupt(
      NOT_AS_SIGNED,
      (r) => void r.root({ change: (signed) => void Object.assign(signed, { consistent_snapshot: 'yes' }) }),
    ),
  ),
];

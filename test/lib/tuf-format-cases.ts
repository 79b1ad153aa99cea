/** Cases of document formats, kinds of keys, and consistent snapshots (sections 4 and 6.2). */

import { ecdsaKey, ed25519Key, ROLES, rsaKey, type Signed } from './tuf-repository.ts';
import {
  accepted,
  type Case,
  corrupt,
  denied,
  knownBox,
  NOT_AS_SIGNED,
  rootOf,
  UNSIGNED,
} from './tuf-scene.ts';

export const FORMATS: readonly Case[] = [
  ...(
    [
      ['ed25519 as PEM', () => ed25519Key('pem')],
      ['ECDSA on P-256', ecdsaKey],
      ['RSASSA-PSS', rsaKey],
    ] as const
  ).flatMap(([name, make]) =>
    (['root', 'timestamp', 'snapshot', 'targets'] as const).map((role) =>
      knownBox(
        `${role} by ${name}`,
        accepted((r) => {
          const previousKeys = r.keys.root;
          r.keys[role] = r.keys[role].map(make);
          r.root({}, previousKeys);
          r.publish();
        }),
      ),
    ),
  ),
  knownBox(
    'a key of an unknown kind does not count',
    denied(
      UNSIGNED,
      (r) => {
        r.root({
          change: (signed) => {
            for (const id of rootOf(signed).roles.timestamp.keyids)
              rootOf(signed).keys[id] = { keytype: 'new', scheme: 'new', keyval: { public: 'aa' } };
          },
        });
        r.publish();
      },
      { versions: { root: 2 } },
    ),
  ),
  knownBox(
    'a key that a role names and that is not there counts for nothing',
    denied(
      UNSIGNED,
      (r) => {
        r.root({
          change: (signed) => {
            for (const id of rootOf(signed).roles.timestamp.keyids) delete rootOf(signed).keys[id];
          },
        });
        r.publish();
      },
      { versions: { root: 2 } },
    ),
  ),
  knownBox(
    'a key id that is not the hash of the key is an id like any other',
    accepted((r) => {
      const previousKeys = r.keys.timestamp;
      r.keys.timestamp = previousKeys.map((key) => ({ ...key, id: 'any-id' }));
      r.root();
      r.publish();
    }),
  ),
  ...ROLES.map((role) =>
    knownBox(
      `${role} with unknown fields: signed with the rest, and stored`,
      accepted((r) => {
        const change = (signed: Signed): void =>
          void Object.assign(signed, { 'x-new': { é: [1, null, true, '"\\'] } });
        if (role === 'root') r.root({ change });
        r.publish(role === 'root' ? {} : { [role]: { change } });
      }),
    ),
  ),
  knownBox(
    'white space in a file does not matter',
    accepted((r) =>
      r.publish({
        timestamp: {
          raw: (bytes) => Buffer.from(JSON.stringify(JSON.parse(bytes.toString('utf8')), null, 4)),
        },
      }),
    ),
  ),
  knownBox(
    'a later minor version of the specification',
    accepted((r) =>
      r.publish({ targets: { change: (signed) => void Object.assign(signed, { spec_version: '1.9.0' }) } }),
    ),
  ),
  knownBox(
    'another major version of the specification',
    corrupt(NOT_AS_SIGNED, (r) =>
      r.publish({ timestamp: { change: (signed) => void Object.assign(signed, { spec_version: '2.0.0' }) } }),
    ),
  ),
  knownBox(
    'no version of the specification',
    corrupt(NOT_AS_SIGNED, (r) =>
      r.publish({ timestamp: { change: (signed) => void Reflect.deleteProperty(signed, 'spec_version') } }),
    ),
  ),
  knownBox(
    'a date that is none',
    corrupt(
      /timestamp\.json does not say when it expires/,
      (r) =>
        r.publish({ timestamp: { change: (signed) => void Object.assign(signed, { expires: 'never' }) } }),
      { versions: { timestamp: 2, snapshot: 2, targets: 2 } },
    ),
  ),
  knownBox(
    'a version that is not a number',
    corrupt(NOT_AS_SIGNED, (r) =>
      r.publish({ timestamp: { change: (signed) => void Object.assign(signed, { version: '2' }) } }),
    ),
  ),
  knownBox(
    'a file that is not UTF-8',
    corrupt(NOT_AS_SIGNED, (r) => void r.files.set('timestamp.json', Buffer.from([0xff, 0xfe, 0x7b]))),
  ),
  knownBox(
    'consistent snapshots off: names without numbers',
    accepted(
      (r) => {
        r.isConsistent = false;
        r.root();
        r.publish();
      },
      { requests: ['2.root.json', '3.root.json', 'timestamp.json', 'snapshot.json', 'targets.json'] },
    ),
  ),
  knownBox(
    'consistent snapshots off and on again',
    accepted((r) => {
      r.isConsistent = false;
      r.root();
      r.publish();
    }),
    accepted((r) => {
      r.isConsistent = true;
      r.root();
      r.publish();
    }),
  ),
];

/**
 * Settings of root's updater on a box (/etc/vigie-root/): update.yaml, and the signed root that it initially trusts.
 */
import { type Static, Type } from '@sinclair/typebox';
import { Board } from './release.ts';

/** Names on a boot partition; the folder on the box uses other names. */
export const UPDATE_SETTINGS_FILE = 'update.yaml';
export const UPDATE_ROOT_FILE = 'update-root.json';

const AbsolutePath = Type.String({ pattern: '^/', maxLength: 4096 });

/** Settings with all defaults filled in. */
export const UpdateSettings = Type.Object(
  {
    url: Type.Optional(Type.String({ pattern: '^https?://[^\\s?#]+/$', maxLength: 1024 })),
    ca: AbsolutePath,
    cert: AbsolutePath,
    key: AbsolutePath,
    /** Rate limit in KiB per second; 0 means unlimited. */
    rateKiBps: Type.Integer({ minimum: 0, maximum: 1_048_576 }),
    board: Type.Optional(Board),
    healthyS: Type.Integer({ minimum: 1, maximum: 3600 }),
    withinS: Type.Integer({ minimum: 2, maximum: 7200 }),
  },
  { additionalProperties: false },
);
export type UpdateSettings = Static<typeof UpdateSettings>;

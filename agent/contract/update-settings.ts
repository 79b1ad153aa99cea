/** What root's updater is told on a box (/etc/vigie-root/): its update.yaml, and the signed root that it trusts at first. */
import { type Static, Type } from '@sinclair/typebox';
import { Board } from './release.ts';

/** On a boot partition; on the box the folder has other names for them. */
export const UPDATE_SETTINGS_FILE = 'update.yaml';
export const UPDATE_ROOT_FILE = 'update-root.json';

const AbsolutePath = Type.String({ pattern: '^/', maxLength: 4096 });

/** With every default in it. */
export const UpdateSettings = Type.Object(
  {
    url: Type.Optional(Type.String({ pattern: '^https?://[^\\s?#]+/$', maxLength: 1024 })),
    ca: AbsolutePath,
    cert: AbsolutePath,
    key: AbsolutePath,
    /** KiB a second; 0: as fast as it comes. */
    rateKiBps: Type.Integer({ minimum: 0, maximum: 1_048_576 }),
    board: Type.Optional(Board),
    healthyS: Type.Integer({ minimum: 1, maximum: 3600 }),
    withinS: Type.Integer({ minimum: 2, maximum: 7200 }),
  },
  { additionalProperties: false },
);
export type UpdateSettings = Static<typeof UpdateSettings>;

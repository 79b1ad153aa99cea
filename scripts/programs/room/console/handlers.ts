/** What answers the calls of the room's interface, put together. */
import type { Sql } from '../database/sql.ts';
import type { DataHandlers } from './routes.ts';
import type { Settings } from './settings.ts';
import type { ChangesSince } from './stream.ts';

export interface Parts {
  readonly handlers: Partial<DataHandlers>;
  readonly changesSince: ChangesSince;
}

export function partsOf(db: Sql, _settings: Settings): Parts {
  return {
    handlers: {},
    changesSince: async (rev) => {
      const [row] = await db.all<{ value: number }>("SELECT value FROM counter WHERE name = 'rev'");
      return { rev: row?.value ?? rev, incidents: [], cameras: [] };
    },
  };
}

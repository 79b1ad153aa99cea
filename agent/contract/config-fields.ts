/** Building blocks shared by several parts of the configuration schema. */
import { Type } from '@sinclair/typebox';

export const strict = { additionalProperties: false } as const;
const ID = { pattern: '^[a-z0-9-]{1,32}$', description: '1 to 32 of a-z, 0-9 and -' };
export const id = (title: string) => Type.String({ ...ID, title });

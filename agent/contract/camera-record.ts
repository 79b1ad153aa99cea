/** Files of the camera's view in the state folder. The agent writes them; `vigie camera` reads them. */
import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { AgentError, messageOf } from '../base/errors.ts';

export const CAMERA_FILES = {
  record: 'camera-view.json',
  /** Redacted stills of the view before and after it changed. */
  before: 'camera-before.jpg',
  after: 'camera-after.jpg',
  /** Confirmation that a technician leaves for the agent. */
  confirmed: 'camera-confirmed',
} as const;

const CameraRecord = Type.Object(
  {
    signature: Type.Union([Type.String({ maxLength: 1024 }), Type.Null()]),
    aspect: Type.Number({ exclusiveMinimum: 0 }),
    /** ISO time at which the camera was found moved; null while it shows the known view. */
    movedSince: Type.Union([Type.String({ maxLength: 40 }), Type.Null()]),
  },
  { additionalProperties: false },
);
export type CameraRecord = Static<typeof CameraRecord>;

/** @throws AgentError `corrupt` */
export function parseCameraRecord(text: string): CameraRecord {
  let record: unknown;
  try {
    record = JSON.parse(text);
  } catch (error) {
    throw new AgentError('corrupt', `it is not JSON (${messageOf(error)})`, error);
  }
  if (Value.Check(CameraRecord, record)) return record;
  const first = Value.Errors(CameraRecord, record).First();
  throw new AgentError('corrupt', `${first?.path || '/'}: ${first?.message ?? 'does not fit'}`);
}

const NAME_CHARS_MAX = 64;

export interface Confirmation {
  /** `movedSince` of the confirmed record. */
  readonly movedSince: string;
  /** Name of the account that confirmed, as given by that account. */
  readonly by: string | null;
}

/** Formats a confirmation with one field per line. */
export function confirmationText({ movedSince, by }: Confirmation): string {
  return `${movedSince}\n${by ?? ''}\n`;
}

export function parseConfirmation(text: string): Confirmation {
  const [movedSince = '', by = ''] = text.split('\n').map((line) => line.trim());
  return { movedSince, by: by === '' ? null : by.slice(0, NAME_CHARS_MAX) };
}

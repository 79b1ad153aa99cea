/** Acknowledgement from the room's archive on `vigie/<site>/<box>/ack`: all rows up to these numbers are stored. */
import { type Static, Type } from '@sinclair/typebox';
import { EPOCH_CHARS_MAX } from './outbox.ts';

/** Maximum size of an acknowledgement, in bytes. */
export const ACK_BYTES_MAX = 256;

const Seq = Type.Optional(
  Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description: 'all through it are stored' }),
);

/** An absent lane is not acknowledged. Unknown keys are ignored. */
export const Ack = Type.Object({
  alert: Seq,
  bulk: Seq,
  epoch: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: EPOCH_CHARS_MAX,
      description: 'which counting the numbers are of (user property `epoch`); absent = the one of now',
    }),
  ),
});
export type Ack = Readonly<Static<typeof Ack>>;

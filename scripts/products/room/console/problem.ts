/** Sends errors as problem details (RFC 9457) with one clear line. */
import type { FastifyError, FastifyReply } from 'fastify';
import { messageOf } from '../../../../agent/base/errors.ts';
import { printable } from '../../../../agent/base/printable.ts';
import type { Problem } from '../contract/api.ts';
import type { Incident } from '../contract/incident.ts';
import type { RefusalReason } from '../contract/terms.ts';
import { DatabaseUnavailable } from '../database/sql.ts';
import { CallError, LimitError, TooOftenError } from './handler.ts';

/** Maximum length of a problem's title, as in its schema. */
const TITLE_CHARS_MAX = 200;

/** Pause in s before a new try that must wait for another question or stream of the account: most take some seconds. */
const RETRY_S = 5;

/** Answers to Fastify's own errors, by code; https://fastify.dev/docs/latest/Reference/Errors/ */
const LINES: Readonly<Record<string, readonly [status: number, line: string]>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: [413, 'the body is longer than 192 kB'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: [415, 'the body must be application/json'],
  FST_ERR_CTP_EMPTY_JSON_BODY: [400, 'body: missing; send {} if there are no fields'],
  FST_ERR_CTP_INVALID_JSON_BODY: [400, 'body: not valid JSON'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: [400, 'the body is not as long as its Content-Length'],
  FST_ERR_BAD_URL: [400, 'the path is not readable'],
};

/** Sends a refusal. `retryS` tells the client when to retry. */
export function refuse(
  reply: FastifyReply,
  status: number,
  line: string,
  details: {
    readonly incident?: Incident | undefined;
    readonly reason?: RefusalReason | undefined;
    readonly retryS?: number;
  } = {},
): FastifyReply {
  const title = line.length > TITLE_CHARS_MAX ? printable(line, TITLE_CHARS_MAX - 1) : printable(line);
  const { incident, reason, retryS } = details;
  const problem: Problem = {
    type: 'about:blank',
    title,
    status,
    ...(incident && { incident }),
    ...(reason && { reason }),
  };
  if (retryS !== undefined) reply.header('retry-after', String(Math.ceil(retryS)));
  return reply.code(status).type('application/problem+json; charset=utf-8').send(JSON.stringify(problem));
}

/** Sends an error. `onFault` receives the text of a bug in the program, which the client does not see. */
export function refuseError(
  reply: FastifyReply,
  error: unknown,
  onBug: (line: string) => void,
): FastifyReply {
  if (error instanceof CallError) {
    const { status, message, incident, reason } = error;
    if (status !== 429) return refuse(reply, status, message, { incident, reason });
    const isTimed = error instanceof TooOftenError || error instanceof LimitError;
    return refuse(reply, status, message, { retryS: (isTimed ? error.retryS : undefined) ?? RETRY_S });
  }
  if (error instanceof DatabaseUnavailable) {
    const line = 'the database does not answer; ask again: what was asked for may have been done or not';
    return refuse(reply, 503, line, { retryS: 1 });
  }
  const { code = '', statusCode = 500 } = error as Partial<FastifyError>;
  const [status, line] = LINES[code] ?? [];
  if (status !== undefined && line !== undefined) return refuse(reply, status, line);
  if (error instanceof SyntaxError && statusCode === 400) return refuse(reply, 400, 'body: not valid JSON');
  if (statusCode >= 400 && statusCode < 500) return refuse(reply, statusCode, messageOf(error));
  onBug(`console: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  return refuse(reply, 500, 'a fault of the console; its log says which');
}

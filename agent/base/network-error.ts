/** Messages for people for the error codes of Node's net and dns (libuv). */
export const NETWORK_PROBLEMS = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'the name is unknown',
  EAI_AGAIN: 'the DNS does not answer',
  EHOSTUNREACH: 'no route to the host',
  ENETUNREACH: 'the network is down',
  ETIMEDOUT: 'no answer in time',
  ECONNRESET: 'the connection was closed',
} as const;

/** Returns the message for a network error, or undefined for any other error. */
export function networkProblem(error: unknown): string | undefined {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined;
  return Object.entries(NETWORK_PROBLEMS).find(([name]) => name === code)?.[1];
}

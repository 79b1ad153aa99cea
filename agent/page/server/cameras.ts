/**
 * Finds cameras on the box's own networks and queries them by ONVIF, in a process of its own (camera-process.ts).
 *
 * INVARIANTS:
 * - An address that is not private, or belongs to the box, is never queried.
 * - A password is in no argument, no variable and no line of the log.
 * - Returned streams have the queried address, whatever the camera says.
 * - A device's own name is made printable.
 * LIMITS: one process at a time, WITHIN_MS and ANSWER_BYTES_MAX; DEVICES_MAX devices.
 */
import { spawn } from 'node:child_process';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Value } from '@sinclair/typebox/value';
import { AgentError, messageOf } from '../../base/errors.ts';
import { jsonOf } from '../../base/json.ts';
import { printable } from '../../base/printable.ts';
import { DEFAULT_RTSP_PORT, parseCameraSource, secondStreamProblem } from '../../contract/camera-address.ts';
import type { CameraStreams, FoundCamera } from '../../contract/page-api.ts';
import { CameraAnswer, type CameraQuestion } from './camera-question.ts';
import { ownAddresses } from './own-names.ts';
import { hostPort, isPrivate } from './private-address.ts';

/** Devices answer within half a second (WS-Discovery 1.1, APP_MAX_DELAY); cheap ones take longer. */
const PROBE_MS = 3000;
/** Covers a process that starts on a Raspberry Pi and sends a camera six requests. */
const WITHIN_MS = 15_000;
const ANSWER_BYTES_MAX = 131_072;
const HEAP_MIB = 64;
const NAME_CHARS_MAX = 80;

export interface CamerasOptions {
  /** Names of interfaces to search; an empty list means all except the loopback. */
  readonly interfaces: readonly string[];
  /** Replaces the check of addresses, for tests whose camera is on the loopback. */
  allows?(host: string): boolean;
}

export class Cameras {
  readonly #options: CamerasOptions;
  readonly #running = new Set<AbortController>();

  constructor(options: CamerasOptions) {
    this.#options = options;
  }

  /** Rejects with `unavailable` or `exhausted`. */
  async find(): Promise<FoundCamera[]> {
    const { interfaces } = this.#options;
    const answer = await this.#ask({ op: 'find', interfaces: [...interfaces], waitMs: PROBE_MS });
    if (!('cameras' in answer)) return [];
    return answer.cameras
      .filter(({ address }) => this.#allowed(hostPort(address)?.host))
      .map(({ name, address }) => ({ name: printable(name, NAME_CHARS_MAX), address: printable(address) }));
  }

  /**
   * Returns the streams of a camera's first profile and of its second, including user and password. Rejects with
   * `denied` for an address that must not be queried, `unavailable` if the camera refuses or is silent.
   */
  async streams(query: { address: string; user: string; password: string }): Promise<CameraStreams> {
    const place = hostPort(query.address);
    if (place === undefined || !this.#allowed(place.host))
      throw new AgentError(
        'denied',
        'a camera is asked by its address on the box’s own networks (10.…, 172.16.…, 192.168.…, 169.254.…, fd…), as 192.168.1.20 or 192.168.1.20:8080',
      );
    const { user, password } = query;
    const answer = await this.#ask({ op: 'stream', ...place, user, password });
    if ('refused' in answer)
      throw new AgentError(
        'unavailable',
        `the camera refuses: ${withoutLogin(printable(answer.refused), query)}`,
      );
    const source = 'uri' in answer ? sourceOf(answer.uri, place.host, query) : undefined;
    if (source !== undefined && 'uri' in answer) {
      const second = sourceOf(answer.secondUri ?? '', place.host, query);
      return { source, ...(second !== undefined && isSecond(source, second) && { substream: second }) };
    }
    throw new AgentError('unavailable', 'the camera offers no RTSP stream; enter its address by hand');
  }

  stop(): void {
    for (const controller of this.#running) controller.abort();
  }

  #allowed(host: string | undefined): boolean {
    if (host === undefined) return false;
    return this.#options.allows?.(host) ?? isPrivate(host, ownAddresses());
  }

  async #ask(question: CameraQuestion): Promise<CameraAnswer> {
    if (this.#running.size > 0) throw new AgentError('exhausted', 'cameras are being asked already');
    const controller = new AbortController();
    this.#running.add(controller);
    try {
      const answer = jsonOf(await ask(question, controller.signal));
      if (Value.Check(CameraAnswer, answer)) return answer;
      throw new AgentError('unavailable', 'the camera’s answer cannot be read');
    } finally {
      this.#running.delete(controller);
    }
  }
}

/** Returns the output of the process; empty if it died. */
function ask(question: CameraQuestion, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const ownFile = fileURLToPath(import.meta.url);
    const file = join(dirname(ownFile), `camera-process${extname(ownFile)}`);
    const child = spawn(process.execPath, [`--max-old-space-size=${HEAP_MIB}`, file], {
      stdio: ['pipe', 'pipe', 'ignore'],
      // Passes no variable of the page's own environment.
      env: { NODE_ENV: 'production' },
      timeout: WITHIN_MS,
      killSignal: 'SIGKILL',
      signal,
    });
    const parts: Buffer[] = [];
    let size = 0;
    child.on('error', (error) =>
      reject(new AgentError('unavailable', `cameras cannot be asked: ${messageOf(error)}`)),
    );
    child.stdout.on('data', (chunk: Buffer) => {
      parts.push(chunk);
      size += chunk.length;
      if (size > ANSWER_BYTES_MAX) child.kill('SIGKILL');
    });
    // The process died before it has read everything; its answer shows that.
    child.stdin.on('error', () => child.kill('SIGKILL'));
    child.stdin.end(JSON.stringify(question));
    child.on('close', () => resolve(Buffer.concat(parts).toString('utf8')));
  });
}

/** Returns `rtsp://user:password@host:port/path` at the queried host; undefined if no configuration may contain it. */
function sourceOf(uri: string, host: string, login: { user: string; password: string }): string | undefined {
  const parsedUri = parseCameraSource(uri);
  if ('fault' in parsedUri || parsedUri.kind !== 'rtsp') return undefined;
  const userInfo =
    login.user === '' ? '' : `${encodeURIComponent(login.user)}:${encodeURIComponent(login.password)}@`;
  const at = host.includes(':') ? `[${host}]` : host;
  const port = parsedUri.port === DEFAULT_RTSP_PORT ? '' : `:${parsedUri.port}`;
  const source = `rtsp://${userInfo}${at}${port}${parsedUri.target}`;
  return 'fault' in parseCameraSource(source) ? undefined : source;
}

/** True if a configuration may name it as the second stream. */
function isSecond(source: string, second: string): boolean {
  const [main, other] = [parseCameraSource(source), parseCameraSource(second)];
  return (
    !('fault' in main) &&
    !('fault' in other) &&
    secondStreamProblem(main, other, 'camera.source') === undefined
  );
}

/** Removes the password, because a camera may echo it. */
function withoutLogin(text: string, { password }: { password: string }): string {
  return password === '' ? text : text.replaceAll(password, '***');
}
